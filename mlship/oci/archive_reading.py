"""An archive on its way into this machine's store: nothing is taken before everything in it was checked."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from mlship.disk import disk_errors, make_folder, scratch_folder, sync_folder
from mlship.errors import Exit, MlshipError
from mlship.oci.archive import ACCOUNT, HEAD, SCHEMA, need_room
from mlship.oci.archive_members import Member, Strange, chunks, members, small, sum_of
from mlship.oci.engine import place
from mlship.oci.image import CONTENT_LABEL, FRONT_LABEL, Descriptor, Image, content_id
from mlship.oci.layer import CHUNK
from mlship.oci.layout import PROJECT_LABEL, Layout
from mlship.oci.rootfs import open_layer
from mlship.progress import Progress
from mlship.units import size_text

_HEAD_AT_MOST, _DOCUMENT_AT_MOST, _ACCOUNT_AT_MOST = 4096, 4 * 2**20, 256 * 2**20


@dataclass(frozen=True)
class Described:
    """An image as the account names it. key: of a front, what it can do."""

    content: str
    platform: str
    manifest: Descriptor
    key: str = ""


@dataclass(frozen=True)
class Account:
    """What the archive says of itself. files: name -> sha256 in hex, of everything but archive.json and account.json."""

    project: str
    images: tuple[Described, ...]
    fronts: tuple[Described, ...]
    files: Mapping[str, str]
    facts: Mapping[str, Any]


class ArchiveFile:
    """An archive whose account is read, and names exactly what is in the file. The rest is not read yet."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        self._members = members(file)
        self.version, self.account = self._read()

    def take(self, layout: Layout, contents: Collection[str], progress: Progress) -> tuple[Image, ...]:
        """These images, whole, in the layout; each is the newest of its project then.

        Everything in the archive is checked first, also what is not wanted. Raises MlshipError when something in it is wrong, or
        where the disk has no room; the layout is as it was then.
        """
        wanted = [image for image in (*self.account.images, *self.account.fronts) if image.content in contents]
        with disk_errors(layout.root), _judged(self.path):
            make_folder(layout.blobs)
            need_room(layout.blobs, CHUNK)  # for the documents that say how much more is needed
            with scratch_folder(layout.blobs) as folder:
                staging = Layout(folder)
                images = tuple(self._image(staging, described) for described in wanted)
                self._check_all(staging, self._missing(layout, images), progress)
                for image in images:
                    _check_layers(staging, image)
                _move(staging, layout)
        for image in images:
            layout.tag(image.labels.get(PROJECT_LABEL, ""), image)
        return images

    def refused(self, why: str) -> MlshipError:
        """The error for what is wrong with it, in words."""
        return _refused(self.path, why)

    def newer(self, version: str = "") -> MlshipError:
        """The error for what a later mlship wrote."""
        said = (version or self.version)[:40]
        return MlshipError(
            f"the archive was written by mlship {said}", str(self.path), "upgrade mlship here", code="newer-archive"
        )

    def _read(self) -> tuple[str, Account]:
        head = self._json(HEAD, _HEAD_AT_MOST)
        version = str(head.get("mlship", ""))
        if not isinstance(head.get("schema"), int) or head["schema"] < 1:
            raise Strange("it is damaged, or no archive of mlship")
        if head["schema"] > SCHEMA:
            raise self.newer(version)
        raw = small(self._file, self._member(ACCOUNT), _ACCOUNT_AT_MOST)
        if sum_of(raw) != head.get("account"):
            raise Strange(f"{ACCOUNT} is damaged")
        account = _account(raw)
        self._check_names(account)
        return version, account

    def _check_names(self, account: Account) -> None:
        there = self._members.keys() - {HEAD, ACCOUNT}
        for name in sorted(there ^ account.files.keys())[:1]:
            raise Strange(f"{name[:80]!r} does not belong to it" if name in there else f"{name[:80]!r} is missing in it")

    def _member(self, name: str) -> Member:
        if name not in self._members:
            raise Strange("it is no archive of mlship" if name == HEAD else f"{name!r} is missing in it")
        return self._members[name]

    def _json(self, name: str, at_most: int) -> dict[str, Any]:
        document = json.loads(small(self._file, self._member(name), at_most))
        if not isinstance(document, dict):
            raise Strange(f"{name} is damaged")
        return document

    def _image(self, staging: Layout, described: Described) -> Image:
        """As its manifest and configuration say, which agree with the account, and name their own content."""
        for digest in (described.manifest.digest, self._config(described.manifest)):
            kept = staging.put_blob(small(self._file, self._member(place(digest)), _DOCUMENT_AT_MOST), "")
            if kept.digest != digest:
                raise Strange(f"{place(digest)} is damaged")
        image = staging.read_image(described.manifest)
        computed = content_id(image.platform, (layer.diff_id for layer in image.layers), image.config.get("config", {}))
        labels = tuple(image.labels.get(name, "") for name in (PROJECT_LABEL, FRONT_LABEL, CONTENT_LABEL))
        said = ("", described.key) if described.key else (self.account.project, "")
        if (described.content, described.platform) != (computed, image.platform) or labels != (*said, computed):
            raise Strange(f"the image {described.content[:19]} is not what it is said to be")
        return image

    def _config(self, manifest: Descriptor) -> str:
        return str(self._json(place(manifest.digest), _DOCUMENT_AT_MOST)["config"]["digest"])

    def _missing(self, layout: Layout, images: Sequence[Image]) -> frozenset[str]:
        """Layers that the layout lacks. Raises MlshipError where there is no room for them."""
        layers = {layer.blob.digest: layer.blob for image in images for layer in image.layers if not layout.has(layer.blob)}
        for blob in layers.values():
            if self._member(place(blob.digest)).size != blob.size:
                raise Strange(f"the layer {blob.digest[:19]} is damaged")
        need_room(layout.root, sum(blob.size for blob in layers.values()))
        return frozenset(map(place, layers))

    def _check_all(self, staging: Layout, missing: Collection[str], progress: Progress) -> None:
        total = sum(self._members[name].size for name in self.account.files)
        progress.step("archive", f"checking {self.path.name}, {size_text(total)}")
        done = 0
        for name, wanted in self.account.files.items():
            if name in missing:
                with staging.writer() as blob:
                    for chunk in chunks(self._file, self._members[name]):
                        blob.write(chunk)
                    found = blob.described("").digest.removeprefix("sha256:")
                    if found == wanted:
                        blob.commit("")
            else:
                plain = sha256()
                for chunk in chunks(self._file, self._members[name]):
                    plain.update(chunk)
                found = plain.hexdigest()
            if found != wanted or (name.startswith(place("")) and name != place(found)):
                raise Strange(f"{name} is damaged")
            done += self._members[name].size
            progress.amount("archive", done, total)


