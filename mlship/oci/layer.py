"""Layers: the same files give the same tar on every machine, in one pass from the files to the blob.

No time, owner, umask, time zone, locale, hash seed or directory order reaches the bytes. The header is written here
and not by tarfile, whose bytes differ between patch releases of Python (device numbers of ordinary files).
"""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, Protocol

from mlship.errors import Exit, MlshipError
from mlship.oci.image import Layer
from mlship.oci.layout import Layout
from mlship.progress import Progress, Silent

# gzip: by whatever is fastest here. zlib: gzip as well, at a fixed level of a fixed program, for the same bytes everywhere.
Compression = Literal["gzip", "zlib", "zstd", "none"]

MEDIA_TYPES: dict[Compression, str] = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zlib": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "none": "application/vnd.oci.image.layer.v1.tar",
}
CHUNK = 1 << 20
# Levels. isal's 2 takes no more time than 1, for 2 % less; 3 takes 1.6 times as much, for 2 % less again: that is for what is
# packed once, and not for a model, which is another one with every build.
_ISAL, _ISAL_MODEL, _FAST, _REPRODUCIBLE, _ZSTD = 3, 2, 1, 6, 3
_BLOCK = 512
_USTAR_SIZE = 8 * 2**30  # 11 octal digits; larger files carry their size in a PAX record
_END = bytes(2 * _BLOCK)
_READ_ONLY = re.compile(r"\.(py|pyi|so(\.[0-9.]+)?)$")


@dataclass(frozen=True)
class Entry:
    """One path of a layer, relative to the root: `usr/bin/python3.11`.

    A file has a source on this machine or its content here; a symbolic link has a target; a folder has neither.
    mode: 0o644 or 0o755 for files, 0o755 or 0o1777 for folders. Owner and time are always 0. sha256: hex of what the source has
    to hold, where that is known.
    """

    path: str
    mode: int = 0o644
    source: Path | None = None
    content: bytes = b""
    link: str = ""
    folder: bool = False
    sha256: str = ""


def write_layer(
    layout: Layout,
    entries: Iterable[Entry],
    *,
    role: str,
    name: str,
    compression: Compression = "gzip",
    progress: Progress | None = None,
) -> Layer:
    """Writes the layer's blob into the layout and says what it is.

    Streams: the memory taken does not depend on the size of the files. Raises MlshipError when a source cannot be read,
    changes while it is read, or a path is unsafe or given twice.
    """
    return _written(layout, tar(entries), role, name, compression, progress or Silent())


def layer_of_tar(layout: Layout, stream: IO[bytes], *, role: str, name: str, compression: Compression = "gzip") -> Layer:
    """The layer of a tar that somebody else made, byte for byte. Streams."""
    chunks = iter(lambda: stream.read(CHUNK), b"")
    return _written(layout, chunks, role, name, compression, Silent())


def compressor(compression: Compression) -> str:
    """What packs layers so on this machine, with its version: `isal 1.8.0 level 3, models 2`, `zlib 1.2.13 level 6`."""
    if compression == "zlib":
        return f"zlib {zlib.ZLIB_RUNTIME_VERSION} level {_REPRODUCIBLE}"
    if compression == "zstd":
        import zstandard

        return f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))} level {_ZSTD}"
    if compression == "none":
        return "none"
    try:
        import isal
    except ImportError:
        return f"zlib {zlib.ZLIB_RUNTIME_VERSION} level {_FAST}"
    return f"isal {isal.__version__} level {_ISAL}, models {_ISAL_MODEL}"


def _written(
    layout: Layout, chunks: Iterable[bytes], role: str, name: str, compression: Compression, progress: Progress
) -> Layer:
    plain, size = hashlib.sha256(), 0
    squeeze = None if compression == "none" else _compressor(compression, _ISAL_MODEL if role == "model" else _ISAL)
    with layout.writer() as blob:
        for chunk in chunks:
            size += len(chunk)
            if squeeze is None:
                blob.write(chunk)
            else:
                plain.update(chunk)
                blob.write(squeeze.compress(chunk))
            if len(chunk) == CHUNK:
                progress.amount(f"layer {name}", size)
        if squeeze is not None:
            blob.write(squeeze.flush())
        descriptor = blob.commit(MEDIA_TYPES[compression])
    # what is stored as it is has been hashed once already
    diff_id = descriptor.digest if squeeze is None else f"sha256:{plain.hexdigest()}"
    return Layer(blob=descriptor, diff_id=diff_id, size=size, role=role, name=name)


