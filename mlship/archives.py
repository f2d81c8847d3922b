"""Archives of strangers: unpacked file by file into a new folder, or refused with nothing left of them.

Only plain files and folders come out, with names below the folder, as many bytes as limits allow, and rights of ours. Everything
else that zip and tar can hold is refused, not skipped: a whole archive has none of it.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from mlship.disk import disk_errors, scratch_folder
from mlship.errors import MlshipError
from mlship.units import size_text

_PIECE, _LONGEST_READ = 1 << 20, 16 << 20
_LONGEST_NAME, _LONGEST_PART, _DEEPEST = 1024, 255, 32
_SPARE = 2**30  # bytes that are left free on the disk
_FIX = "do not use this archive; a whole one has nothing of the kind"


@dataclass(frozen=True)
class Limits:
    """members: files and folders. size: bytes that may come out in all; ratio: for each byte of the archive, beyond `free`.

    listing: bytes of a zip's own list of members, which is read at once.
    """

    members: int = 100_000
    size: int = 64 * 2**30
    ratio: int = 200  # zlib's best is 1032; weights hardly shrink
    free: int = 64 * 2**20
    listing: int = 32 * 2**20


@dataclass(frozen=True)
class Member:
    """One entry, whatever archive it is of. kind: `file`, `folder`, or for people what else it is."""

    name: str
    kind: str


def unpack(archive: Path, folder: Path, where: str = "", limits: Limits = Limits()) -> Path:
    """Everything in the archive, in a folder that is there whole or not at all. Nothing is written anywhere else.

    archive: zip, tar, tar.gz, tar.bz2 or tar.xz, told by its bytes. folder: is made; one that is there is taken as it is.
    where: the key that names the archive. Raises MlshipError, exit 2.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with disk_errors(folder), scratch_folder(folder.parent) as scratch:
            whole = scratch / "whole"
            whole.mkdir()
            _unpack(archive, whole, limits)
            try:
                whole.rename(folder)
            except OSError:
                if not folder.is_dir():  # unless another mlship made it in the meantime
                    raise
    except _Refused as refused:
        raise MlshipError(f"{archive.name} {refused}", where, _FIX, code="hostile-archive") from None
    except _DAMAGED as error:
        raise _damaged(archive, error, where) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(archive, error, where) from None  # how bz2 and gzip say it
    return folder


_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, struct.error, ValueError, NotImplementedError,
    RecursionError,
)  # fmt: skip


def _damaged(archive: Path, error: Exception, where: str) -> MlshipError:
    what = f"{archive.name} is damaged: {' '.join(str(error).split())[:200] or type(error).__name__}"
    return MlshipError(what, where, "copy it again", code="damaged-archive")


class _Refused(Exception):
    """The message goes on after the archive's name: `holds a link, a`."""


def _unpack(archive: Path, folder: Path, limits: Limits) -> None:
    with archive.open("rb") as file:
        is_zip = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    room = _Room(archive, folder, limits)
    members = _zip_members if is_zip else _tar_members
    known: set[str] = set()
    for member, content in members(archive, limits, room):
        target = folder / _checked(member, known, limits)
        try:
            (target if member.kind == "folder" else target.parent).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise _Refused(f"holds a file and a folder of one name, {target.name}") from None
        if content is not None:
            _write(content, target)


def _checked(member: Member, known: set[str], limits: Limits) -> str:
    """The name below the folder. Raises _Refused."""
    shown = member.name[:80].encode("unicode_escape").decode()
    if member.kind not in ("file", "folder"):
        raise _Refused(f"holds {member.kind}, {shown}")
    name = member.name.rstrip("/") if member.kind == "folder" else member.name
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or (len(parts[0]) == 2 and parts[0][1] == ":"):
        raise _Refused(f"holds a name that is not relative, {shown}")
    if ".." in parts:
        raise _Refused(f"holds a name that leads out of it, {shown}")
    clean = str(PurePosixPath(name))
    if not name.strip() or not name.isprintable() or clean == "." or name.endswith("/"):
        if member.kind == "folder" and clean == ".":
            return "."
        raise _Refused(f"holds a name that is none, {shown!r}")
    if len(name) > _LONGEST_NAME or len(parts) > _DEEPEST or max(len(os.fsencode(part)) for part in parts) > _LONGEST_PART:
        raise _Refused(f"holds a name that is too long, {shown}")
    if clean in known and member.kind == "file":
        raise _Refused(f"holds {shown} twice")
    if any(str(parent) in known for parent in PurePosixPath(clean).parents):
        raise _Refused(f"holds a file and a folder of one name, {shown}")
    if member.kind == "file":
        known.add(clean)
    return clean


