"""TensorFlow SavedModels, asked through a signature, and Keras files, asked as a traced function.

Both are many times as fast as `model.predict`, which sets up a loop over a data set for each call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.graph_inputs import Input, feeds, layout
from mlship.server.runtimes.observed import observed_outputs
from mlship.server.runtimes.worker_threads import threads

DEFAULT = "serving_default"


class TensorflowRuntime:
    """Folders with a saved_model.pb."""

    fork_safe = False  # its threads do not live on in copies of a process

    def load(self, model: manifest.Model, root: Path) -> GraphModel:
        """`serve.method` chooses a signature. Raises LoadError, ImportError."""
        tensorflow = _tensorflow()
        try:
            loaded = tensorflow.saved_model.load(str(root / model.path))
        except (OSError, ValueError, tensorflow.errors.OpError) as error:
            raise LoadError(f"TensorFlow does not load the folder: {str(error)[:500]}") from error
        known = list(loaded.signatures)
        name = model.method or (DEFAULT if DEFAULT in known else next(iter(known), ""))
        if name not in known:
            raise LoadError(f"the SavedModel has no signature {name or 'at all'}; it has {', '.join(known) or 'none'}")
        function = loaded.signatures[name]
        # a SavedModel keeps them in a map without an order: each process gets another one
        given = [_input(name, spec) for name, spec in sorted(function.structured_input_signature[1].items())]

        def ask(tensors: Mapping[str, Any]) -> Any:
            return function(**tensors)

        found = GraphModel(tensorflow, f"SavedModel {name}", given, ask)
        found.holds = loaded  # its variables live as long as somebody holds it
        return found


class KerasRuntime:
    """.keras files, with safe_mode on and without what training needs."""

    fork_safe = False

    def load(self, model: manifest.Model, root: Path) -> GraphModel:
        """Raises LoadError, ImportError."""
        tensorflow = _tensorflow()
        import keras

        try:
            loaded = keras.saving.load_model(str(root / model.path), compile=False, safe_mode=True)
        except (OSError, ValueError, TypeError) as error:
            raise LoadError(f"keras does not load the file: {str(error)[:500]}") from error
        tensors = loaded.inputs
        given = [Input(tensor.name, _dtype(tensor.dtype), _sizes(tensor.shape)) for tensor in tensors]
        traced = tensorflow.function(
            lambda fed: loaded(fed[0] if len(fed) == 1 else fed, training=False), reduce_retracing=True
        )

        def ask(named: Mapping[str, Any]) -> Any:
            return traced([named[each.name] for each in given])

        return GraphModel(tensorflow, type(loaded).__name__, given, ask)


class GraphModel:
    """A function of tensors behind the interface of the core."""

    holds: Any = None

    def __init__(self, tensorflow: Any, title: str, inputs: Sequence[Input], ask: Callable[[Mapping[str, Any]], Any]) -> None:
        """Raises LoadError for inputs whose first axes do not count rows."""
        self._tensorflow = tensorflow
        self._title = title
        self._ask = ask
        self._layout = layout(inputs)
        self._refused = (tensorflow.errors.InvalidArgumentError, tensorflow.errors.UnimplementedError)

    @property
    def title(self) -> str:
        return self._title

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """rows: an array (rows, features), or one array a feature. The only output, or the first by name, is `predictions`; others
        stand beside it under their names. Raises ValueError for rows that the graph refuses."""
        fed = {name: self._tensorflow.constant(array) for name, array in feeds(self._layout, rows).items()}
        try:
            answer = self._ask(fed)
        except self._refused as error:
            raise ValueError(error.message) from error
        return _named(answer)

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        """As the graph says; names of features of one tensor as the sample shows them."""
        found = self._layout.signature(sample)
        return manifest.Signature(
            found.inputs, observed_outputs(self, found, sample), found.container, found.named, tensor=found.tensor
        )


def _named(answer: Any) -> dict[str, Any]:
    if isinstance(answer, (list, tuple)):
        answer = {f"output_{place}": each for place, each in enumerate(answer)}
    if not isinstance(answer, Mapping):
        answer = {"predictions": answer}
    names = sorted(answer)  # their order is another one in each process
    first = "predictions" if "predictions" in answer else names[0]
    return {"predictions": _values(answer[first]), **{name: _values(answer[name]) for name in names if name != first}}


def _values(tensor: Any) -> Any:
    """numpy; one number a row instead of a list of one; text as text."""
    values = tensor.numpy()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind != "O":
        return values
    return [_text(each) for each in values.tolist()]


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(each) for each in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _input(name: str, spec: Any) -> Input:
    return Input(name, _dtype(spec.dtype.name), _sizes(spec.shape.as_list() if spec.shape.rank is not None else ()))


def _dtype(name: str) -> str:
    return name if name in manifest.DTYPES else ""


def _sizes(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(-1 if size is None else size for size in shape)


def _tensorflow() -> Any:
    """Quiet, on the CPU, with this worker's part of the machine."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="-1", KERAS_BACKEND="tensorflow")
    import tensorflow

    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads())
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return tensorflow  # it computed something already: another model of this process set them
    return tensorflow
