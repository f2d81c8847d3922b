"""Makes a wheel of a package that has none: from git, a folder, or a source archive; once for each state of its source."""

from __future__ import annotations

import hashlib
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from mlship.disk import locked, scratch_folder, write_atomic
from mlship.errors import Exit, MlshipError, need
from mlship.home import Home
from mlship.image.packages.environment import normalised
from mlship.image.packages.indexes import Indexes
from mlship.image.packages.requirements_files import tree_digest
from mlship.image.packages.unreachable import refuse_unreachable
from mlship.image.packages.uv_program import uv_command
from mlship.image.plan import Wheel
from mlship.progress import Progress
from mlship.runner import Runner

# The date in the wheel's members, so that the same source gives the same wheel: 1980-01-01, the first that zip knows.
_SOURCE_DATE_EPOCH = "315532800"


@dataclass(frozen=True)
class Workshop:
    """What wheels are made with. python: the training environment's interpreter, None: one of the minor version is looked for."""

    root: Path
    python: Path | None
    python_minor: str
    indexes: Indexes
    runner: Runner
    home: Home
    progress: Progress

    @property
    def folder(self) -> Path:
        return self.home.cache / "built"


def wheel_from_source(name: str, version: str, origin: str, workshop: Workshop) -> Wheel:
    """The wheel of a source, made now or found in the cache.

    origin: `git+<url>@<commit>[#subdirectory=...]`, `file:<path>` (folder or archive), `<archive>#sha256=<hex>`, or the
    address of a wheel. Runs the package's own build in the user's Python, as pip would. Raises MlshipError, exit 5;
    exit 13 where the source, or what its build needs, cannot be reached.
    """
    key = _source_key(name, version, origin, workshop.python_minor)
    known = workshop.folder / "by-source" / key
    with locked(workshop.folder / "locks" / key):
        if known.is_file():
            made = built_wheel(known.read_text().strip(), workshop.home)
            if made is not None:
                return _wheel(name, made, origin, workshop.root)
        workshop.progress.step("packages", f"building {name} from {_kind(origin)}")
        made = _make(name, version, origin, workshop)
        write_atomic(known, made.parent.name.encode())
        return _wheel(name, made, origin, workshop.root)


def built_wheel(sha256: str, home: Home) -> Path | None:
    """A wheel that was made on this machine, by its hash."""
    folder = home.cache / "built" / sha256
    return next(iter(folder.glob("*.whl")), None) if folder.is_dir() else None


def restored(wheel: Wheel, workshop: Workshop) -> Wheel:
    """The wheel of a lock file with its path on this machine; made again from its origin where it is not here.

    Raises MlshipError (exit 5) when what is made now is not what was locked.
    """
    if not wheel.origin or (wheel.built and wheel.built.is_file()):
        return wheel
    here = built_wheel(wheel.sha256, workshop.home)
    if here is None:
        made = wheel_from_source(wheel.name, wheel.version, _absolute(wheel.origin, workshop.root), workshop)
        if made.sha256 != wheel.sha256:
            raise MlshipError(
                f"{wheel.name} {wheel.version} built here is not the wheel that mlship.lock has "
                f"({made.sha256[:12]}, locked {wheel.sha256[:12]})",
                where=wheel.origin,
                fix="its build is not reproducible: publish its wheel to an index, or mlship lock --refresh and build again",
                exit=Exit.BUILD_FAILED,
                code="not-reproducible",
            )
        here = made.built
    return replace(wheel, built=here)


def _make(name: str, version: str, origin: str, workshop: Workshop) -> Path:
    """Builds into a temporary folder, then keeps the wheel under its own hash."""
    with scratch_folder(workshop.folder) as made:
        out = made / "out"
        if origin.endswith(".whl") and origin.startswith("file:"):
            out.mkdir()
            shutil.copyfile(origin[5:], out / Path(origin[5:]).name)
        else:
            _pip_wheel(name, version, origin, made, workshop)
        wheels = sorted(out.glob("*.whl"))
        if len(wheels) != 1:
            raise _failed(name, origin, [f"its build made {len(wheels)} wheels"])
        sha256 = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
        target = workshop.folder / sha256
        if not (target / wheels[0].name).is_file():
            shutil.rmtree(target, ignore_errors=True)
            out.replace(target)
        return target / wheels[0].name


