"""One file that carries images to a machine without a network: an OCI layout, a docker archive, and an account of all in it.

`docker load -i FILE` and tools that read `oci-archive:FILE` take it as it is; they pass over the account and the papers.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.disk import disk_errors, scratch_file, sync_folder
from mlship.errors import Exit, MlshipError
from mlship.oci.engine import archived, docker_manifest, engine_tag, index_of_image, named_in_index, place, sent_blobs
from mlship.oci.image import FRONT_LABEL, Descriptor, Image
from mlship.oci.index import index_of
from mlship.oci.layer import Entry, tar
from mlship.oci.layout import INDEX_TYPE, Layout
from mlship.oci.referrers import Document
from mlship.progress import Progress
from mlship.units import size_text

SCHEMA = 1
HEAD, ACCOUNT, PAPERS = "archive.json", "account.json", "papers"
_AROUND = 2048  # bytes at most that a tar has around one file


@dataclass(frozen=True)
class Contents:
    """What goes into an archive. images: of one project, one a platform. fronts: images of the docker target's front, likewise.

    facts: plain data, for whoever takes the images out again.
    """

    project: str
    images: tuple[Image, ...]
    fronts: tuple[Image, ...]
    papers: tuple[Document, ...]
    facts: Mapping[str, Any]


def write_archive(layout: Layout, contents: Contents, path: Path, version: str, progress: Progress) -> int:
    """Writes the file, whole or not at all; the same contents give the same bytes. Gives its size in bytes.

    version: mlship's. Raises MlshipError when a blob is damaged, or when there is no room for the file.
    """
    check_place(path)
    blobs = {blob.digest: blob.size for image in (*contents.images, *contents.fronts) for blob in sent_blobs(layout, image)}
    entries = [*_documents(layout, contents), *(Entry(place(digest), source=layout.path(digest)) for digest in blobs)]
    entries += _account(contents, entries, version)
    total = sum(blobs.values()) + sum(len(entry.content) for entry in entries)
    need_room(path.parent, total + len(entries) * _AROUND)
    progress.step("archive", f"{path.name}, {size_text(total)}")
    for digest in blobs:
        _check_blob(layout, digest)
    return _written(entries, path, total, progress)


def check_place(path: Path) -> None:
    """Raises MlshipError where no file can stand."""
    if path.is_dir():
        raise MlshipError(f"{path} is a folder", fix="name a file with --archive", code="usage")
    if not path.parent.is_dir():
        raise MlshipError(f"there is no folder {path.parent}", fix=f"mkdir -p {path.parent}", code="usage")


def need_room(folder: Path, size: int) -> None:
    """Raises MlshipError when less than `size` bytes are free there."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise MlshipError(
            f"{size_text(size)} are needed below {folder}, and {size_text(free)} are free",
            where=str(folder),
            fix="free some space there; nothing was written",
            exit=Exit.BUILD_FAILED,
            code="disk",
        )


def _documents(layout: Layout, contents: Contents) -> list[Entry]:
    """What other programs look for. The OCI side names the project's image only, or the index of its platforms."""
    first, *others = contents.images
    nested = index_of(layout, contents.images) if others else b""
    outer = Descriptor(INDEX_TYPE, f"sha256:{hashlib.sha256(nested).hexdigest()}", len(nested))
    index = named_in_index(outer, engine_tag(first)) if others else index_of_image(first)
    manifests = [docker_manifest(layout, image) for image in (*contents.images, *contents.fronts)]
    return [
        *archived(manifests, index),
        *([Entry(place(outer.digest), content=nested)] if others else []),
        *(Entry(f"{PAPERS}/{paper.title}", content=paper.content) for paper in contents.papers),
    ]


def _account(contents: Contents, entries: Iterable[Entry], version: str) -> list[Entry]:
    """archive.json vouches for account.json, and that for everything else."""
    account = _json(
        {
            "project": contents.project,
            "images": [_described(image) for image in contents.images],
            "fronts": [{**_described(image), "key": image.labels[FRONT_LABEL]} for image in contents.fronts],
            "files": {entry.path: _sum(entry) for entry in entries},
            "facts": contents.facts,
        }
    )
    head = {"schema": SCHEMA, "mlship": version, "account": hashlib.sha256(account).hexdigest()}
    return [Entry(HEAD, content=_json(head)), Entry(ACCOUNT, content=account)]


def _described(image: Image) -> dict[str, Any]:
    manifest = {"media_type": image.manifest.media_type, "digest": image.manifest.digest, "size": image.manifest.size}
    return {"content": image.content, "platform": image.platform, "manifest": manifest}


def _sum(entry: Entry) -> str:
    """A blob is called by its sum."""
    return hashlib.sha256(entry.content).hexdigest() if entry.source is None else entry.source.name


def _check_blob(layout: Layout, digest: str) -> None:
    """Who takes the archive elsewhere finds out too late."""
    try:
        with layout.path(digest).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        found = ""
    if f"sha256:{found}" != digest:
        what = f"the blob {digest} was changed" if found else f"the blob {digest} is missing"
        raise MlshipError(what, str(layout.root), f"rm {layout.path(digest)}, then mlship build", exit=Exit.BUILD_FAILED,
                          code="damaged-layout")  # fmt: skip


def _written(entries: Sequence[Entry], path: Path, total: int, progress: Progress) -> int:
    size = 0
    with disk_errors(path.parent), scratch_file(path.parent) as temporary:
        with temporary.open("wb") as file:
            for chunk in tar(entries):
                file.write(chunk)
                size += len(chunk)
                progress.amount("archive", min(size, total), total)
            os.fchmod(file.fileno(), 0o644)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    sync_folder(path.parent)
    return size


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
