"""Which shared libraries an installed folder of Python packages needs, and does not find in its image.

Looked for as the dynamic loader does (ld.so(8)): RPATH of a file and of those that load it, or its own RUNPATH; then the
base's ld.so.cache. Nothing is run, so that it works for any platform.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlship.errors import Exit, MlshipError
from mlship.image.plan import PACKAGES
from mlship.image.system import elf
from mlship.image.system.ld_cache import libraries
from mlship.oci.rootfs import machine

# The interpreter's own library: extension modules may name it, and the interpreter that loads them brings what is in it.
_INTERPRETERS = ("libpython3.",)

# Modules whose libraries a base leaves out (apt_resolve.NEEDLESS_TO_PYTHON), for people at a terminal and for old databases
_NEEDLESS_MODULES = ("_curses", "_curses_panel", "_dbm", "_gdbm", "nis", "readline")


@dataclass(frozen=True, order=True)
class Missing:
    """file: the one that needs the library, relative to its folder."""

    library: str
    file: str


@dataclass(frozen=True)
class Installed:
    """The ELF files of a folder, by path relative to it, and what the image below holds."""

    folder: Path
    files: Mapping[str, elf.Library]
    base: Path
    base_names: Collection[str]


def installed(folder: Path, base: Path, target: str = PACKAGES) -> Installed:
    """Reads every shared library of the folder. base: the files of the base, unpacked; target: the folder's place there."""
    files = {path.relative_to(folder).as_posix(): found for path in _candidates(folder) if (found := elf.library(path))}
    _, folders = machine(base)
    return Installed(folder, files, base, frozenset(libraries(base, folders)))


def missing(tree: Installed) -> tuple[Missing, ...]:
    """What any file of the folder would not find, sorted by library.

    Not those that lie elsewhere in the folder, where nothing leads to: wheels load such ones by their path beforehand.
    """
    visited: set[str] = set()
    found: set[Missing] = set()
    for root in (*_roots(tree), *sorted(tree.files)):
        if root not in visited:  # the second time round: files that load each other in a circle
            found |= set(_unresolved(tree, root, visited))
    return _sorted(tree, found)


def missing_to(tree: Installed, files: Iterable[str]) -> tuple[Missing, ...]:
    """What the loader would not find when Python loads these files; others than the folder's are passed over."""
    visited: set[str] = set()
    found = {each for file in files if file in tree.files for each in _unresolved(tree, file, visited)}
    return _sorted(tree, found)


def _sorted(tree: Installed, found: Iterable[Missing]) -> tuple[Missing, ...]:
    own = {Path(name).name for name in tree.files} | {known.soname for known in tree.files.values()}
    return tuple(sorted(each for each in found if each.library not in own))


def remove_unloadable(tree: Path, python: str) -> None:
    """Removes those modules of a base's Python whose libraries it leaves out. tree: the base; python: `python3.11`.

    Raises MlshipError with exit 5 where a module that servers use lacks a library.
    """
    folder = tree / "usr/lib" / python / "lib-dynload"
    if not folder.is_dir():
        return
    lacks = missing(installed(folder, tree))
    for file in sorted({each.file for each in lacks}):
        if file.partition(".")[0] not in _NEEDLESS_MODULES:
            names = ", ".join(each.library for each in lacks if each.file == file)
            raise MlshipError(f"{python}'s own {file} lacks {names}", fix="mlship lock --refresh", exit=Exit.BUILD_FAILED)
        (folder / file).unlink()


def _candidates(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".so") or ".so." in name:
                yield Path(place, name)


def _roots(tree: Installed) -> list[str]:
    """Files that no other file of the folder loads; the rest is reached through them, with their RPATH."""
    loaded = {_found(tree, name, library, ()) for name, known in tree.files.items() for library in known.needed}
    return sorted(set(tree.files) - loaded)


def _unresolved(tree: Installed, root: str, visited: set[str]) -> Iterator[Missing]:
    """What the loader would not find when Python loads `root`; breadth first, as the loader goes."""
    waiting: deque[tuple[str, tuple[str, ...]]] = deque([(root, ())])
    seen, names = {root}, {tree.files[root].soname}
    while waiting:
        file, inherited = waiting.popleft()
        visited.add(file)
        known = tree.files[file]
        paths = (*_origins(file, known.rpath), *inherited)
        for library in known.needed:
            if library in names or library in tree.base_names or library.startswith(_INTERPRETERS):
                continue
            place = _found(tree, file, library, inherited)
            if place is None:
                yield Missing(library, file)
            elif place and place not in seen:
                seen.add(place)
                names |= {library, tree.files[place].soname} - {""}
                waiting.append((place, paths))


def _found(tree: Installed, file: str, library: str, inherited: tuple[str, ...]) -> str | None:
    """Where the library is: a file of the folder, "" for the base, or None."""
    known = tree.files[file]
    folders = _origins(file, known.runpath) if known.runpath else (*_origins(file, known.rpath), *inherited)
    for folder in folders:
        place = os.path.normpath(f"{folder}/{library}")
        if place in tree.files:
            return place
        if place.startswith("/") and (tree.base / place.lstrip("/")).exists():
            return ""
    return "" if library in tree.base_names else None


def _origins(file: str, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Folders with $ORIGIN put in, relative to the installed folder."""
    origin = file.rpartition("/")[0] or "."
    return tuple(folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for folder in folders)