class _Room:
    """Counts what has come out, whatever the archive says of itself. The disk keeps some room."""

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self._packed = archive.stat().st_size
        self._limits = limits
        self._most = min(limits.size, max(0, shutil.disk_usage(folder).free - _SPARE))
        self._bytes = self._members = 0

    def member(self) -> None:
        self._members += 1
        if self._members > self._limits.members:
            raise _Refused(f"holds more than {self._limits.members:,} files")

    def take(self, count: int) -> None:
        self._bytes += count
        if self._bytes > self._most:
            raise _Refused(f"unpacks to more than {size_text(self._most)}")
        if self._bytes > self._limits.free and self._bytes > self._packed * self._limits.ratio:
            raise _Refused(f"is a bomb: {size_text(self._packed)} unpack to more than {size_text(self._bytes)}")


def _write(content: IO[bytes], target: Path) -> None:
    """A new file of ours; what stands there already is never written through."""
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    except (FileExistsError, IsADirectoryError):
        # names that differ in capitals alone are one on some file systems
        raise _Refused(f"holds {target.name} twice") from None
    with os.fdopen(handle, "wb") as file:
        shutil.copyfileobj(content, file, _PIECE)


Entry = tuple[Member, IO[bytes] | None]


def _zip_members(archive: Path, limits: Limits, room: _Room) -> Iterator[Entry]:
    if _listing_size(archive) > limits.listing:
        raise _Refused(f"holds more than {limits.members:,} files")
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            room.member()
            member = Member(info.filename, _zip_kind(info))
            if member.kind != "file":
                yield member, None
                continue
            with opened.open(info) as content:
                yield member, cast(IO[bytes], _Counted(content, room))


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if info.flag_bits & 1:
        return "an encrypted file"
    if kind == stat.S_IFLNK:
        return "a link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device or pipe"
    return "folder" if info.is_dir() else "file"


def _listing_size(archive: Path) -> int:
    """Bytes of the zip's list of members, as its end says (APPNOTE 4.3.16; of zip64, 4.3.14 and 4.3.15)."""
    with archive.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - (1 << 16) - 22 - 20))
        tail = file.read()
        place = tail.rfind(b"PK\x05\x06")
        if place < 0 or len(tail) < place + 22:
            raise zipfile.BadZipFile("its end is missing")
        (listing,) = struct.unpack_from("<L", tail, place + 12)
        if tail[max(0, place - 20) : place - 16] != b"PK\x06\x07":
            return int(listing)
        file.seek(max(0, start + place - 20 - 56))  # where zipfile reads it, whatever either end says
        (listing,) = struct.unpack("<Q", file.read(56)[40:48])
    return int(listing)


def _tar_members(archive: Path, limits: Limits, room: _Room) -> Iterator[Entry]:
    with _decompressed(archive, room) as stream, tarfile.open(fileobj=stream, mode="r:") as opened:
        for info in opened:
            room.member()
            member = Member(info.name, _tar_kind(info))
            yield member, opened.extractfile(info) if member.kind == "file" else None


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return "a link"
    if info.isdir():
        return "folder"
    if info.issparse():
        return "a file with holes"
    return "file" if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else "a device or pipe"


@contextmanager
def _decompressed(archive: Path, room: _Room) -> Iterator[IO[bytes]]:
    """The tar's own bytes, counted."""
    openers: dict[bytes, Callable[[Path, str], Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
    with archive.open("rb") as file:
        opener = openers.get(file.read(2))
    with opener(archive, "rb") if opener else archive.open("rb") as stream:
        yield cast(IO[bytes], _Counted(stream, room))


class _Counted:
    """What is read counts. A header that asks for more at once than any has would be held in memory whole."""

    def __init__(self, stream: Any, room: _Room) -> None:
        self._stream = stream
        self._room = room
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _LONGEST_READ:
            raise _Refused("holds a header that is too large")
        piece: bytes = self._stream.read(size)
        self._room.take(len(piece))
        return piece
