"""The file system of an image, read from its layers as streams: names and modes of all, contents of the few that matter.

Nothing is written to the disk, so that no member can lead anywhere.
"""

from __future__ import annotations

import re
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mlship.oci.image import Layer
from mlship.oci.layout import Layout
from mlship.oci.rootfs import inner_path, open_layer

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"  # image specification, "Image Layer Filesystem Changeset"
_HOPS = 40  # as the kernel follows (path_resolution(7))
_READ = re.compile(
    r"""
      .*/libc(-2\.\d+)?\.so(\.6)?$
    | /(etc|usr/lib)/os-release$
    | /.*bin/python3\.\d+$
    """,
    re.VERBOSE,
)
_CAPABILITY = "SCHILY.xattr.security.capability"  # how engines write the attribute into a layer
_LARGEST, _HEAD = 16 * 2**20, 64


@dataclass(frozen=True)
class File:
    """kind: file, folder, link or other. mode: permission bits. link: target as it is written. is_capable: has capabilities(7)."""

    kind: str
    mode: int
    link: str = ""
    is_capable: bool = False


@dataclass
class Files:
    """By absolute path. contents: of files that are read, of programs their head. sizes: of each layer's tar in bytes, bottom first."""

    entries: dict[str, File] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    def real(self, path: str) -> str:
        """Where a path leads, links followed as in the image; empty where it leads nowhere."""
        waiting, here = list(reversed(PurePosixPath(path).parts[1:])), ""
        for _ in range(_HOPS * 10):
            if not waiting:
                return here or "/"
            part = waiting.pop()
            if part == "..":
                here = here.rpartition("/")[0]
                continue
            entry = self.entries.get(f"{here}/{part}")
            if entry is None:
                return ""
            if entry.kind == "link":
                here = "" if entry.link.startswith("/") else here
                waiting += [part for part in reversed(PurePosixPath(entry.link).parts) if part != "/"]
            else:
                here = f"{here}/{part}"
        return ""

    def is_open(self, path: str) -> bool:
        """Whether every user may run the file. path: a real one."""
        parents = [str(parent) for parent in PurePosixPath(path).parents if str(parent) != "/"]
        closed = any(not self.entries[parent].mode & 0o001 for parent in parents if parent in self.entries)
        return not closed and self.entries[path].mode & 0o005 == 0o005


def read_files(layout: Layout, layers: Iterable[Layer]) -> Files:
    """Reads every layer once, the lowest first. Raises MlshipError where one is missing or not what its digests say."""
    files = Files()
    for layer in layers:
        with open_layer(layout, layer) as archive:
            above = Files()
            for member in archive:
                _take(above, archive, member)
            files.sizes.append(archive.offset)
        _lay(files, above)
    return files


def _take(layer: Files, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    inner = inner_path(member.name)
    if inner is None:
        raise tarfile.TarError(f"the path {member.name!r} leads out of the image")
    path = f"/{inner}"
    if member.islnk():
        target = f"/{inner_path(member.linkname)}"
        layer.entries[path] = layer.entries.get(target, File("other", 0))
        if target in layer.contents:
            layer.contents[path] = layer.contents[target]
    elif inner.parts:
        capable = _CAPABILITY in member.pax_headers
        layer.entries[path] = File(_kind(member), stat.S_IMODE(member.mode), member.linkname if member.issym() else "", capable)
        if member.isfile() and _READ.match(path):
            content = archive.extractfile(member)
            assert content is not None
            layer.contents[path] = content.read(_HEAD if "/python" in path else _LARGEST)


def _kind(member: tarfile.TarInfo) -> str:
    return "link" if member.issym() else "folder" if member.isdir() else "file" if member.isfile() else "other"


def _lay(files: Files, above: Files) -> None:
    """The layer over the lower ones: first what it hides, then what it brings."""
    hidden = {path for path in _whiteouts(above) if path}
    replaced = {path for path, entry in above.entries.items() if entry.kind != "folder"}
    opaque = {path.rpartition("/")[0] for path in above.entries if path.endswith(f"/{OPAQUE}")}
    if hidden or opaque or replaced:
        for path in list(files.entries):
            if path in hidden or any(parent in hidden or parent in opaque or parent in replaced for parent in _parents(path)):
                files.entries.pop(path)
                files.contents.pop(path, None)
    for path, entry in above.entries.items():
        if not path.rpartition("/")[2].startswith(WHITEOUT):
            for parent in _parents(path):
                known = files.entries.get(parent)
                if known is None or (known.kind != "folder" and parent not in above.entries):
                    files.entries[parent] = File("folder", 0o755)
            files.contents.pop(path, None)
            files.entries[path] = entry
    files.contents.update(above.contents)


def _whiteouts(above: Files) -> Iterator[str]:
    for path in above.entries:
        folder, _, name = path.rpartition("/")
        if name.startswith(WHITEOUT) and not name.startswith(f"{WHITEOUT}{WHITEOUT}"):
            yield f"{folder}/{name.removeprefix(WHITEOUT)}"


def _parents(path: str) -> Iterator[str]:
    end = path.find("/", 1)
    while end > 0:
        yield path[:end]
        end = path.find("/", end + 1)
