"""The frameworks that are served. Adding one: a reader here, a runtime in server/runtimes/, and a row in both tables."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from mlship.frameworks.base import Asked, Read
from mlship.server.manifest import Tolerance

# A model gives the same numbers on the same machine; another processor's vector units differ in the last digits.
DOUBLE = Tolerance(rtol=1e-6, atol=1e-9)
SINGLE = Tolerance(rtol=1e-4, atol=1e-6)


@dataclass(frozen=True)
class Kind:
    """One framework. reader: `module:function`, imported when a model of it is read. tolerance: where the user sets none.

    reads_older: its library reads what every older version of itself wrote.
    """

    reader: str
    tolerance: Tolerance = DOUBLE
    reads_older: bool = False


KINDS = {
    "sklearn": Kind("mlship.frameworks.sklearn:read_sklearn"),
    "python": Kind("mlship.frameworks.own_class:read_own_class"),
    "xgboost": Kind("mlship.frameworks.xgboost:read_xgboost", SINGLE, reads_older=True),
    "lightgbm": Kind("mlship.frameworks.lightgbm:read_lightgbm", reads_older=True),
    "catboost": Kind("mlship.frameworks.catboost:read_catboost", reads_older=True),
    "onnx": Kind("mlship.frameworks.onnx:read_onnx", SINGLE),
    "torch": Kind("mlship.frameworks.torch:read_torch", SINGLE),
    "transformers": Kind("mlship.frameworks.transformers:read_transformers", SINGLE, reads_older=True),
    "tensorflow": Kind("mlship.frameworks.tensorflow:read_tensorflow", SINGLE),
    "keras": Kind("mlship.frameworks.tensorflow:read_keras", SINGLE, reads_older=True),
    "mlflow": Kind("mlship.frameworks.mlflow:read_mlflow"),
}


def read_model(framework: str, asked: Asked) -> Read:
    """What the files tell of a model of a framework in KINDS; loads nothing. Raises MlshipError, OSError."""
    module, _, name = KINDS[framework].reader.partition(":")
    reader: Callable[[Asked], Read] = getattr(importlib.import_module(module), name)
    return reader(asked)
