"""Models that were fetched, by the digest of their names and bytes: each whole or absent, and never changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlship.disk import disk_errors, make_folder, remove_tree, scratch_folder, sync_folder, used
from mlship.frameworks.digest import FileDigests
from mlship.home import Home


@dataclass(frozen=True)
class ModelStore:
    """`cache/models/SHA256/NAME`: the file or folder. What is on its way lies in `cache/partial`."""

    home: Home

    @property
    def folder(self) -> Path:
        return self.home.cache / "models"

    @property
    def partial(self) -> Path:
        return self.home.cache / "partial"

    def find(self, sha256: str) -> Path | None:
        """The model's file or folder, of whatever bytes it has by now; None where it is not here."""
        place = self.folder / sha256
        try:
            found = list(place.iterdir())
        except OSError:
            return None
        if len(found) != 1:
            return None
        used(place)
        return found[0]

    def remove(self, sha256: str) -> None:
        remove_tree(self.folder / sha256)

    def keep(self, title: str, files: Iterable[tuple[str, Path]], *, is_file: bool) -> tuple[str, Path]:
        """The model's digest, and where it is now. files: name inside the model, and where it lies; these stay as they are.

        Killed at any instant it leaves the model whole or nothing of it.
        """
        make_folder(self.folder)
        with disk_errors(self.folder), scratch_folder(self.folder) as scratch:
            top = scratch / "model" / title
            for name, path in files:
                place = top if is_file else top / name
                place.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, place)
            sha256 = fetched_digest(top, FileDigests())
            target = self.folder / sha256
            if self.find(sha256) is None:
                remove_tree(target)
                (scratch / "model").rename(target)
                sync_folder(self.folder)
        return sha256, self.folder / sha256 / title


def fetched_digest(path: Path, digests: FileDigests) -> str:
    """SHA-256 over the sorted `sha256  name` lines of a file, or of a folder's files, the folder's own name included.

    Of every one: also of those that no image takes, because what loads a folder may read them (`__pycache__`).
    """
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    names = [(file, file.relative_to(path.parent).as_posix()) for file in files]
    lines = sorted(f"{digests.of(file).sha256}  {name}\n" for file, name in names)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
