"""Which repositories of a registry have which blobs, as far as this machine has seen: blobs are mounted from there, not sent.

One file a registry, without secrets. It is a hint and no record: a mount that is refused ends in an ordinary upload.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlship.disk import locked, write_atomic
from mlship.oci.registry.push import Holders

_REPOSITORIES = 50
_BLOBS = 1000  # a repository
_TRIES = 2  # repositories that are asked for one blob: each costs a request


class Holdings:
    """folder: Home.registries. Whoever pushes to a repository, or pulls from it, notes what it has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def holders(self, registry: str) -> Holders:
        """What to mount a blob from, the newest repository first; read once, now."""
        known = self._read(registry)
        found: dict[str, list[str]] = {}
        for repository, digests in known.items():
            for digest in digests:
                found.setdefault(digest, []).append(repository)
        return lambda digest: tuple(found.get(digest, ())[:_TRIES])

    def note(self, registry: str, repository: str, digests: Iterable[str]) -> None:
        """The repository has these blobs."""
        with locked(self._path(registry).with_suffix(".lock")):
            known = self._read(registry)
            blobs = list(dict.fromkeys((*digests, *known.get(repository, ()))))[:_BLOBS]
            newest = {repository: blobs, **{name: each for name, each in known.items() if name != repository}}
            kept = dict(list(newest.items())[:_REPOSITORIES])
            document = {"schema": 1, "registry": registry, "repositories": kept}
            write_atomic(self._path(registry), json.dumps(document).encode())

    def _read(self, registry: str) -> Mapping[str, list[str]]:
        """Newest first; empty for what cannot be read, or was written by a newer mlship."""
        try:
            document: Any = json.loads(self._path(registry).read_bytes())
            if document["schema"] != 1:
                return {}
            return {str(name): [str(digest) for digest in digests] for name, digests in document["repositories"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _path(self, registry: str) -> Path:
        return self._folder / f"{hashlib.sha256(registry.encode()).hexdigest()[:32]}.json"
