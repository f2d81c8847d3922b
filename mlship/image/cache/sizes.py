"""What mlship keeps on this machine, by kind. Files with several names, as in unpacked images, are counted once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlship.home import Home

# folder -> what it holds, for people; in the order in which files with several names are counted
KINDS = {
    "local": "services of the target local: records, unpacked images",
    "images": "images, layer by layer",
    "cache/packages": "Python packages, installed once for each lock",
    "cache/debs": "packages of the operating system",
    "cache/server": "the server's own packages",
    "cache/built": "wheels that were built here",
    "cache/roots": "base systems that compile and check",
    "cache/unpacked": "unpacked layers",
    "cache/archives": "models that came in an archive, unpacked",
    "cache/models": "models that were fetched",
    "cache/compiled": "models that were compiled",
    "cache/beside": "packages that compile models",
    "cache/partial": "downloads that were cut",
    "cache/memo": "what need not be found out again",
}
REST = "everything else"


@dataclass(frozen=True)
class KindSize:
    """size: bytes of the files. count: entries of the folder, such as images' blobs or packages."""

    name: str
    what: str
    size: int
    count: int


def kind_sizes(home: Home) -> tuple[KindSize, ...]:
    """Those that are there, and the rest."""
    seen: set[tuple[int, int]] = set()
    found = [KindSize(name, what, _size(home.root / name, seen), _count(home.root / name)) for name, what in KINDS.items()]
    rest = _size(home.root, seen)
    return (*(kind for kind in found if kind.count), *([KindSize("other", REST, rest, 0)] if rest else []))


def tree_size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder, each once."""
    return _size(path, set())


def _count(folder: Path) -> int:
    place = folder / "blobs" / "sha256" if folder.name == "images" else folder
    return sum(not entry.name.startswith(".") for entry in os.scandir(place)) if place.is_dir() else 0


def _size(path: Path, seen: set[tuple[int, int]]) -> int:
    total = 0
    for file in _files(path):
        try:
            stat = file.lstat()
        except OSError:  # a build that runs beside us took it away
            continue
        if (stat.st_ino, stat.st_dev) not in seen:
            seen.add((stat.st_ino, stat.st_dev))
            total += stat.st_size
    return total


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in names)
