"""Installs locked wheels into folders that become layers; each list of wheels once."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Collection, Iterable
from importlib import resources
from pathlib import Path

from mlship.config.project import Project
from mlship.disk import locked, scratch_folder, used
from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.image.packages.environment import normalised
from mlship.image.packages.indexes import Indexes
from mlship.image.packages.installed_tree import normalise
from mlship.image.packages.source_wheels import Workshop, restored
from mlship.image.packages.unreachable import refuse_unreachable
from mlship.image.packages.uv_program import uv_command, uv_platform
from mlship.image.plan import Wheel
from mlship.progress import Progress
from mlship.runner import Runner
from mlship.units import size_text

_LITTLE = 64 * 2**20  # bytes; a disk with less has probably refused uv a file
_LAYOUT = "1"  # raised when installed_tree.py makes another folder of the same wheels


def wheels_key(wheels: Iterable[Wheel], python_minor: str, platform: str) -> str:
    """What an installed folder depends on, hex. The same wheels give the same folder on every machine."""
    lines = sorted(f"{wheel.name}=={wheel.version} {wheel.sha256}" for wheel in wheels)
    return hashlib.sha256("\n".join((_LAYOUT, python_minor, platform, *lines)).encode()).hexdigest()


def install(
    wheels: tuple[Wheel, ...],
    *,
    python_minor: str,
    platform: str,
    glibc: str,
    indexes: Indexes,
    runner: Runner,
    home: Home,
    progress: Progress,
    project_root: Path,
    python: Path | None = None,
) -> Path:
    """The folder with the wheels installed, made now or found in the cache; it is never changed afterwards.

    platform: `linux/amd64`; it need not be this machine's. Every file is checked against the lock's hash. project_root,
    python: where and with what wheels are built again that were built from source on another machine.
    Raises MlshipError: exit 13 where an index cannot be reached, exit 5 where a file cannot be had or is not the locked one.
    """
    target = home.cache / "packages" / wheels_key(wheels, python_minor, platform)
    if target.is_dir():
        used(target)
        return target
    workshop = Workshop(project_root, python, python_minor, indexes, runner, home, progress)
    whole = [restored(wheel, workshop) for wheel in wheels]
    progress.step("packages", f"installing {len(wheels)}")
    lines = [_line(wheel) for wheel in whole]
    arguments = ("--require-hashes", "--python-platform", uv_platform(platform, glibc), "--python-version", python_minor,
                 "--python", sys.executable)  # fmt: skip  # any Python will do: uv only copies files
    _install_once(target, lines, arguments, workshop)
    return target


def server_wheels(
    home: Home,
    *,
    python_minor: str,
    indexes: Indexes,
    runner: Runner,
    progress: Progress,
    project_root: Path,
    python: Path,
    packages: str | None = None,
    keys: Collection[str] = (),
) -> Path:
    """The folder with the server's own packages for a `python` of this machine (`mlship run --source`; macOS, too).

    packages: the pins, those of mlship/server/packages.txt when left out. keys: as `server_keys` gives them. Made once, then
    found in the cache without starting a program. An image's are locked, and installed by `install`.
    """
    lines = list(server_pins(python_minor, packages, keys))
    key = hashlib.sha256("\n".join((_LAYOUT, python_minor, f"{sys.platform}-{python}", *lines)).encode()).hexdigest()
    target = home.cache / "server" / key
    if target.is_dir():
        used(target)
        return target
    progress.step("server", f"installing {len(lines)} packages")
    workshop = Workshop(project_root, python, python_minor, indexes, runner, home, progress)
    _install_once(target, lines, ("--python", str(python)), workshop)
    return target


def server_packages() -> str:
    """The pins of the server's own packages, as they stand in the server."""
    return resources.files("mlship.server").joinpath("packages.txt").read_text(encoding="utf-8")


def server_keys(project: Project) -> frozenset[str]:
    """The keys of mlship.yaml that need packages which not every server has."""
    auth = project.serve.auth
    return frozenset(("serve.auth.jwt",)) if auth is not None and auth.jwt is not None else frozenset()


def server_pins(python_minor: str, packages: str | None = None, keys: Collection[str] = ()) -> tuple[str, ...]:
    """`orjson==3.13.0`, one a package, for a Python such as `3.11`.

    packages: a file's text, that of this mlship when left out. keys: as `server_keys`.
    """
    text = server_packages() if packages is None else packages
    lines = (line.partition("#") for line in text.splitlines())
    asked = ((pin.strip(), comment.strip()) for pin, _, comment in lines)
    return tuple(pin for pin, only in asked if pin and _is_asked(only, python_minor, keys))


