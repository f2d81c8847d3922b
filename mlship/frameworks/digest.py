"""SHA-256 of files: each is read once, and not again while nothing has changed it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.frameworks.base import ModelFile
from mlship.frameworks.entering import files_of
from mlship.memo import FORGETFUL, Memo, State, is_settled, state_of

_PIECE = 1 << 20


@dataclass(frozen=True)
class FileDigest:
    """state: of the file when it was read."""

    sha256: str
    size: int
    state: State = ()


class FileDigests:
    """SHA-256 of files; of one whose state is as it was, what was known of it.

    subject: whose files they are, such as the project's mlship.yaml; what was learned is kept by `save` until then only.
    """

    def __init__(self, memo: Memo = FORGETFUL, subject: str = "") -> None:
        self._memo = memo
        self._subject = subject
        self._known: dict[str, list[Any]] = memo.recall("files", subject, _KEPT) or {}
        self._asked: dict[str, list[Any]] = {}

    def of(self, path: Path) -> FileDigest:
        """Raises OSError."""
        name, began_ns, state = str(path.absolute()), self._memo.now_ns(), state_of(path)
        known = self._asked.get(name) or self._known.get(name)
        if known and state and tuple(known[1]) == state:
            self._asked[name] = known
            return FileDigest(str(known[0]), state[0], state)
        sha256, size = _read(path)
        if is_settled([state], began_ns) and state_of(path) == state:
            self._asked[name] = [sha256, state]
        return FileDigest(sha256, size, state)

    def is_still(self, path: Path, sha256: str) -> bool:
        """Whether the file is there with these bytes."""
        try:
            return self.of(path).sha256 == sha256
        except OSError:
            return False

    def save(self) -> None:
        if self._asked != self._known:
            self._memo.keep("files", self._subject, _KEPT, self._asked)


_KEPT = "sha256, state"


def _read(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size


def model_files(path: Path, digests: FileDigests, own: Collection[Path] = ()) -> tuple[ModelFile, ...]:
    """The file, or every file of the folder but hidden ones and mlship's own, sorted by name. Raises OSError."""
    if path.is_file():
        return (_model_file(path, path.name, digests),)
    files = sorted(file for file in files_of(path, own) if file.is_file())
    return tuple(_model_file(file, file.relative_to(path).as_posix(), digests) for file in files)


def model_digest(files: Iterable[ModelFile]) -> str:
    """The file's own digest; of a folder, the SHA-256 over its sorted `sha256  name` lines."""
    listed = tuple(files)
    if len(listed) == 1 and "/" not in listed[0].name:
        return listed[0].sha256
    lines = sorted(f"{file.sha256}  {file.name}\n" for file in listed)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _model_file(path: Path, name: str, digests: FileDigests) -> ModelFile:
    found = digests.of(path)
    return ModelFile(path, name, found.sha256, found.size, found.state)
