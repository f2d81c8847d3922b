"""What nobody needs any more: images that are old and not deployed, blobs of no image, downloads that were of no use for long."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.disk import SCRATCH, disk_errors, remove_tree
from mlship.errors import MlshipError
from mlship.home import Home
from mlship.image.cache.sizes import tree_size
from mlship.image.record import BuildRecords
from mlship.oci.image import CONTENT_LABEL
from mlship.oci.layout import PROJECT_LABEL, Layout
from mlship.oci.reachable import reachable, subject_of

# Entries of these folders can be had again, unlike wheels that were built here: a lock names their very bytes.
_BY_AGE = (
    "debs",
    "packages",
    "server",
    "roots",
    "unpacked",
    "memo",
    "bases",
    "uv",
    "apt",
    "models",
    "archives",
    "compiled",
    "beside",
    "partial",
)


@dataclass(frozen=True)
class Rules:
    """images_s: an image may go when it was made so many seconds ago, and keep_last newer ones of its project and platform are
    there. unused_s: what can be had again goes when no build has used it for so long."""

    keep_last: int
    images_s: float
    unused_s: float


@dataclass(frozen=True)
class OldImage:
    """entry: as the layout's index has it."""

    project: str
    platform: str
    content: str
    made: float
    entry: Mapping[str, Any]


@dataclass(frozen=True)
class Removal:
    """images: those that go. paths: files and folders that go. size: bytes, those of shared files counted once each."""

    images: tuple[OldImage, ...]
    paths: tuple[Path, ...]
    size: int


def removal(home: Home, rules: Rules, needed: Collection[str], now: float) -> Removal:
    """What would go. needed: content ids that are deployed or can be rolled back to; now: seconds since the epoch."""
    layout = Layout(home.images)
    entries = layout.listed()
    going = old_images(tuple(_image(home, entry) for entry in entries if _content(entry)), rules, needed, now)
    gone = {str(image.entry["digest"]) for image in going if not _stays(image, going, entries)}
    kept = [entry for entry in entries if _is_kept(entry, going, gone)]
    paths = (*_blobs(home, layout, kept, now - rules.unused_s), *_records(home, kept), *_unused(home, now - rules.unused_s))
    return Removal(going, paths, sum(map(tree_size, paths)))


def old_images(images: Sequence[OldImage], rules: Rules, needed: Collection[str], now: float) -> tuple[OldImage, ...]:
    """Which of the images may go; they are given oldest first. Pure."""
    going = []
    for place, image in enumerate(images):
        newer = sum((other.project, other.platform) == (image.project, image.platform) for other in images[place + 1 :])
        if newer >= rules.keep_last and now - image.made >= rules.images_s and image.content not in needed:
            going.append(image)
    return tuple(going)


def remove(home: Home, what: Removal) -> None:
    """The index first, then what it led to: an interrupted removal leaves blobs too many and never one too few."""
    layout = Layout(home.images)
    going = [image.entry for image in what.images]
    gone = {str(image.entry["digest"]) for image in what.images if not _stays(image, what.images, layout.listed())}
    with disk_errors(home.root):
        if going:
            layout.keep_listed(lambda entry: entry not in going and subject_of(entry) not in gone)
        for path in what.paths:
            _remove(path)


def _remove(path: Path) -> None:
    """A folder loses its name first: half a folder must not be taken for a whole one."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    waiting = path.with_name(f"{SCRATCH}pruned-{path.name}")  # what an interrupted one leaves is swept up like any scratch
    path.rename(waiting)
    remove_tree(waiting)


def _is_kept(entry: Mapping[str, Any], going: Sequence[OldImage], gone: Collection[str]) -> bool:
    return all(entry != image.entry for image in going) and subject_of(entry) not in gone


def _stays(image: OldImage, going: Sequence[OldImage], entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether another entry, which stays, names the same manifest."""
    leaving = [other.entry for other in going]
    return any(entry["digest"] == image.entry["digest"] and entry not in leaving for entry in entries)


def _image(home: Home, entry: Mapping[str, Any]) -> OldImage:
    platform = entry.get("platform") or {}
    project = str((entry.get("annotations") or {}).get(PROJECT_LABEL, ""))
    named = f"{platform.get('os', '')}/{platform.get('architecture', '')}"
    return OldImage(project, named, _content(entry), _made(home, _content(entry), str(entry["digest"])), entry)


def _made(home: Home, content: str, digest: str) -> float:
    """When it was built, as its record says; of an image without one, when its manifest was written."""
    try:
        record = BuildRecords(home.images).of_content(content)
        return record.created if record and record.created else Layout(home.images).path(digest).stat().st_mtime
    except (OSError, MlshipError):
        return 0.0


def _content(entry: Mapping[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(CONTENT_LABEL, ""))


def _blobs(home: Home, layout: Layout, kept: Sequence[Mapping[str, Any]], before: float) -> Iterator[Path]:
    """Blobs of no image, and the keys that lead to them: layers of a build that failed are of use to the next one."""
    held = {digest.removeprefix("sha256:") for digest in reachable(layout, kept)}
    keys = sorted((home.cache / "layers").glob("*.json"))
    young = {_blob_of(key) for key in keys if _last_used(key) >= before}
    yield from (key for key in keys if _blob_of(key) not in held | young)
    yield from (path for path in (home.cache / "layers").glob("*.list") if _last_used(path) < before)
    if layout.blobs.is_dir():
        found = sorted(path for path in layout.blobs.iterdir() if not path.name.startswith("."))
        yield from (path for path in found if path.name not in held | young)


def _blob_of(key: Path) -> str:
    try:
        return str(json.loads(key.read_bytes())["blob"]["digest"]).removeprefix("sha256:")
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _records(home: Home, kept: Sequence[Mapping[str, Any]]) -> Iterator[Path]:
    """Records and benches of images that are no longer there, and pointers to them."""
    contents = {_content(entry).removeprefix("sha256:") for entry in kept}
    for folder in ("records", "benches"):
        yield from (
            path for path in sorted((home.images / folder).glob("*.json")) if path.name.partition(".")[0] not in contents
        )
    for pointer in sorted((home.images / "inputs").glob("*")):
        if not pointer.name.startswith(".") and pointer.read_text().partition(" ")[0].removeprefix("sha256:") not in contents:
            yield pointer


def _last_used(path: Path) -> float:
    """Not the time of its contents, which installed folders have of their wheels: `disk.used` moves this one, too."""
    return path.lstat().st_ctime


def _unused(home: Home, before: float) -> Iterator[Path]:
    for name in _BY_AGE:
        folder = home.cache / name
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not path.name.startswith(".") and _last_used(path) < before:
                yield path