def _pip_wheel(name: str, version: str, origin: str, folder: Path, workshop: Workshop) -> None:
    """pip, because it knows every kind of source; uv lends it for the moment, the environment need not have it."""
    asked = folder / "requirement.txt"
    asked.write_text(_requirement(name, version, origin) + "\n")  # in a file: the address may hold a token
    asked.chmod(0o600)
    python = str(workshop.python) if workshop.python else workshop.python_minor
    arguments = ("tool", "run", "--isolated", "--python", python, "pip", "wheel", "--no-deps", "--quiet", "--no-cache-dir",
                 "--wheel-dir", str(folder / "out"), "--requirement", str(asked))  # fmt: skip
    binary = ("--no-binary", normalised(name)) if "#sha256=" in origin else ()
    command = uv_command(arguments, workshop.indexes, workshop.root)
    fixed = {"SOURCE_DATE_EPOCH": _SOURCE_DATE_EPOCH, "PYTHONHASHSEED": "0", "GIT_TERMINAL_PROMPT": "0"}
    environ = {**command.extra_environ, **workshop.indexes.pip_environ(), **fixed}
    command = replace(command, argv=(*command.argv, *binary), cwd=folder, extra_environ=environ)
    result = workshop.runner.run(command)
    if not result.ok:
        refuse_unreachable(result, f"the source of {name}")
        raise _failed(name, origin, result.last_lines(12))


def _requirement(name: str, version: str, origin: str) -> str:
    if origin.startswith("git+") or "://" in origin:
        return f"{name} @ {origin}"
    if origin.startswith("file:"):
        return f"{name} @ {Path(origin[5:]).absolute().as_uri()}"
    return f"{name}=={version} --hash=sha256:{origin.rpartition('#sha256=')[2]}"


def _failed(name: str, origin: str, details: list[str]) -> MlshipError:
    return MlshipError(
        f"{name} has no wheel, and building one from {_kind(origin)} failed",
        where=origin,
        fix="install what its build needs (compilers, headers), or take a version that has a wheel for Linux",
        exit=Exit.BUILD_FAILED,
        details=details,
        code="source-build-failed",
    )


def _kind(origin: str) -> str:
    if origin.startswith("git+"):
        return "git"
    return "its folder" if origin.startswith("file:") else "its source archive"


def _source_key(name: str, version: str, origin: str, python_minor: str) -> str:
    """What the wheel depends on: the source's state, the Python, and the machine that compiles."""
    state = tree_digest(Path(origin[5:])) if origin.startswith("file:") and Path(origin[5:]).exists() else origin
    text = "\0".join((normalised(name), version, state, python_minor, sys.platform))
    return hashlib.sha256(text.encode()).hexdigest()


def _wheel(name: str, path: Path, origin: str, root: Path) -> Wheel:
    """origin as it is recorded: a path below the project is relative to it, another one only its name."""
    version = str(need("packaging.utils").parse_wheel_filename(path.name)[1])
    return Wheel(normalised(name), version, path.parent.name, path, _recorded(origin, root))


def _recorded(origin: str, root: Path) -> str:
    if not origin.startswith("file:"):
        return origin
    path = Path(origin[5:])
    return f"file:{path.relative_to(root)}" if path.is_relative_to(root) else f"file:{path.name}"


def _absolute(origin: str, root: Path) -> str:
    if not origin.startswith("file:"):
        return origin
    path = root / origin[5:]
    if path.exists():
        return f"file:{path}"
    raise MlshipError(
        f"mlship.lock has a package that was built from {origin[5:]}, which is not here",
        where=str(path),
        fix="get its source, or mlship lock --refresh and build again",
        exit=Exit.BUILD_FAILED,
        code="no-source",
    )
