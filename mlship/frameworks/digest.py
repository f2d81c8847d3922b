"""SHA-256 of files, read in pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from mlship.frameworks.base import ModelFile

_PIECE = 1 << 20


def file_digest(path: Path) -> tuple[str, int]:
    """(hex digest, size in bytes) of the content that was read. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size


def model_files(path: Path) -> tuple[ModelFile, ...]:
    """The file, or every file of the folder but hidden ones, sorted by name. Raises OSError."""
    if path.is_file():
        return (ModelFile(path, path.name, *file_digest(path)),)
    files = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file.relative_to(path)))
    return tuple(ModelFile(file, file.relative_to(path).as_posix(), *file_digest(file)) for file in files)


def model_digest(files: Iterable[ModelFile]) -> str:
    """The file's own digest; of a folder, the SHA-256 over its sorted `sha256  name` lines."""
    listed = tuple(files)
    if len(listed) == 1 and "/" not in listed[0].name:
        return listed[0].sha256
    lines = sorted(f"{file.sha256}  {file.name}\n" for file in listed)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in name.parts)
