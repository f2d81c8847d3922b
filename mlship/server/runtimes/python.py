"""A user's own class, named `module:Class`, with `load(path)` and `predict(rows)`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from mlship.server import manifest
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.observed import columns, observed_features, observed_outputs, with_range


class PythonRuntime:
    """Makes the class with no arguments and calls its `load` with the model's path."""

    fork_safe = False  # nobody knows what a user's class opens or starts

    def load(self, model: manifest.Model, root: Path) -> PythonModel:
        """Raises LoadError, and whatever the user's own code raises."""
        cls = _named(model.loader)
        for method in ("load", "predict"):
            if not callable(getattr(cls, method, None)):
                raise LoadError(
                    f"{model.loader} has no method {method}; a model needs load(self, path) and predict(self, rows)"
                )
        container: Any = getattr(cls, "container", "list")
        if container not in get_args(manifest.Container):
            raise LoadError(f"{model.loader} says container = {container!r}; write frame, array or list")
        instance = cls()
        instance.load(root / model.path)
        return PythonModel(instance, container, model.method or "predict")


class PythonModel:
    """The user's instance behind the interface of the core."""

    def __init__(self, instance: Any, container: manifest.Container, method: str) -> None:
        self._instance = instance
        self._container: manifest.Container = container
        self._method = method
        if not callable(getattr(instance, method, None)):
            raise LoadError(f"{type(instance).__name__} has no method {method}")

    @property
    def title(self) -> str:
        return type(self._instance).__name__

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """rows: as the class's `container` says; `list` is the rows as they came.

        The class answers with one value a row (list or array), or with a dict of such, in which `predictions` stands.
        Raises whatever the class raises; LoadError when a dict lacks `predictions`.
        """
        answer = getattr(self._instance, self._method)(rows)
        if not isinstance(answer, Mapping):
            return {"predictions": answer}
        if "predictions" not in answer:
            raise LoadError(f"{self.title}.{self._method} answered a dict without predictions: {', '.join(map(str, answer))}")
        return answer

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        """Features as the class's `inputs` says (name -> dtype, or names), else as the sample shows; unknown without either."""
        inputs = _ranged(_declared(getattr(self._instance, "inputs", None)), sample) or observed_features(sample)
        named = isinstance(next(iter(sample), None), dict) or bool(getattr(self._instance, "inputs", None))
        found = manifest.Signature(inputs=inputs if self._is_checked else (), container=self._container, named=named)
        outputs = observed_outputs(self, found, sample)
        return manifest.Signature(found.inputs, outputs, self._container, named)

    @property
    def _is_checked(self) -> bool:
        """A class that takes the rows as they came is only checked when it says what it takes."""
        return self._container != "list" or getattr(self._instance, "inputs", None) is not None


def _named(loader: str) -> Any:
    module, _, name = loader.partition(":")
    if not module or not name:
        raise LoadError(f"model.loader is {loader!r}; write module:Class, such as net:Model")
    found = importlib.import_module(module)
    if not isinstance(getattr(found, name, None), type):
        raise LoadError(f"the module {module} has no class {name}")
    return getattr(found, name)


def _ranged(inputs: tuple[manifest.Feature, ...], sample: tuple[Any, ...]) -> tuple[manifest.Feature, ...]:
    """The declared features with the range that the sample shows, where the sample has as many columns."""
    seen = columns(sample)
    if len(seen) != len(inputs):
        return inputs
    by_place = list(seen.values())
    return tuple(with_range(feature, seen.get(feature.name, by_place[place])) for place, feature in enumerate(inputs))


def _declared(inputs: Any) -> tuple[manifest.Feature, ...]:
    if not inputs:
        return ()
    if not isinstance(inputs, Mapping):
        return tuple(manifest.Feature(str(name), "any") for name in inputs)
    for name, dtype in inputs.items():
        if dtype.removesuffix("?") not in manifest.DTYPES:
            raise LoadError(
                f"inputs says that {name} is {dtype!r}; known: {', '.join(manifest.DTYPES)}, with ? where null may be"
            )
    return tuple(
        manifest.Feature(str(name), dtype.removesuffix("?"), nullable=dtype.endswith("?")) for name, dtype in inputs.items()
    )
