"""A model file as a stream of decompressed bytes, within limits. Standard library only."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

MAX_BYTES = 64 * 2**30  # more than this never comes out of a compressed file
BOMB_BYTES, BOMB_RATIO = 2**30, 200  # beyond the first gibibyte; zlib's best is 1032, fitted models reach about 20

_CHUNK = 1 << 16
_KINDS = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x5d\x00\x00", "lzma"),
)
_UNREADABLE = (
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"ZF0x", "the compression of joblib before 0.10"),
)


class Refused(Exception):
    """The file is not loaded. kind: a stable word; what: the reason with the actual value; fix: an edit or a command."""

    def __init__(self, what: str, fix: str = "", kind: str = "unreadable") -> None:
        super().__init__(f"{what}; {fix}" if fix else what)
        self.what = what
        self.fix = fix
        self.kind = kind


RESAVE = 'save it again with joblib.dump(model, "model.joblib")'


@dataclass(frozen=True)
class Opened:
    """stream: the decompressed content from its start. compression: `none`, `zlib`, `gzip`, `bz2`, `lzma` or `xz`."""

    stream: io.BufferedReader
    compression: str


def compression_of(head: bytes) -> str:
    """What the first bytes say; `none` for anything that is not compressed. Raises Refused for kinds that cannot be read."""
    for magic, name in _UNREADABLE:
        if head.startswith(magic):
            raise Refused(f"the file is compressed with {name}, which mlship does not read", RESAVE)
    for magic, name in _KINDS:
        if head.startswith(magic):
            return name
    return "zlib" if _is_zlib(head) else "none"


def open_model(path: Path) -> Opened:
    """Opens the file; the caller closes `stream`. Raises Refused for unreadable or doubly compressed content, OSError."""
    raw = path.open("rb")
    try:
        compression = compression_of(raw.read(16))
        raw.seek(0)
        if compression == "none":
            return Opened(raw, compression)
        unpacked = _Bounded(_OPENERS[compression](raw), raw, path.stat().st_size)
        stream = cast("io.BufferedReader", io.BufferedReader(unpacked, _CHUNK))
        if compression_of(stream.peek(16)[:16]) != "none":
            raise Refused("the file is compressed twice", RESAVE)
        return Opened(stream, compression)
    except BaseException:
        raw.close()
        raise


def _is_zlib(head: bytes) -> bool:
    # RFC 1950 with the usual 32 KiB window; no pickle starts like that, because "x" is no opcode
    return len(head) >= 2 and head[0] == 0x78 and (head[0] << 8 | head[1]) % 31 == 0


class _Bounded(io.RawIOBase):
    """Decompressed bytes; damaged data and bombs end in Refused. Closing it closes the file below."""

    def __init__(self, inner: Any, raw: BinaryIO, compressed: int) -> None:
        self._inner = inner
        self._raw = raw
        self._compressed = max(compressed, 1)
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        try:
            content = self._inner.read(len(view)) or b""
        except (zlib.error, lzma.LZMAError, EOFError, OSError) as error:
            raise Refused(f"the compressed file is damaged or cut off ({error})", "copy it again, or " + RESAVE) from None
        self._count += len(content)
        is_bomb = self._count > BOMB_BYTES and self._count > BOMB_RATIO * self._compressed
        if is_bomb or self._count > MAX_BYTES:
            raise Refused(
                f"the file of {self._compressed} bytes unpacks to more than {self._count // 2**20} MiB",
                "save it without compression if that is really its size",
                kind="bomb",
            )
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _ZlibReader(io.RawIOBase):
    """A bare zlib stream, as joblib's compress= writes it; bytes after its end are refused."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._unpack = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        while not self._unpack.eof:
            packed = self._unpack.unconsumed_tail or self._raw.read(_CHUNK)
            if not packed:
                raise EOFError("the end is missing")
            content = self._unpack.decompress(packed, len(view))
            if content:
                view[: len(content)] = content
                return len(content)
        if self._unpack.unused_data or self._raw.read(1):
            raise EOFError("more bytes follow its end")
        return 0


_OPENERS: dict[str, Callable[[BinaryIO], Any]] = {
    "zlib": _ZlibReader,
    "gzip": lambda raw: gzip.GzipFile(fileobj=raw, mode="rb"),
    "bz2": lambda raw: bz2.BZ2File(raw),
    "xz": lambda raw: lzma.LZMAFile(raw),  # noqa: SIM115
    "lzma": lambda raw: lzma.LZMAFile(raw, format=lzma.FORMAT_ALONE),  # noqa: SIM115
}
