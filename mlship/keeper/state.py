"""Documents on the volume: whole or absent, never followed through a link.

Nothing but the keeper writes here, but the volume lies on somebody's disk: what is found is judged before it is believed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SCHEMA = 1
LARGEST = 256 * 2**20
# No change takes so long: whoever holds the lock for longer was frozen by somebody. Callers wait 30 s for an answer.
LOCK_TIMEOUT_S = 28.0
LOCK_PAUSE_S = 0.01
# Prefixes of what `write_text` has not finished.
TEMPORARIES = tuple(f".{name}.json." for name in ("history", "lease", "secrets", "front", "counters"))


class Damaged(Exception):
    """A document that cannot be believed; says which and why."""


class Busy(Exception):
    """Somebody has held a lock for longer than any change takes; says how long."""


class Newer(Exception):
    """A document that a newer version wrote; says which one."""


@contextmanager
def locked(folder: Path, name: str = "lock", timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """One change at a time; the kernel frees the lock when the process dies. Raises Busy and Damaged."""
    try:
        handle = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Damaged(f"{name} cannot be opened: {os.strerror(error.errno or 0)}") from None
    try:
        _take(handle, timeout_s)
        yield
    finally:
        os.close(handle)


def _take(handle: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() >= deadline:
            raise Busy(f"another program has held the lock of the records for {timeout_s:.0f} s")
        time.sleep(LOCK_PAUSE_S)


def make_folder(folder: Path, mode: int) -> None:
    """Raises Damaged where something else stands in its place: a link is not followed."""
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(mode)
        sync(folder.parent)
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise Damaged(f"{folder.name} is not a folder")


def read_text(path: Path, largest: int = LARGEST) -> str | None:
    """The document as it stands, None where there is none. Raises Damaged."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = "is a symbolic link" if error.errno == errno.ELOOP else os.strerror(error.errno or 0)
        raise Damaged(f"{path.name} {why}") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise Damaged(f"{path.name} is not a regular file")
        if not 0 < found.st_size <= largest:
            raise Damaged(f"{path.name} has {found.st_size} bytes")
        with os.fdopen(handle, "rb", closefd=False) as file:
            raw = file.read()
    finally:
        os.close(handle)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Damaged(f"{path.name} is not text") from None


def parse(name: str, text: str) -> dict[str, Any]:
    """A document with a schema number. Raises Damaged."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise Damaged(f"{name} is not JSON") from None
    if not isinstance(document, dict) or type(document.get("schema")) is not int:
        raise Damaged(f"{name} has no schema number")
    return document


def refuse_newer(name: str, document: Mapping[str, Any], known: int = SCHEMA) -> None:
    if document["schema"] > known:
        raise Newer(f"{name} was written by mlship {document.get('mlship') or 'of a newer version'}")


def write_text(path: Path, text: str, mode: int = 0o600) -> None:
    """Replaces the document in one step that survives a power cut; a link in its place is replaced, not followed."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 -- Path.replace gives the same, this says what it is
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
        raise
    sync(path.parent)


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Makes renames and removals in the folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_temporary(folder: Path) -> None:
    """What a killed keeper left half-written; to be called under the lock."""
    for left in folder.glob(".*.*"):
        if left.name.startswith(TEMPORARIES):
            left.unlink(missing_ok=True)
