"""Bytes on disk -> a model that predicts: one file a framework."""

from __future__ import annotations

import importlib

from mlship.server.runtimes.base import LoadError, Runtime

# nothing is imported until it is chosen
RUNTIMES = {
    "sklearn": "mlship.server.runtimes.sklearn:SklearnRuntime",
    "python": "mlship.server.runtimes.python:PythonRuntime",
}


def runtime_for(framework: str) -> Runtime:
    """The runtime of a framework, imported now. Raises LoadError."""
    if framework not in RUNTIMES:
        raise LoadError(f"this server has no runtime for {framework}; it knows {', '.join(RUNTIMES)}")
    module, _, name = RUNTIMES[framework].partition(":")
    runtime: Runtime = getattr(importlib.import_module(module), name)()
    return runtime
