"""Whether any model would use the GPU that resources.gpu asks for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mlship.config.project import Project
from mlship.errors import Finding
from mlship.frameworks.base import ModelSpec

# Those whose runtimes (server/runtimes) put a model on a GPU, and code of the user's own, which may.
ON_GPU = ("torch", "transformers", "tensorflow", "keras", "xgboost", "onnx", "python", "mlflow")


def gpu_findings(project: Project, specs: Sequence[ModelSpec]) -> tuple[Finding, ...]:
    """An error where none would."""
    if project.resources.gpu is None or not specs or any(spec.framework in ON_GPU for spec in specs):
        return ()
    frameworks = sorted({spec.framework for spec in specs})
    what = f"no model here computes on a GPU: {' and '.join(frameworks)} answer{'s' if len(frameworks) == 1 else ''} on the CPU"
    return (Finding(what, project.at("resources.gpu"), "leave resources.gpu out", code="no-use-of-gpu"),)
