"""The cache in one file, for a machine that starts with nothing: blobs by digest, installed folders as layers, and the keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlship
from mlship.disk import disk_errors, make_folder, scratch_file, scratch_folder
from mlship.home import Home
from mlship.image.cache.forms import ACCOUNT, DOCUMENTS, HEAD, SCHEMA
from mlship.oci.image import CONTENT_LABEL, Layer
from mlship.oci.layer import Entry, entries_of_folder, tar, write_layer
from mlship.oci.layout import PROJECT_LABEL, Layout
from mlship.oci.reachable import reachable
from mlship.progress import Progress
from mlship.units import size_text


@dataclass(frozen=True)
class Wanted:
    """project: whose newest images; empty for all that is here. debs, packages, models: names below the cache; None for all."""

    project: str = ""
    debs: frozenset[str] | None = None
    packages: frozenset[str] | None = None
    models: frozenset[str] | None = None


@dataclass(frozen=True)
class Exported:
    """size: of the file. images, downloads, folders: how many of each are in it."""

    path: Path
    size: int
    images: int
    downloads: int
    folders: int


def export(home: Home, wanted: Wanted, path: Path, progress: Progress) -> Exported:
    """Writes the file, whole or not at all. Raises MlshipError where the disk refuses."""
    layout = Layout(home.images)
    listed = _images(layout, wanted.project)
    blobs = {digest for digest in reachable(layout, listed) if layout.path(digest).is_file()}
    with ExitStack() as stack, disk_errors(path.parent):
        staging = Layout(stack.enter_context(scratch_folder(home.cache / "work")))
        folders = [_folder(staging, home, kind, name, progress) for kind, name in _folders(home, wanted)]
        debs = _names(home.cache / "debs", wanted.debs)
        entries = [
            *(Entry(f"blobs/{digest[7:]}", source=layout.path(digest)) for digest in sorted(blobs)),
            *(Entry(f"debs/{name}", source=home.cache / "debs" / name) for name in debs),
            *(
                Entry(f"folders/{digest[7:]}", source=staging.path(digest))
                for digest in sorted({f.layer.blob.digest for f in folders})
            ),
        ]
        account = _json(
            {
                "images": listed,
                "folders": [asdict(folder) for folder in folders],
                "documents": _documents(home, {digest[7:] for digest in blobs} | contents_of(listed)),
            }
        )
        head = {"schema": SCHEMA, "mlship": mlship.__version__, "account": hashlib.sha256(account).hexdigest()}
        whole = [Entry(HEAD, content=_json(head)), Entry(ACCOUNT, content=account), *entries]
        size = _write(whole, path, progress)
    return Exported(path, size, len(listed), len(debs), len(folders))


@dataclass(frozen=True)
class Folder:
    """An installed folder, or a fetched model, as a layer. kind: below the cache; name: its key."""

    kind: str
    name: str
    layer: Layer


def _images(layout: Layout, project: str) -> list[Mapping[str, Any]]:
    """Of a project the newest of each platform."""
    found: dict[Any, Mapping[str, Any]] = {}
    for entry in layout.listed():
        notes = entry.get("annotations") or {}
        if not project:
            found[entry["digest"], notes.get(PROJECT_LABEL)] = entry
        elif notes.get(PROJECT_LABEL) == project:
            found[json.dumps(entry.get("platform"), sort_keys=True)] = entry
    return list(found.values())


def _folders(home: Home, wanted: Wanted) -> Iterable[tuple[str, str]]:
    yield from (("packages", name) for name in _names(home.cache / "packages", wanted.packages))
    yield from (("models", name) for name in _names(home.cache / "models", wanted.models))


def _names(folder: Path, wanted: Collection[str] | None) -> list[str]:
    found = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    return [name for name in found if wanted is None or name in wanted]


def _folder(staging: Layout, home: Home, kind: str, name: str, progress: Progress) -> Folder:
    progress.step("cache", f"packing {kind} {name[:12]}")
    entries = entries_of_folder(home.cache / kind / name, "/")
    return Folder(kind, name, write_layer(staging, entries, role=kind, name=name, progress=progress))


def contents_of(listed: Iterable[Mapping[str, Any]]) -> set[str]:
    """Content ids of an index's entries, in hex."""
    return {str((entry.get("annotations") or {}).get(CONTENT_LABEL, "")).removeprefix("sha256:") for entry in listed}


def _documents(home: Home, ids: Collection[str]) -> dict[str, str]:
    """Keys and records by their path below the home: those that lead to what is in the file."""
    found: dict[str, str] = {}
    for pattern in DOCUMENTS:
        for path in sorted(home.root.glob(f"{pattern.folder}/*{pattern.ending}")):
            name, text = path.relative_to(home.root).as_posix(), path.read_text()
            if pattern.matches(name) and pattern.is_led(text, ids, found):
                found[name] = text
    return found


def _write(entries: list[Entry], path: Path, progress: Progress) -> int:
    total = sum(entry.source.stat().st_size if entry.source else len(entry.content) for entry in entries)
    progress.step("cache", f"{path.name}, {size_text(total)}")
    size = 0
    make_folder(path.parent, "name another file")
    with disk_errors(path.parent, "name another file"), scratch_file(path.parent) as temporary:
        with temporary.open("wb") as file:
            for chunk in tar(entries):
                file.write(chunk)
                size += len(chunk)
                progress.amount("cache", min(size, total), total)
        temporary.chmod(0o644)
        temporary.replace(path)
    return size


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True).encode()
