"""What makes an image big: its layers and packages by the bytes that they take there.

Only layers that hold several packages are read, each once, from where they lie unpacked already or else from their blob: what was
found is kept beside the cached layers.
"""

from __future__ import annotations

import csv
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mlship.disk import write_atomic
from mlship.home import Home
from mlship.image.plan import PACKAGES
from mlship.oci.image import Layer
from mlship.oci.layout import Layout

OWNERS = "var/lib/dpkg/status.d/"  # NAME.md5sums there lists the files of an operating-system package
SHARED_LAYERS = ("pure Python", "packages")  # of all wheels that have no layer of their own
_BLOCK = 512
_COMPILED = re.compile(r"(.*/)?__pycache__/([^/]+)\.cpython-\d+(\.opt-\d)?\.pyc")
_LISTS = re.compile(rf"{OWNERS}(?P<system>[^/]+)\.md5sums|{PACKAGES.strip('/')}/(?P<python>[^/]+)\.dist-info/RECORD")
_LONGEST_LIST = 32 * 2**20
_SCHEMA = 1
_Owner = tuple[str, str, str]  # kind, name, version
_Member = tuple[str, int, Callable[[], bytes] | None]  # path, bytes of its content, and how it is read where it is a file


@dataclass(frozen=True)
class Part:
    """One package, or a whole layer. kind: `system`, `python`, or the layer's role. size: bytes, uncompressed, as in the layer's tar."""

    kind: str
    name: str
    version: str
    size: int


def layer_parts(layout: Layout, layers: Iterable[Layer], home: Home, versions: Mapping[str, str]) -> tuple[Part, ...]:
    """Everything in the layers, the biggest first; sizes add up to theirs. home: its cache keeps what reading them told.

    versions: of the wheels, by name. Raises MlshipError where a layer that must be read is damaged.
    """
    found = [part for layer in layers for part in _parts(layout, layer, home, versions)]
    return tuple(sorted(found, key=lambda part: (-part.size, part.kind, part.name)))


def largest(parts: Iterable[Part], count: int) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """The biggest ones, and the others: never one other alone. Pure."""
    listed = tuple(parts)
    first = listed if len(listed) <= count else listed[: count - 1]
    return first, listed[len(first) :]


def _parts(layout: Layout, layer: Layer, home: Home, versions: Mapping[str, str]) -> tuple[Part, ...]:
    if layer.role == "base" or (layer.role == "packages" and layer.name in SHARED_LAYERS):
        return _of_several(layout, layer, home)
    if layer.role == "packages":
        return (Part("python", layer.name, versions.get(layer.name, ""), layer.size),)
    return (Part(layer.role, layer.name, "", layer.size),)


def _of_several(layout: Layout, layer: Layer, home: Home) -> tuple[Part, ...]:
    path = home.cache / "layers" / f"{layer.diff_id.removeprefix('sha256:')}.sizes"
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] == _SCHEMA:
            return tuple(Part(**entry) for entry in document["parts"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        pass  # not read yet, or a file that is cut: the layer is read again
    parts = _as_they_lie(layer, home)
    if parts is None and layout.has(layer.blob):
        parts = _read(layer, _in_blob(layout, layer))
    if parts is None:  # a base that somebody else made may lie in a registry only
        return (Part(layer.role, layer.name, "", layer.size),)
    write_atomic(path, json.dumps({"schema": _SCHEMA, "parts": [asdict(part) for part in parts]}).encode())
    return parts


def _as_they_lie(layer: Layer, home: Home) -> tuple[Part, ...] | None:
    """None where the layer is not unpacked, or no longer: the cache may be deleted at any time."""
    # here and not above: a build that finds nothing to do reads no layer
    from mlship.oci.rootfs import unpacked_folder

    try:
        return _read(layer, _in_folder(unpacked_folder(home, layer)))
    except OSError:
        return None


def _read(layer: Layer, members: Iterable[_Member]) -> tuple[Part, ...]:
    sizes: dict[str, int] = {}
    lists: dict[str, str] = {}
    versions: dict[str, str] = {}
    for name, size, read in members:
        sizes[name] = _BLOCK + (-(-size // _BLOCK) * _BLOCK if read else 0)
        if read is None:
            continue
        if size <= _LONGEST_LIST and _LISTS.fullmatch(name):
            lists[name] = read().decode(errors="replace")
        elif name.startswith(OWNERS) and not name.endswith(".md5sums"):
            versions[name.removeprefix(OWNERS)] = _version(read().decode(errors="replace"))
    return tuple(_added_up(layer, sizes, _owners(lists), versions))


def _owners(lists: Mapping[str, str]) -> dict[str, _Owner]:
    """Whose each file is. lists: text by path. Of two that name one file the last has it, in whatever order they were read. Pure."""
    owners: dict[str, _Owner] = {}
    for name, text in sorted(lists.items()):
        found = _LISTS.fullmatch(name)
        assert found is not None
        if found["python"]:
            project, _, version = found["python"].partition("-")
            owners.update((path, ("python", project.replace("_", "-").lower(), version)) for path in _recorded(text))
        else:
            owners.update((path, ("system", found["system"], "")) for path in _summed(text))
    return owners


def _in_blob(layout: Layout, layer: Layer) -> Iterator[_Member]:
    from mlship.oci.rootfs import inner_path, open_layer

    with open_layer(layout, layer) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            yield str(inner_path(member.name) or member.name), member.size, file.read if file else None


def _in_folder(folder: Path) -> Iterator[_Member]:
    """As the blob has them: a file that lies there by several names has its bytes once. Raises OSError where it is not all there."""
    seen: set[int] = set()
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders.sort()  # so that of several names it is always the same one
        inside = os.path.relpath(parent, folder)
        for name in sorted((*folders, *files)):
            path = Path(parent, name)
            shown = name if inside == "." else f"{inside}/{name}"
            found = path.lstat()
            is_file = stat.S_ISREG(found.st_mode) and found.st_ino not in seen
            seen.add(found.st_ino)
            yield shown, found.st_size, path.read_bytes if is_file else None


def _raise(error: OSError) -> None:
    raise error


def _added_up(
    layer: Layer, sizes: Mapping[str, int], owners: Mapping[str, _Owner], versions: Mapping[str, str]
) -> Iterator[Part]:
    """By owner; what nobody owns is the layer's own: folders, and files that mlship made. Pure."""
    own = (layer.role, layer.name, "")
    totals: dict[tuple[str, str, str], int] = {own: layer.size - sum(sizes.values())}
    for path, size in sizes.items():
        owner = owners.get(_source(path), own)
        totals[owner] = totals.get(owner, 0) + size
    for (kind, name, version), size in totals.items():
        yield Part(kind, name, version or versions.get(name, ""), size)


def _source(path: str) -> str:
    compiled = _COMPILED.fullmatch(path)
    return f"{compiled[1] or ''}{compiled[2]}.py" if compiled else path


def _recorded(text: str) -> Iterator[str]:
    return (f"{PACKAGES.strip('/')}/{row[0]}" for row in csv.reader(text.splitlines()) if row)


def _summed(text: str) -> Iterator[str]:
    return (line[34:] for line in text.splitlines() if len(line) > 34)


def _version(status: str) -> str:
    found = re.search(r"^Version: (\S+)", status, re.MULTILINE)
    return found[1] if found else ""
