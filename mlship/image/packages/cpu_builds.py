"""What of a resolution brings code for graphics cards, and has a build without it. Pure.

xgboost 3.2.0 for Linux requires nvidia-nccl-cu12, which alone unpacks to several hundred megabytes; xgboost-cpu is the same source
of the same version, built without it (XGBoost's installation guide, "Minimal installation (CPU-only)"). PyTorch's builds for CPUs have
its own name and the local version `+cpu` (its "Get Started" page); they are there where an index or folder that has them is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mlship.errors import Finding
from mlship.image.packages.requirements_files import Requirements
from mlship.image.packages.unused import dropped
from mlship.image.packages.wheel_choice import Resolved

# package -> the same modules and versions without GPU code
TWINS: Mapping[str, str] = {"xgboost": "xgboost-cpu", "tensorflow": "tensorflow-cpu", "onnxruntime-gpu": "onnxruntime"}
TAGGED = ("torch", "torchaudio", "torchvision")  # one name for both builds
_WITH_CARDS = ("nvidia-", "cuda-", "triton")  # what torch requires in its build for cards (2.13)
_ITS_OWN = ("nvidia-nccl-",)  # what the packages in TWINS require of a card's maker


def for_cpus(wanted: Requirements, resolved: Iterable[Resolved]) -> Requirements | None:
    """The same question with the twins in the resolved versions; None where nothing that was resolved has one."""
    found = {package.name: package for package in resolved}
    heavy = {name: found[name].version for name in TWINS if name in found}
    tagged = _tagged(found)
    if not heavy and not tagged:
        return None
    pins = {name: f"{TWINS[name]}=={version}" for name, version in heavy.items() if TWINS[name] not in found}
    pins |= {name: f"{name}=={version}" for name, version in tagged.items()}
    gone = (*heavy, *(_of_no_other_use(found) if not tagged else [name for name in found if name.startswith(_WITH_CARDS)]))
    return replace(
        wanted,
        lines=(*(line for line in wanted.lines if pinned_name(line) not in (*gone, *tagged)), *pins.values()),
        overrides=(
            *(line for line in wanted.overrides if pinned_name(line) not in (*gone, *tagged)),
            *map(dropped, gone),
            *pins.values(),
        ),
        constraints=tuple(line for line in wanted.constraints if pinned_name(line) not in (*gone, *tagged)),
    )


def is_for_cpus(resolved: Iterable[Resolved]) -> bool:
    """Whether every twin in it is a wheel, and none of the packages that they stand for is left."""
    found = {package.name: package for package in resolved}
    made = [found[name] for name in (*TWINS.values(), *TAGGED) if name in found]
    return not TWINS.keys() & found.keys() and not _tagged(found) and all(package.sha256 for package in made)


def told(before: Iterable[Resolved], wanted: Requirements) -> tuple[Finding, ...]:
    """That a twin was taken, for people."""
    found = {package.name: package for package in before}
    taken = {f"{TWINS[name]} {found[name].version}": name for name in TWINS if name in found}
    taken |= {f"{name} {version}": f"{name} {found[name].version}" for name, version in _tagged(found).items()}
    return tuple(
        Finding(
            f"{twin} goes into the image in place of {name}: the same without GPU code",
            where=wanted.source,
            fix="nothing to do",
            severity="note",
            code="cpu-build",
        )
        for twin, name in taken.items()
    )


def pinned_name(line: str) -> str:
    """`xgboost` of `xgboost==3.2.0`; empty for a line of another form."""
    name, pin, _ = line.partition("==")
    return name if pin else ""


def _tagged(found: Mapping[str, Resolved]) -> dict[str, str]:
    """Versions of the builds for CPUs that stand for builds for cards among what was resolved."""
    if "torch" not in found or not any(name.startswith("nvidia-") for name in found):
        return {}
    versions = {name: found[name].version.partition("+") for name in TAGGED if name in found}
    return {name: f"{version}+cpu" for name, (version, _, tag) in versions.items() if tag != "cpu"}


def _of_no_other_use(found: Mapping[str, Resolved]) -> tuple[str, ...]:
    """NCCL, where nothing else of the cards' maker is there: torch, which needs it too, always brings more of it."""
    nvidia = [name for name in found if name.startswith("nvidia-")]
    return tuple(nvidia) if all(name.startswith(_ITS_OWN) for name in nvidia) else ()
