"""Bytes on disk -> a model that predicts: one file a framework, and one for each engine that models are compiled for."""

from __future__ import annotations

import importlib

from mlship.server.runtimes.base import LoadError, Runtime

# nothing is imported until it is chosen
RUNTIMES = {
    "sklearn": "mlship.server.runtimes.sklearn:SklearnRuntime",
    "python": "mlship.server.runtimes.python:PythonRuntime",
    "transformers": "mlship.server.runtimes.transformers:TransformersRuntime",
    "tensorflow": "mlship.server.runtimes.tensorflow:TensorflowRuntime",
    "keras": "mlship.server.runtimes.tensorflow:KerasRuntime",
    "mlflow": "mlship.server.runtimes.mlflow:MlflowRuntime",
    "numpy": "mlship.server.runtimes.numpy_plan:NumpyRuntime",
    "trees": "mlship.server.runtimes.trees:TreesRuntime",
    "xgboost": "mlship.server.runtimes.xgboost:XgboostRuntime",
    "lightgbm": "mlship.server.runtimes.lightgbm:LightgbmRuntime",
    "catboost": "mlship.server.runtimes.catboost:CatboostRuntime",
    "onnx": "mlship.server.runtimes.onnx:OnnxRuntime",
    "int8": "mlship.server.runtimes.onnx:OnnxRuntime",
    "torch": "mlship.server.runtimes.torch:TorchRuntime",
}


def runtime_for(framework: str) -> Runtime:
    """The runtime of a framework or an engine, imported now. Raises LoadError."""
    if framework not in RUNTIMES:
        raise LoadError(f"this server has no runtime for {framework}; it knows {', '.join(RUNTIMES)}")
    module, _, name = RUNTIMES[framework].partition(":")
    runtime: Runtime = getattr(importlib.import_module(module), name)()
    return runtime
