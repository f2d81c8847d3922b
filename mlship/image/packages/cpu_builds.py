"""What of a resolution brings code for graphics cards, and has a build without it. Pure.

xgboost 3.2.0 for Linux requires nvidia-nccl-cu12, which alone unpacks to several hundred megabytes; xgboost-cpu is the same source
of the same version, built without it (XGBoost's installation guide, "Minimal installation (CPU-only)").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mlship.errors import Finding
from mlship.image.packages.requirements_files import Requirements
from mlship.image.packages.unused import dropped
from mlship.image.packages.wheel_choice import Resolved

TWINS: Mapping[str, str] = {"xgboost": "xgboost-cpu"}  # package -> the same modules and versions without GPU code
_ITS_OWN = ("nvidia-nccl-",)  # what the packages in TWINS require of a card's maker


def for_cpus(wanted: Requirements, resolved: Iterable[Resolved]) -> Requirements | None:
    """The same question with the twins in the resolved versions; None where nothing that was resolved has one."""
    found = {package.name: package for package in resolved}
    heavy = {name: found[name].version for name in TWINS if name in found}
    if not heavy:
        return None
    pins = {name: f"{TWINS[name]}=={version}" for name, version in heavy.items() if TWINS[name] not in found}
    gone = (*heavy, *_of_no_other_use(found))
    return replace(
        wanted,
        lines=(*(line for line in wanted.lines if pinned_name(line) not in gone), *pins.values()),
        overrides=(*(line for line in wanted.overrides if pinned_name(line) not in gone), *map(dropped, gone), *pins.values()),
        constraints=tuple(line for line in wanted.constraints if pinned_name(line) not in gone),
    )


def is_for_cpus(resolved: Iterable[Resolved]) -> bool:
    """Whether every twin in it is a wheel, and none of the packages that they stand for is left."""
    found = {package.name: package for package in resolved}
    return not TWINS.keys() & found.keys() and all(found[name].sha256 for name in TWINS.values() if name in found)


def told(before: Iterable[Resolved], wanted: Requirements) -> tuple[Finding, ...]:
    """That a twin was taken, for people."""
    return tuple(
        Finding(
            f"{TWINS[package.name]} {package.version} goes into the image in place of {package.name}: the same without GPU code",
            where=wanted.source,
            fix="nothing to do",
            severity="note",
            code="cpu-build",
        )
        for package in before
        if package.name in TWINS
    )


def pinned_name(line: str) -> str:
    """`xgboost` of `xgboost==3.2.0`; empty for a line of another form."""
    name, pin, _ = line.partition("==")
    return name if pin else ""


def _of_no_other_use(found: Mapping[str, Resolved]) -> tuple[str, ...]:
    """NCCL, where nothing else of the cards' maker is there: torch, which needs it too, always brings more of it."""
    nvidia = [name for name in found if name.startswith("nvidia-")]
    return tuple(nvidia) if all(name.startswith(_ITS_OWN) for name in nvidia) else ()
