"""python_function models of MLflow: what mlflow loads from the folder, code of the folder included, answers through its own call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.observed import columns, observed_features, observed_outputs, with_range

# mlflow 3.17, mlflow/types/schema.py, DataType
_DTYPES = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64", "string": "string",
    "datetime": "datetime",
}  # fmt: skip


class MlflowRuntime:
    """Loads with `mlflow.pyfunc`, which mlflow-skinny brings."""

    fork_safe = False  # nobody knows what the folder's code opens or starts

    def load(self, model: manifest.Model, root: Path) -> MlflowModel:
        """Raises LoadError, and whatever the folder's own code raises."""
        from mlflow import pyfunc
        from mlflow.exceptions import MlflowException

        try:
            return MlflowModel(pyfunc.load_model(str(_real(root / model.path))))
        except MlflowException as error:
            raise LoadError(str(error)) from error


def _real(folder: Path) -> Path:
    """Where its files lie: a build links them together, and mlflow refuses what leads out of the folder."""
    return (folder / "MLmodel").resolve().parent


class MlflowModel:
    """A loaded python_function behind the interface of the core."""

    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded

    @property
    def title(self) -> str:
        """The class of the user's own behind it, where there is one."""
        implementation = getattr(self._loaded, "_model_impl", None)
        return type(getattr(implementation, "python_model", implementation)).__name__

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """rows: a DataFrame, or an array where the folder's signature says a tensor.

        A table is answered as one object a row, one column of it as its values. Raises whatever the model raises.
        """
        answer = self._loaded.predict(rows)
        if isinstance(answer, Mapping) and "predictions" in answer:
            return answer
        return {"predictions": _rows(answer)}

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        """As the folder's signature says, else as the sample shows."""
        found = _declared(self._loaded.metadata.get_input_schema(), sample)
        if found is None:
            named = isinstance(next(iter(sample), None), dict)
            found = manifest.Signature(
                observed_features(sample), container="frame" if named or not sample else "array", named=named
            )
        return replace(found, outputs=observed_outputs(self, found, sample))


def _rows(answer: Any) -> Any:
    """One column of a DataFrame alone; the server writes wider ones as objects, as mlflow's own does."""
    return answer.iloc[:, 0] if len(getattr(answer, "columns", ())) == 1 else answer


def _declared(schema: Any, sample: tuple[Any, ...]) -> manifest.Signature | None:
    """None where the folder has no signature, or one of another form than columns or rows of one tensor."""
    if schema is None:
        return None
    seen = columns(sample)
    if not schema.is_tensor_spec():
        names = schema.input_names() if schema.has_input_names() else [f"x{place}" for place in range(len(schema.inputs))]
        features = tuple(
            with_range(
                manifest.Feature(name, _DTYPES.get(getattr(column.type, "name", ""), "any"), not column.required),
                seen.get(name, []),
            )
            for name, column in zip(names, schema.inputs, strict=True)
        )
        return manifest.Signature(features, container="frame", named=schema.has_input_names())
    shape = schema.inputs[0].shape
    if len(schema.inputs) != 1 or len(shape) != 2 or shape[1] < 1:
        return None
    dtype = str(schema.inputs[0].type)
    known = dtype if dtype in manifest.DTYPES else "any"
    return manifest.Signature(tuple(manifest.Feature(f"x{place}", known) for place in range(shape[1])), container="array")
