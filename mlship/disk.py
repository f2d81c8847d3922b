"""Files that are whole or absent, whatever happens in between; and what killed commands leave, cleared away."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlship.errors import Exit, MlshipError

SCRATCH = ".mlship-scratch-"
CACHE_TAG = "CACHEDIR.TAG"  # https://bford.info/cachedir/: what lies beside it can be made again
FULL = (errno.ENOSPC, errno.EDQUOT)
DISK = (*FULL, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR, errno.EEXIST)
OTHER_HOME = "set MLSHIP_HOME to another disk"


@contextmanager
def disk_errors(place: Path, other: str = OTHER_HOME) -> Iterator[None]:
    """What the disk refuses becomes a message; any other error stays what it is. other: how another place is named."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK:
            raise
        raise _disk_error(place, error, other) from None


def make_folder(folder: Path, other: str = OTHER_HOME) -> None:
    """With its parents; nothing happens where it is. other: how another one is named. Raises MlshipError where there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _disk_error(folder, error, other) from None


def _disk_error(place: Path, error: OSError, other: str) -> MlshipError:
    remedy = "free some space there" if error.errno in FULL else "make it a folder that you may write"
    return MlshipError(
        f"nothing more can be written below {_lasting(place)}: {error.strerror}",
        where=str(_lasting(Path(os.fsdecode(error.filename or place)))),
        fix=f"{remedy}, or {other}; nothing half-written is kept",
        exit=Exit.BUILD_FAILED,
        code="disk",
    )


def _lasting(path: Path) -> Path:
    """Where a scratch file or folder lies: it is gone itself when somebody reads of it."""
    return next((parent.parent for parent in (*reversed(path.parents), path) if parent.name.startswith(SCRATCH)), path)


def tag_as_made(folder: Path) -> None:
    """Says to backups, and to later builds, that nothing in the folder is anybody's source."""
    (folder / CACHE_TAG).write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55\n# made by mlship\n")


def write_atomic(path: Path, content: bytes, mode: int = 0o644, other: str = OTHER_HOME) -> None:
    """Replaces the file in one step that survives a power cut: temporary file, fsync, rename, fsync of the folder.

    other: how another place is named. Raises MlshipError when the disk refuses; what was there before is there still.
    """
    with disk_errors(path.parent, other), scratch_file(path.parent) as temporary:
        with temporary.open("wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    sync_folder(path.parent)


def write_memo(path: Path, content: bytes, mode: int = 0o644) -> None:
    """As write_atomic, without waiting for the disk: for what is found out anew where a power cut has left it cut.

    A command that is killed leaves the old one or the new one. Raises MlshipError when the disk refuses.
    """
    with disk_errors(path.parent), scratch_file(path.parent) as temporary:
        temporary.write_bytes(content)
        temporary.chmod(mode)
        temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """Makes renames in the folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file; waits for whoever has it. The kernel frees it when the process dies."""
    make_folder(path.parent)
    with disk_errors(path.parent):
        file = path.open("a")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def locked_together(path: Path) -> Iterator[None]:
    """As locked, but together with others who ask for it so: only `locked` keeps them out, and waits for all of them."""
    make_folder(path.parent)
    with disk_errors(path.parent):
        file = path.open("a")
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def used(path: Path) -> None:
    """Notes that something in the cache is still of use: what was of none for long is pruned."""
    with suppress(OSError):  # pruned just now, or another user's
        os.utime(path)


@contextmanager
def scratch_file(folder: Path) -> Iterator[Path]:
    """An empty file in `folder` that is gone afterwards, unless it was renamed. What killed commands left there goes too."""
    handle, path = _owned(folder, lambda: _new_file(folder))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def scratch_folder(folder: Path | None = None) -> Iterator[Path]:
    """As scratch_file, but a folder. folder: where it is made; the system's temporary folder when left out."""
    parent = temporary_folder() if folder is None else folder
    handle, path = _owned(parent, lambda: Path(tempfile.mkdtemp(dir=parent, prefix=SCRATCH)))
    try:
        yield path
    finally:
        remove_tree(path)
        os.close(handle)


def temporary_folder() -> Path:
    """The system's. Raises MlshipError where none can be written."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise _disk_error(Path("/tmp"), error, OTHER_HOME) from None  # noqa: S108 -- named, not used


def sweep(folder: Path) -> None:
    """Removes what commands that were killed left in `folder`.

    Whoever uses a scratch file or folder holds a lock on it, which the kernel frees with the process: one that can be locked
    belongs to nobody, however young it is.
    """
    for path in [Path(entry.path) for entry in os.scandir(folder) if entry.name.startswith(SCRATCH)]:
        with suppress(OSError):  # in use, or another user's
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(path) if path.is_dir() else path.unlink()
            finally:
                os.close(handle)


def _owned(folder: Path, make: Callable[[], Path]) -> tuple[int, Path]:
    """Makes a file or folder and locks it; again when somebody swept it up in between. The handle keeps the lock."""
    make_folder(folder)
    with disk_errors(folder):
        sweep(folder)
    while True:
        with disk_errors(folder):
            path = make()
        with suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists():
                return handle, path
            os.close(handle)


def remove_tree(path: Path) -> None:
    """Also folders that somebody's code made read-only; nothing happens where there is nothing."""
    shutil.rmtree(path, ignore_errors=True)
    for folder, names, _ in os.walk(path):
        for name in names:
            if not (inner := Path(folder, name)).is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)


def _new_file(folder: Path) -> Path:
    handle, name = tempfile.mkstemp(dir=folder, prefix=SCRATCH)
    os.close(handle)
    return Path(name)
