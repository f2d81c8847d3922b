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


def size_findings(project: Project, models: Iterable[tuple[str, str, int]]) -> tuple[Finding, ...]:
    """models: name, framework, and bytes of the files. Nothing is said where a GPU may hold them."""
    limit = project.resources.memory
    if project.resources.gpu is not None:
        return ()
    return tuple(
        _too_little(
            f"{name} is {size_text(size)} on disk and takes more when it is loaded, and resources.memory is {limit}",
            size,
            project,
        )
        for name, framework, size in models
        if framework in _HOLD_WHOLE and size > limit.bytes
    )


def peak_findings(project: Project, specs: Iterable[ModelSpec], loaded: Mapping[str, Loaded]) -> tuple[Finding, ...]:
    """Of models that were loaded as they are served."""
    limit = project.resources.memory
    peaks = {spec.name: loaded[spec.name].peak_memory for spec in specs if spec.name in loaded}
    return tuple(
        _too_little(f"{name} needed {size_text(peak)} to load, and resources.memory is {limit}", peak, project)
        for name, peak in peaks.items()
        if peak > limit.bytes
    )


def _too_little(what: str, needed: int, project: Project) -> Finding:
    fix = f"set resources.memory: {enough(needed)}"
    return Finding(what, project.at("resources.memory"), fix, code="too-little-memory")
