"""Uploads that a killed command left half done: where the registry lets them go on, kept on this machine.

One small file an upload, readable by its user only: addresses of sessions may be signed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlship.disk import make_folder, write_memo

WORTH = 4 << 20  # smaller blobs are sent anew sooner than their session is asked
_FORGOTTEN_S = 7 * 86400.0  # registries end sessions after a day to a week


class HalfDone:
    """The address of one upload's session. Does nothing without a folder."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    @property
    def url(self) -> str:
        """Where an earlier run was sending; empty for nowhere."""
        if self._path is None:
            return ""
        try:
            url = json.loads(self._path.read_bytes())["url"]
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        return url if isinstance(url, str) else ""

    def keep(self, url: str) -> None:
        if self._path is not None:
            write_memo(self._path, json.dumps({"schema": 1, "url": url}).encode(), 0o600)

    def forget(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


@contextmanager
def half_done(folder: Path | None, upload: str, size: int) -> Iterator[HalfDone]:
    """upload: what it is, `registry/repository@digest`. Of two commands at once only the first one keeps and goes on."""
    if folder is None or size < WORTH:
        yield HalfDone()
        return
    make_folder(folder)
    _clear(folder)
    name = hashlib.sha256(upload.encode()).hexdigest()
    handle = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        yield HalfDone()
        return
    try:
        yield HalfDone(folder / f"{name}.json")
    finally:
        os.close(handle)


def _clear(folder: Path) -> None:
    """What is so old that no registry knows it."""
    oldest = time.time() - _FORGOTTEN_S
    for path in folder.iterdir():
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