def tar(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The layer's tar in pieces of at most CHUNK bytes: sorted, every parent folder named before what it holds."""
    for entry in complete(entries):
        size = _size(entry)
        yield from _header(entry, size)
        if entry.source is not None:
            yield from _body(entry.source, size, entry.sha256)
        elif entry.content:
            yield from _padded(entry.content)
    yield _END


def complete(entries: Iterable[Entry]) -> list[Entry]:
    """The entries sorted by path, with the parent folders that nobody named; a path given twice is refused."""
    found: dict[str, Entry] = {}
    for entry in entries:
        _check_path(entry.path)
        known = found.get(entry.path)
        if known is not None and not (known.folder and entry.folder):
            raise MlshipError(f"two files want the path /{entry.path} of one layer", exit=Exit.BUILD_FAILED)
        found[entry.path] = entry
    known_folders: set[str] = set()
    for path in list(found):
        for name in parents(path):
            if name in known_folders:
                break  # and what that lies in, too
            known_folders.add(name)
            if name not in found:
                found[name] = Entry(name, mode=0o755, folder=True)
            elif not found[name].folder:
                raise MlshipError(
                    f"/{name} is a file or a link, and /{path} would lie in it",
                    exit=Exit.BUILD_FAILED,
                )
    return sorted(found.values(), key=lambda entry: entry.path.encode())


def parents(path: str) -> Iterator[str]:
    """The folders that a relative path lies in, the innermost first. Pure."""
    while path := path.rpartition("/")[0]:
        yield path


def entries_of_folder(folder: Path, target: str) -> Iterator[Entry]:
    """Every file, link and folder below `folder`, placed at the absolute image path `target`; modes become 0644 or 0755:
    libraries and Python modules are never executable.

    Links that lead out of the folder are refused: they would mean something else, or nothing, inside the image.
    """
    base, start = target.strip("/"), len(str(folder))
    for found in _walked(str(folder)) if folder.is_dir() else ():
        inside = f"{base}{found.path[start:]}".lstrip("/")
        if found.is_symlink():
            yield Entry(inside, mode=0o777, link=_inner_link(Path(found.path), folder))
        elif found.is_dir():
            yield Entry(inside, mode=0o755, folder=True)
        elif found.is_file():
            runs = _is_program(found.name) and found.stat().st_mode & 0o100
            yield Entry(inside, mode=0o755 if runs else 0o644, source=Path(found.path))
        else:
            raise MlshipError(f"{found.path} is neither a file nor a folder", fix="remove it", exit=Exit.BUILD_FAILED)


def _walked(folder: str) -> Iterator[os.DirEntry[str]]:
    """By name, each folder before what is in it. What the directory tells of its entries, nothing is asked for again."""
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walked(entry.path)


def _is_program(name: str) -> bool:
    """Whether a file marked executable has to be: libraries and modules are only read, but the kernel starts the loader itself."""
    return name.startswith("ld-") or not _READ_ONLY.search(name)


def without_bytecode(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries without compiled Python files: those of another place are stale, or name that place."""
    return (entry for entry in entries if "__pycache__" not in entry.path.split("/"))


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _compressor(compression: Compression, isal_level: int) -> _Compressor:
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=_ZSTD).compressobj()
    return _Gzip(*(_deflate(isal_level) if compression == "gzip" else _zlib(_REPRODUCIBLE)))


class _Gzip:
    """Gzip with a fixed header; isal at level 3 costs a tenth of zlib at level 6 for 11 % more bytes."""

    _HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no flags, no time, system unknown

    def __init__(self, deflate: Any, crc32: Any) -> None:
        self._deflate, self._crc32 = deflate, crc32
        self._crc = 0
        self._size = 0
        self._started = False

    def compress(self, data: bytes, /) -> bytes:
        self._crc = self._crc32(data, self._crc)
        self._size += len(data)
        return self._start() + bytes(self._deflate.compress(data))

    def flush(self) -> bytes:
        trailer = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return self._start() + bytes(self._deflate.flush()) + trailer

    def _start(self) -> bytes:
        started, self._started = self._started, True
        return b"" if started else self._HEADER


def _deflate(isal_level: int) -> tuple[Any, Any]:
    """A raw deflate compressor and the checksum beside it: isal where it exists, else zlib."""
    try:
        from isal import isal_zlib
    except ImportError:
        return _zlib(_FAST)
    return isal_zlib.compressobj(level=isal_level, wbits=-15), isal_zlib.crc32


def _zlib(level: int) -> tuple[Any, Any]:
    return zlib.compressobj(level, zlib.DEFLATED, -15), zlib.crc32


def _header(entry: Entry, size: int) -> Iterator[bytes]:
    name = entry.path.encode() + (b"/" if entry.folder else b"")
    link = entry.link.encode()
    records = [
        record
        for record in (
            _record("path", name, needed=len(name) > 100 or not name.isascii()),
            _record("linkpath", link, needed=len(link) > 100 or not link.isascii()),
            _record("size", str(size).encode(), needed=size >= _USTAR_SIZE),
        )
        if record
    ]
    if records:
        extended = b"".join(records)
        yield _ustar(b"PaxHeaders", 0o644, len(extended), b"x", b"")
        yield from _padded(extended)
    kind = b"5" if entry.folder else b"2" if entry.link else b"0"
    yield _ustar(name, entry.mode, size if size < _USTAR_SIZE else 0, kind, link)


def _record(key: str, value: bytes, *, needed: bool) -> bytes:
    """One PAX record, `<length> key=value\\n`, whose length counts its own digits (POSIX.1-2017, pax)."""
    if not needed:
        return b""
    rest = b" " + key.encode() + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _ustar(name: bytes, mode: int, size: int, kind: bytes, link: bytes) -> bytes:
    """A 512-byte ustar header with owner, group and time 0 (POSIX.1-2017, pax: ustar interchange format)."""
    fields = (
        name[:100].ljust(100, b"\0"),
        b"%07o\0" % mode,
        b"%07o\0" % 0,
        b"%07o\0" % 0,
        b"%011o\0" % size,
        b"%011o\0" % 0,
        b" " * 8,
        kind,
        link[:100].ljust(100, b"\0"),
        b"ustar\x0000",
    )
    header = b"".join(fields).ljust(_BLOCK, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def _size(entry: Entry) -> int:
    if entry.source is None:
        return len(entry.content)
    try:
        return entry.source.stat().st_size
    except OSError as error:
        raise MlshipError(f"{entry.source} cannot be read: {error.strerror}", exit=Exit.BUILD_FAILED) from None


def _body(source: Path, expected: int, sha256: str) -> Iterator[bytes]:
    read, digest = 0, hashlib.sha256()
    try:
        with source.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                read += len(chunk)
                if read > expected:
                    break
                if sha256:
                    digest.update(chunk)
                yield chunk
    except OSError as error:
        raise MlshipError(f"{source} cannot be read: {error.strerror}", exit=Exit.BUILD_FAILED) from None
    if read != expected:
        raise MlshipError(
            f"{source} changed while it was read: {expected} bytes became {read}",
            fix="wait until it is written, then run mlship build again",
            exit=Exit.BUILD_FAILED,
        )
    if sha256 and digest.hexdigest() != sha256:
        raise MlshipError(
            f"{source} changed since it was read: its SHA-256 was {sha256[:12]}… and is {digest.hexdigest()[:12]}…",
            fix="wait until it is written, then run mlship build again",
            exit=Exit.BUILD_FAILED,
        )
    yield bytes(-expected % _BLOCK)


def _padded(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), CHUNK):
        yield content[start : start + CHUNK]
    yield bytes(-len(content) % _BLOCK)


def _check_path(path: str) -> None:
    parts = path.split("/")
    if path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise MlshipError(f"{path!r} is not a path inside an image", exit=Exit.BUILD_FAILED)


def _inner_link(path: Path, folder: Path) -> str:
    target = path.readlink()
    lexical = PurePosixPath(*_collapsed((path.parent.relative_to(folder) / target).parts))
    if target.is_absolute() or ".." in lexical.parts:
        raise MlshipError(
            f"the link {path} leads out of {folder}, to {target}",
            fix="replace it by the file itself",
            exit=Exit.BUILD_FAILED,
        )
    return target.as_posix()


def _collapsed(parts: Iterable[str]) -> list[str]:
    found: list[str] = []
    for part in parts:
        if part == ".." and found and found[-1] != "..":
            found.pop()
        elif part != ".":
            found.append(part)
    return found
