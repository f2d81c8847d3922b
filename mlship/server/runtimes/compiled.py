"""A model that a build compiled: loaded from its plan file, without the packages that it was trained with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.plan_file import Plan, read_plan


class CompiledModel:
    """compute: rows, as the plan's signature says, to the answer."""

    has_own_code = False

    def __init__(self, plan: Plan, compute: Callable[[Any], Mapping[str, Any]]) -> None:
        self._header = plan.header
        self.predict = compute

    @property
    def title(self) -> str:
        return str(self._header["title"])

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        """The original's, as it was when the model was compiled."""
        return manifest.signature_from_dict(self._header["signature"])


def compiled_model(
    path: Path, engine: str, compute_from: Callable[[Plan], Callable[[Any], Mapping[str, Any]]]
) -> CompiledModel:
    """Raises LoadError for a file that is no plan of the engine."""
    return model_of_plan(read_plan(path), path.name, engine, compute_from)


def model_of_plan(
    plan: Plan, name: str, engine: str, compute_from: Callable[[Plan], Callable[[Any], Mapping[str, Any]]]
) -> CompiledModel:
    """name: of the file that the plan stands in. Raises LoadError."""
    if plan.header.get("engine") != engine:
        raise LoadError(f"{name} is compiled for {plan.header.get('engine')}, not for {engine}; build the image again")
    try:
        return CompiledModel(plan, compute_from(plan))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise LoadError(f"{name} is damaged ({type(error).__name__}: {error}); build the image again") from None
