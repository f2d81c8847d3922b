"""A .deb file: an ar archive of two tars, laid out below a folder as an image needs it.

Maintainer scripts never run. /bin, /sbin, /lib and /lib64 become their places under /usr; links become relative, so that
the tree means the same wherever it lies; setuid bits are dropped; devices are refused.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from mlship.errors import Exit, MlshipError

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60
_LONGEST = 16 * 2**20  # bytes of a control file that are read
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
Wanted = Callable[[str], bool]


def control(deb: Path) -> str:
    """The package's control file: its fields as text."""
    return control_files(deb)["control"]


def control_files(deb: Path) -> dict[str, str]:
    """`control`, and `md5sums` where the package has it: lines of `md5  path`, paths as they are in an image."""
    found: dict[str, str] = {}
    with _member(deb, "control.tar") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            if name in ("control", "md5sums") and member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                found[name] = content.read(_LONGEST).decode(errors="replace")
    if "control" not in found:
        raise _broken(deb, "it has no control file")
    lines = (line.partition("  ") for line in found.get("md5sums", "").splitlines())
    return {**found, "md5sums": "".join(f"{md5}  {merged(path)}\n" for md5, _, path in lines if path)}


def extract(deb: Path, root: Path, wanted: Wanted = lambda path: True) -> int:
    """Lays the package's files out below root; gives the number of bytes written.

    wanted: called with each path as it will be in the image, without leading slash (`usr/lib/libz.so.1`).
    Raises MlshipError when the file is not a package, or a path in it leaves the root.
    """
    written = 0
    with _member(deb, "data.tar") as stream, _tar(deb, stream) as archive:
        for member in archive:
            path = merged(member.name)
            if path and not _is_merge_link(member) and wanted(path):
                written += _place(deb, archive, member, path, root)
    return written


def paths(deb: Path) -> list[str]:
    """Where the package's files lie in an image, without leading slash; folders too."""
    with _member(deb, "data.tar") as stream, _tar(deb, stream) as archive:
        return [path for member in archive if (path := merged(member.name))]


def merged(name: str) -> str:
    """A package's path as it is on a system with merged /usr: `./lib/x.so` becomes `usr/lib/x.so`; empty for the root.

    `..` cannot climb above the root, as in a real file system.
    """
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    if parts and parts[0] in _MERGED:
        parts.insert(0, "usr")
    return "/".join(parts)


def _is_merge_link(member: tarfile.TarInfo) -> bool:
    """`lib -> usr/lib`, which packages of a merged system bring along; the base makes these links itself."""
    return member.issym() and PurePosixPath("/", member.name).relative_to("/").as_posix() in _MERGED


def relative_link(path: str, target: str) -> str:
    """The target of a link at `path`, written relative to it. path: before the merge of /usr, relative to the root.

    `lib64/ld.so -> /lib/x/ld.so` becomes `../lib/x/ld.so`: the same file, wherever the tree lies.
    """
    absolute = target if target.startswith("/") else f"{PurePosixPath(path).parent}/{target}"
    place, goal = PurePosixPath(merged(path)), merged(absolute)
    return os.path.relpath(f"/{goal}", f"/{place.parent}")


def _place(deb: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, root: Path) -> int:
    target = root / path
    _open_parents(deb, target.parent, root)
    if member.isdir():
        if not target.is_symlink():
            target.mkdir(exist_ok=True)
        return 0
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.exists():
        raise _broken(deb, f"/{path} is a folder of another package")
    if member.issym():
        target.symlink_to(relative_link(member.name, member.linkname))
        return 0
    if member.islnk():
        return _copy_linked(deb, root / merged(member.linkname), target, root)
    if not member.isfile():
        raise _broken(deb, f"/{path} is neither file, folder nor link")
    content = archive.extractfile(member)
    assert content is not None
    with target.open("wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
    target.chmod(0o755 if member.mode & 0o111 else 0o644)
    return member.size


def _copy_linked(deb: Path, first: Path, target: Path, root: Path) -> int:
    """A hard link becomes a copy; where the first name was not wanted, its other names are not either."""
    if first.is_symlink() or not first.is_file() or not first.resolve().is_relative_to(root.resolve()):
        return 0
    shutil.copy(first, target)
    return target.stat().st_size


def _open_parents(deb: Path, folder: Path, root: Path) -> None:
    """Makes the folder; a link on the way would lead the next file elsewhere, so it is refused."""
    here = root
    for part in folder.relative_to(root).parts:
        here = here / part
        if here.is_symlink():
            raise _broken(deb, f"it writes through the link /{here.relative_to(root)}")
    folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _member(deb: Path, prefix: str) -> Iterator[IO[bytes]]:
    """The decompressed stream of the member whose name begins so."""
    with deb.open("rb") as file:
        for name, start, size in _members(deb, file):
            if name.startswith(prefix):
                yield _decompressed(deb, name, _Part(file, start, size))
                return
    raise _broken(deb, f"it has no {prefix}")


def _members(deb: Path, file: IO[bytes]) -> Iterator[tuple[str, int, int]]:
    """(name, start, size) of each member of the ar archive (ar(5); deb(5) uses the common format with short names)."""
    if file.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise _broken(deb, "it is not an ar archive")
    position = len(_AR_MAGIC)
    while len(header := file.read(_AR_HEADER)) == _AR_HEADER:
        length = header[48:58].strip()
        if header[58:] != b"`\n" or not length.isdigit():
            raise _broken(deb, "an ar header is damaged")
        start = position + _AR_HEADER
        yield header[:16].decode(errors="replace").strip().rstrip("/"), start, int(length)
        position = start + int(length) + int(length) % 2
        file.seek(position)


class _Part(io.RawIOBase):
    """A read-only window on a file."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file = file
        self._left = size
        file.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        content = self._file.read(min(len(view), self._left))
        self._left -= len(content)
        view[: len(content)] = content
        return len(content)


def _decompressed(deb: Path, name: str, part: _Part) -> IO[bytes]:
    stream = cast(IO[bytes], io.BufferedReader(part, 1 << 18))
    match name.rpartition("tar")[2]:
        case ".xz":
            return cast(IO[bytes], lzma.open(stream))
        case ".gz":
            return cast(IO[bytes], gzip.open(stream))
        case ".zst":
            import zstandard

            return cast(IO[bytes], zstandard.ZstdDecompressor().stream_reader(stream))
        case "":
            return stream
    raise _broken(deb, f"its member {name} has an unknown compression")


@contextmanager
def _tar(deb: Path, stream: IO[bytes]) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            yield archive
    except (tarfile.TarError, lzma.LZMAError, EOFError, gzip.BadGzipFile) as error:
        raise _broken(deb, str(error)) from None


def _broken(deb: Path, why: str) -> MlshipError:
    return MlshipError(
        f"{deb.name} is not a package that can be unpacked: {why}",
        where=str(deb),
        fix="delete the file and run mlship build again",
        exit=Exit.BUILD_FAILED,
    )
