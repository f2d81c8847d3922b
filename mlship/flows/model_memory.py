"""Whether models fit into a replica's memory: by their files before anything is loaded, by what loading took afterwards. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlship.config.project import Project
from mlship.errors import Finding
from mlship.frameworks.base import Loaded, ModelSpec
from mlship.units import Memory, size_text

# frameworks that hold all of a file in memory of their own once it is loaded, and whose models are never compiled to another file
_HOLD_WHOLE = ("torch", "keras", "transformers")
_STEP = 2**28


def enough(needed: int) -> Memory:
    """With a quarter more, in steps of 256 MiB."""
    return Memory(-(-needed * 5 // 4 // _STEP) * _STEP)


def too_little(name: str, told: str, needed: int, project: Project) -> Finding:
    """told: what is known of the model. needed: bytes."""
    return Finding(
        f"{name} {told}, and resources.memory is {project.resources.memory}",
        project.at("resources.memory"),
        f"set resources.memory: {enough(needed)}",
        code="too-little-memory",
    )


def size_findings(project: Project, models: Iterable[tuple[str, str, int]]) -> tuple[Finding, ...]:
    """models: name, framework, and bytes of the files. Nothing is said where a GPU may hold them."""
    if project.resources.gpu is not None:
        return ()
    return tuple(
        too_little(name, f"is {size_text(size)} on disk and takes more when it is loaded", size, project)
        for name, framework, size in models
        if framework in _HOLD_WHOLE and size > project.resources.memory.bytes
    )


def peak_findings(project: Project, specs: Iterable[ModelSpec], loaded: Mapping[str, Loaded]) -> tuple[Finding, ...]:
    """Of models that were loaded as they are served."""
    return tuple(
        too_little(
            spec.name, f"needed {size_text(loaded[spec.name].peak_memory)} to load", loaded[spec.name].peak_memory, project
        )
        for spec in specs
        if spec.name in loaded and loaded[spec.name].peak_memory > project.resources.memory.bytes
    )