@contextmanager
def opened_archive(path: Path) -> Iterator[ArchiveFile]:
    """Raises MlshipError for a file that is no archive, not whole, or of a newer mlship."""
    try:
        file = path.open("rb")
    except OSError as error:
        fix = "name the file that mlship build --archive wrote"
        raise MlshipError(f"{path} cannot be read: {error.strerror}", fix=fix, code="no-archive") from None
    with file:
        with _judged(path):
            opened = ArchiveFile(path, file)
        yield opened


@contextmanager
def _judged(path: Path) -> Iterator[None]:
    """Whatever a document in the file lacks or has too much of is the file's fault."""
    try:
        yield
    except Strange as strange:
        raise _refused(path, str(strange)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _refused(path, "a document in it is damaged") from None


def _refused(path: Path, why: str) -> MlshipError:
    return MlshipError(
        f"{path.name} cannot be used: {why}",
        where=str(path),
        fix="compare it with the original (sha256sum) and copy it again, or make it again: mlship build --archive "
        f"{shlex.quote(path.name)}; nothing was taken from it",
        exit=Exit.BUILD_FAILED,
        code="damaged-archive",
    )


def _account(raw: bytes) -> Account:
    import msgspec

    return msgspec.json.decode(raw, type=Account)


def _check_layers(staging: Layout, image: Image) -> None:
    """Each new layer is, unpacked, what the image says. One that lies raw was compared when it was staged."""
    for layer in image.layers:
        if staging.has(layer.blob) and layer.diff_id != layer.blob.digest:
            try:
                with open_layer(staging, layer):
                    pass
            except MlshipError:
                raise Strange(f"the layer {layer.name or layer.diff_id[:19]} is not what the image says") from None


def _move(staging: Layout, layout: Layout) -> None:
    for blob in list(staging.blobs.iterdir()):
        target = layout.blobs / blob.name
        if not target.exists() or target.stat().st_size != blob.stat().st_size:
            blob.replace(target)
    sync_folder(layout.blobs)
