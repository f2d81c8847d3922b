"""Packages that an environment lacks, for its interpreter, in a folder of mlship's: the environment itself is never touched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mlship.disk import locked, scratch_folder, used
from mlship.errors import Exit, MlshipError, need
from mlship.home import Home
from mlship.image.packages.environment import TrainingEnvironment, normalised
from mlship.image.packages.indexes import Indexes
from mlship.image.packages.unreachable import refuse_unreachable
from mlship.image.packages.uv_program import uv_command
from mlship.memo import Memo
from mlship.progress import Progress
from mlship.runner import Result, Runner


@dataclass(frozen=True)
class Beside:
    """folder: to be put behind the environment's own packages on its path. pins: what lies in it, `onnxruntime==1.32.0`, sorted."""

    folder: Path
    pins: tuple[str, ...]

    def version_of(self, name: str) -> str:
        """Empty for a package that the environment itself has."""
        return next((pin.partition("==")[2] for pin in self.pins if pin.partition("==")[0] == name), "")


@dataclass(frozen=True)
class Hands:
    """What finds and brings packages. root: the project's folder."""

    indexes: Indexes
    runner: Runner
    home: Home
    progress: Progress
    memo: Memo
    root: Path


def packages_beside(environment: TrainingEnvironment, wanted: tuple[str, ...], hands: Hands) -> Beside:
    """What `wanted` and all that it requires lack in the environment, in versions that go with what is there; wheels only.

    Asks the indexes once for each state of the environment, and for nothing that lies here already. Raises MlshipError: exit 5 where
    nothing goes with the environment, exit 13 where an index cannot be reached.
    """
    assert environment.python is not None, "packages lie beside an interpreter's own"
    there = {normalised(name): version for name, version in environment.versions.items()}
    facts = [environment.version, sorted(there.items()), wanted]
    subject = f"{environment.python} {' '.join(wanted)}"
    known = hands.memo.recall("beside", subject, facts)
    lacking = known is None and not _has(there, wanted)
    pins = _resolved(environment.python, there, wanted, hands) if lacking else tuple(known or ())
    folder = _installed(environment, pins, hands)
    hands.memo.keep("beside", subject, facts, pins)
    return Beside(folder, pins)


def _has(there: dict[str, str], wanted: tuple[str, ...]) -> bool:
    """Whether nothing has to be asked for: no index need know the versions that are there."""
    requirements = need("packaging.requirements")
    asked = [requirements.Requirement(line) for line in wanted]
    found = [(each.specifier, there.get(normalised(each.name))) for each in asked]
    return all(version is not None and specifier.contains(version, prereleases=True) for specifier, version in found)


def _resolved(python: Path, there: dict[str, str], wanted: tuple[str, ...], hands: Hands) -> tuple[str, ...]:
    with scratch_folder() as folder:
        asked = _file(folder / "wanted.in", wanted)
        held = _file(folder / "there.txt", tuple(f"{name}=={version}" for name, version in sorted(there.items())))
        arguments = ("pip", "compile", asked, "--constraints", held, "--only-binary", ":all:", "--python", str(python),
                     "--no-header", "--no-annotate", "--quiet")  # fmt: skip
        result = hands.runner.run(uv_command(arguments, hands.indexes, hands.root))
    _refuse(result, wanted)
    found = (line.strip() for line in result.text.splitlines())
    named = [(normalised(name), version) for name, pin, version in (line.partition("==") for line in found) if pin]
    return tuple(sorted(f"{name}=={version}" for name, version in named if name not in there))


def _installed(environment: TrainingEnvironment, pins: tuple[str, ...], hands: Hands) -> Path:
    key = hashlib.sha256("\n".join((environment.minor, str(environment.python), *pins)).encode()).hexdigest()[:16]
    place = hands.home.cache / "beside" / key
    with locked(hands.home.cache / "beside" / f".{key}.lock"):
        if place.is_dir():
            used(place)
            return place
        if pins:
            hands.progress.step("engine", f"getting {', '.join(pins)}")
        with scratch_folder(place.parent) as folder:
            asked = _file(folder / "pins.txt", pins)
            target = folder / "packages"
            target.mkdir()
            arguments = ("pip", "install", "--target", str(target), "--no-deps", "--only-binary", ":all:", "--quiet",
                         "--python", str(environment.python), "--requirement", asked)  # fmt: skip
            if pins:
                _refuse(hands.runner.run(uv_command(arguments, hands.indexes, hands.root)), pins)
            target.rename(place)
    return place


def _refuse(result: Result, wanted: tuple[str, ...]) -> None:
    if result.ok:
        return
    refuse_unreachable(result)
    raise MlshipError(
        f"nothing that goes with the environment's packages was found for {', '.join(wanted)}",
        fix="mlship doctor shows the indexes",
        exit=Exit.BUILD_FAILED,
        details=result.last_lines(),
        code="unresolved",
    )


def _file(path: Path, lines: tuple[str, ...]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)
