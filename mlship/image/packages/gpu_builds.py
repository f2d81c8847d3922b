"""What of a resolution has a build for graphics cards, and how that build is asked for. Pure.

Facts of the packages' own metadata: torch has one name for both builds, and the CPU one the local version `+cpu`; it requires
NVIDIA's packages itself (2.13). tensorflow requires them with its extra `and-cuda` (2.21). onnxruntime-gpu requires them with its
extras `cuda` and `cudnn` (1.31) and is released apart from onnxruntime, later or not at all. xgboost-cpu is xgboost without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from mlship.errors import Finding
from mlship.image.packages.cpu_builds import TAGGED, pinned_name
from mlship.image.packages.requirements_files import Requirements
from mlship.image.packages.unused import dropped
from mlship.image.packages.wheel_choice import Resolved
from mlship.units import size_text

# package -> (the one with CUDA, in these words, at this version)
BUILDS: Mapping[str, str] = {
    "xgboost-cpu": "xgboost=={version}",
    "tensorflow": "tensorflow[and-cuda]=={version}",
    "tensorflow-cpu": "tensorflow[and-cuda]=={version}",
    "onnxruntime": "onnxruntime-gpu[cuda,cudnn]<={version}",
    "onnxruntime-gpu": "onnxruntime-gpu[cuda,cudnn]=={version}",
}
WEIGHT = "gpu-builds"  # code of the finding that says what all of it weighs
OF_CARDS = ("nvidia-", "cuda-")
_NEED_MORE = ("torch", "tensorflow", "onnxruntime-gpu")  # without NVIDIA's packages these find no card


def for_cards(wanted: Requirements, resolved: Iterable[Resolved]) -> Requirements | None:
    """The same question with the builds for cards in the resolved versions; None where nothing has one, or all are such."""
    found = {package.name: package for package in resolved}
    pins = dict(_pins(found))
    if not pins or is_for_cards(found.values()):
        return None
    taken = {*pins, *(name.partition("[")[0].partition("=")[0].partition("<")[0] for name in pins.values())}
    gone = [name for name in pins if not pins[name].startswith((f"{name}[", f"{name}="))]
    return replace(
        wanted,
        lines=(*(line for line in wanted.lines if pinned_name(line) not in taken), *pins.values()),
        overrides=(
            *(line for line in wanted.overrides if pinned_name(line) not in taken),
            *map(dropped, gone),
            *pins.values(),
        ),
        constraints=tuple(line for line in wanted.constraints if pinned_name(line) not in taken),
    )


def is_for_cards(resolved: Iterable[Resolved]) -> bool:
    """Whether nothing in it is a build for CPUs that has one for cards beside it, and each is a wheel."""
    found = {package.name: package for package in resolved}
    made = [found[name] for name in (*TAGGED, *_NEED_MORE, "xgboost") if name in found]
    has_cards = any(name.startswith(OF_CARDS) for name in found)
    return (
        not {"xgboost-cpu", "tensorflow-cpu", "onnxruntime"} & found.keys()
        and not any(package.version.endswith("+cpu") for package in made)
        and (has_cards or not any(name in found for name in _NEED_MORE))
        and all(package.sha256 for package in made)
    )


def told(before: Iterable[Resolved], after: Iterable[Resolved], wanted: Requirements) -> tuple[Finding, ...]:
    """That another build was taken, and what all of them weigh, for people. after: what goes into the image."""
    now = {package.name: package for package in after}
    return (*_swapped({package.name: package for package in before}, now, wanted.source), *weight(now.values(), wanted.source))


def weight(resolved: Iterable[Resolved], source: str) -> tuple[Finding, ...]:
    """`torch 2.13.0 and 19 packages of NVIDIA's: 2.1 GB are fetched`; nothing where no build for cards is among them."""
    found = sorted(resolved, key=lambda package: package.name)
    cards = [package for package in found if package.name.startswith(OF_CARDS)]
    main = [f"{package.name} {package.version}" for package in found if package.name in (*_NEED_MORE, "xgboost")]
    if not cards and not main:
        return ()
    unsaid = sum(not package.size for package in found)
    size = size_text(sum(package.size for package in found))
    rest = f"; {unsaid} of {len(found)} packages come without a size" if unsaid else ""
    of = f"{', '.join(main)} with {len(cards)} package{'s' if len(cards) != 1 else ''} of NVIDIA's"
    what = f"CUDA builds for resources.gpu: {of}; {'at least ' if unsaid else ''}{size} to fetch in all{rest}"
    return (Finding(what, source, "without resources.gpu the builds for CPUs are taken", "note", WEIGHT),)


def _pins(found: Mapping[str, Resolved]) -> Iterator[tuple[str, str]]:
    for name, words in BUILDS.items():
        if name in found:
            yield name, words.format(version=found[name].version.partition("+")[0])
    has_cards = any(name.startswith("nvidia-") for name in found)
    for name in TAGGED if "torch" in found else ():
        version, _, tag = found[name].version.partition("+") if name in found else ("", "", "")
        if version and (tag == "cpu" or not has_cards):
            # `==2.13.0` alone takes 2.13.0+cpu, too (version specifiers, "Version matching": local versions are ignored)
            yield name, f"{name}=={version},!={version}+cpu"


def _swapped(before: Mapping[str, Resolved], now: Mapping[str, Resolved], source: str) -> Iterator[Finding]:
    for name, package in before.items():
        twin = BUILDS.get(name, name).partition("[")[0].partition("=")[0]
        taken = now.get(twin)
        if (
            (name not in BUILDS and name not in TAGGED)
            or taken is None
            or (taken.name, taken.version) == (name, package.version)
        ):
            continue
        other = taken.version.partition("+")[0] != package.version.partition("+")[0]
        yield Finding(
            f"{twin} {taken.version} goes into the image in place of {name} {package.version}: built for CUDA"
            + ("; no index has that version of it" if other else ""),
            where=source,
            fix=f"train with {name} {taken.version} to have the same in both" if other else "nothing to do",
            severity="warning" if other else "note",
            code="gpu-build",
        )
