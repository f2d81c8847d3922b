"""What an installed folder's .dist-info say: whose each file is, and which machines each wheel was made for."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class InstalledWheel:
    """name as its folder is called, `scikit_learn`. tags: of PEP 425, one for each line of WHEEL. files: relative paths."""

    name: str
    version: str
    tags: tuple[str, ...]
    files: frozenset[str]

    @property
    def title(self) -> str:
        """As people write it: `scikit-learn 1.9.0`."""
        return f"{self.name.replace('_', '-').lower()} {self.version}"


def installed_wheels(folder: Path) -> tuple[InstalledWheel, ...]:
    """Sorted by name. What an installer did not record is not there."""
    return tuple(_wheel(info) for info in sorted(folder.glob("*.dist-info")))


def owner(wheels: tuple[InstalledWheel, ...], file: str) -> str:
    """The title of the wheel that brought the file; the file's first folder where none recorded it."""
    return next((wheel.title for wheel in wheels if file in wheel.files), file.partition("/")[0])


def _wheel(info: Path) -> InstalledWheel:
    name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
    tags = tuple(line[5:].strip() for line in _text(info / "WHEEL").splitlines() if line.startswith("Tag: "))
    rows = csv.reader(_text(info / "RECORD").splitlines())
    files = frozenset(PurePosixPath(row[0]).as_posix() for row in rows if row)
    return InstalledWheel(name, version, tags, files)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