def _is_asked(only: str, python_minor: str, keys: Collection[str]) -> bool:
    """only: what stands behind the pin."""
    key, below = only.partition("only with ")[2], only.partition("only below Python ")[2]
    return (not key or key in keys) and (not below or _numbers(python_minor) < _numbers(below))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def server_fits(wheels: Iterable[Wheel], python_minor: str, keys: Collection[str] = ()) -> bool:
    """Whether they are what this mlship's server is made with."""
    return not server_changes(wheels, python_minor, keys)


def server_changes(wheels: Iterable[Wheel], python_minor: str, keys: Collection[str] = ()) -> tuple[str, ...]:
    """What another mlship's server was made with, in words: `orjson 3.12.0 is locked, this mlship's server has 3.13.0`."""
    asked = server_pins(python_minor, keys=keys)
    pins = {normalised(name): version for name, _, version in (pin.partition("==") for pin in asked)}
    locked = {wheel.name: wheel.version for wheel in wheels}
    return tuple(
        f"{name} {locked.get(name, 'in no version')} is locked, and this mlship's server has {pins.get(name, 'none of it')}"
        for name in sorted({*pins, *locked})
        if pins.get(name) != locked.get(name)
    )


def missing_from(folder: Path, modules: Iterable[str]) -> tuple[str, ...]:
    """Those of the top-level modules that an installed folder does not have, sorted. Nothing is imported."""
    have = {path.name.partition(".")[0] for path in folder.iterdir()} if folder.is_dir() else set()
    return tuple(sorted(set(modules) - have))


def _line(wheel: Wheel) -> str:
    if wheel.built:
        return f"{wheel.name} @ {wheel.built.absolute().as_uri()} --hash=sha256:{wheel.sha256}"
    return f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}"


def _install_once(target: Path, lines: list[str], arguments: tuple[str, ...], workshop: Workshop) -> None:
    """Into a temporary folder beside the target, which gets its name when it is whole."""
    with locked(target.parent / f".{target.name}.lock"):
        if target.is_dir():
            return
        with scratch_folder(target.parent) as making:
            folder = making / "folder"
            folder.mkdir()
            if lines:
                _uv_install(folder, lines, arguments, workshop)
            normalise(folder)
            folder.rename(target)
        (target.parent / f".{target.name}.lock").unlink(missing_ok=True)


def _uv_install(folder: Path, lines: list[str], arguments: tuple[str, ...], workshop: Workshop) -> None:
    listed = folder.parent / "requirements.txt"
    listed.write_text("".join(f"{line}\n" for line in lines))
    command = ("pip", "install", "--target", str(folder), "--no-deps", "--only-binary", ":all:", "--link-mode", "copy",
               "--no-compile-bytecode", "--no-break-system-packages", "-r", str(listed), *arguments)  # fmt: skip
    result = workshop.runner.stream(
        uv_command(command, workshop.indexes.for_hashes(), workshop.root),
        lambda line: workshop.progress.step("packages", line.strip()),
    )
    if result.ok:
        return
    free = shutil.disk_usage(folder).free
    shutil.rmtree(folder, ignore_errors=True)
    refuse_unreachable(result)
    if free < _LITTLE:
        raise _no_room(folder.parent.parent, free, tuple(result.last_lines(4)))
    raise MlshipError(
        "the locked packages cannot be installed",
        where=", ".join(line.partition(" ")[0] for line in lines[:5]) + (", ..." if len(lines) > 5 else ""),
        fix="the last lines of uv say which one; mlship doctor shows the indexes; mlship lock --refresh resolves anew",
        exit=Exit.BUILD_FAILED,
        details=result.last_lines(12),
        code="install-failed",
    )


def _no_room(place: Path, free: int, said: tuple[str, ...]) -> MlshipError:
    return MlshipError(
        f"the locked packages cannot be installed, and only {size_text(free)} are free below {place}",
        where=str(place),
        fix="free some space there, or set MLSHIP_HOME to another disk; nothing half-written is kept",
        exit=Exit.BUILD_FAILED,
        details=said,
        code="disk",
    )
