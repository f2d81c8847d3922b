"""An OCI image layout on disk: blobs by digest, one index that several builds may write at once."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mlship.disk import locked, make_folder, scratch_file, sync_folder, write_atomic
from mlship.errors import Exit, MlshipError
from mlship.oci.image import CONTENT_LABEL, Descriptor, Image, Layer, content_id

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
PROJECT_LABEL = "mlship.project"
ROLE, NAME, SIZE = "mlship.role", "mlship.name", "mlship.size"
REFERENCE = "org.opencontainers.image.ref.name"
EPOCH = "1970-01-01T00:00:00Z"  # images carry no time: the same inputs give the same bytes
_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Layout:
    """The folder of one OCI image layout; made when the first blob is written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def blobs(self) -> Path:
        return self.root / "blobs" / "sha256"

    def path(self, digest: str) -> Path:
        """Where the blob lies or would lie. digest: `sha256:<64 hex>`; anything else is refused."""
        if not _DIGEST.fullmatch(digest):
            raise MlshipError(f"{digest!r} is not a sha256 digest", exit=Exit.BUILD_FAILED)
        return self.blobs / digest.removeprefix("sha256:")

    def has(self, blob: Descriptor) -> bool:
        """Whether the blob is here in full length; blobs are only ever renamed into place when whole."""
        try:
            return self.path(blob.digest).stat().st_size == blob.size
        except FileNotFoundError:
            return False

    def put_blob(self, content: bytes, media_type: str) -> Descriptor:
        """Writes a small blob; one that is here already is left as it is."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        blob = Descriptor(media_type, digest, len(content))
        if not self.has(blob):
            self._prepare()
            write_atomic(self.path(digest), content)
        return blob

    def read_json(self, digest: str) -> Any:
        """The JSON document in a blob, its digest checked."""
        try:
            content = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise self._damaged(f"the blob {digest} is missing") from None
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            raise self._damaged(f"the blob {digest} was changed")
        return json.loads(content)

    @contextmanager
    def writer(self) -> Iterator[BlobWriter]:
        """A blob that is written in pieces; without `commit` nothing of it stays."""
        self._prepare()
        with scratch_file(self.blobs) as temporary, temporary.open("wb") as file:
            yield BlobWriter(file, temporary, self)

    def write_image(
        self, layers: Sequence[Layer], config: Mapping[str, Any], platform: str, annotations: Mapping[str, str] | None = None
    ) -> Image:
        """Writes configuration and manifest and lists the image in the index under its project's name.

        config: the OCI configuration's `config` section; its label mlship.content is set here. annotations: of the manifest.
        Raises MlshipError when a layer's blob is missing.
        """
        for layer in layers:
            if not self.has(layer.blob):
                raise self._damaged(f"the blob {layer.blob.digest} of layer {layer.name} is missing")
        content = content_id(platform, (layer.diff_id for layer in layers), config)
        labels = {**(config.get("Labels") or {}), CONTENT_LABEL: content}
        whole = _configuration(platform, layers, {**config, "Labels": dict(sorted(labels.items()))})
        image = self.put_image(content, platform, layers, whole, annotations)
        self.tag(image.labels.get(PROJECT_LABEL, ""), image)
        return image

    def put_image(
        self,
        content: str,
        platform: str,
        layers: Sequence[Layer],
        config: Mapping[str, Any],
        annotations: Mapping[str, str] | None = None,
    ) -> Image:
        """Writes configuration and manifest, and lists the image nowhere. config: the whole OCI configuration."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _plain(self.put_blob(_json(config), CONFIG_TYPE)),
            "layers": [_layer_descriptor(layer) for layer in layers],
            "annotations": {**(annotations or {}), CONTENT_LABEL: content},
        }
        blob = self.put_blob(_json(manifest), MANIFEST_TYPE)
        return Image(content, platform, tuple(layers), config, blob, dict(annotations or {}))

    def tag(self, project: str, image: Image) -> None:
        """Makes the image the newest of the project."""
        entry = {
            **_plain(image.manifest),
            "platform": _platform(image.platform),
            "annotations": {
                CONTENT_LABEL: image.content,
                **({PROJECT_LABEL: project, REFERENCE: f"{project}-{short(image.content)}"} if project else {}),
            },
        }

        def moved(entries: list[Any]) -> list[Any]:
            others = [known for known in entries if (known["digest"], _project(known)) != (entry["digest"], project)]
            return [*others, entry]

        self._update_index(moved)

    def name(self, reference: str, blob: Descriptor) -> None:
        """Lists a blob that is no image in the index, instead of what had this name before."""
        entry = {**_plain(blob), "annotations": {REFERENCE: reference}}
        self._update_index(lambda entries: [*(known for known in entries if _reference(known) != reference), entry])

    def named(self, reference: str) -> Descriptor | None:
        """What `name` listed."""
        found = (entry for entry in self._entries() if _reference(entry) == reference)
        return next((Descriptor(entry["mediaType"], entry["digest"], entry["size"]) for entry in found), None)

    def listed(self) -> list[Mapping[str, Any]]:
        """Everything that the index names, as it stands there; the oldest first."""
        return list(self._entries())

    def keep_listed(self, is_kept: Callable[[Mapping[str, Any]], bool]) -> None:
        """Takes all else out of the index; blobs stay."""
        self._update_index(lambda entries: [entry for entry in entries if is_kept(entry)])

    def images(self, project: str = "") -> list[Image]:
        """All images, or those of one project; the newest first."""
        return [self._image(entry) for entry in reversed(self._listed()) if not project or _project(entry) == project]

    def find(self, reference: str) -> Image:
        """The image by project name (its newest), content id, or the beginning of one (`c41e07`).

        Raises MlshipError when there is none, or more than one content id begins so.
        """
        entries = list(reversed(self._listed()))
        found = [entry for entry in entries if _project(entry) == reference]
        if found:
            return self._image(found[0])
        prefix = _HEX.fullmatch(reference)
        if prefix:
            found = [entry for entry in entries if _content(entry).removeprefix("sha256:").startswith(prefix[1])]
        contents = sorted({_content(entry) for entry in found})
        if len(contents) > 1:
            raise MlshipError(
                f"{reference!r} is the beginning of {len(contents)} images: {', '.join(map(short, contents))}",
                where=str(self.root),
                fix="write more of the content id",
            )
        if not found:
            raise MlshipError(
                f"there is no image {reference!r} on this machine" + _known(entries),
                where=str(self.root),
                fix="mlship build",
                code="no-image",
            )
        return self._image(found[0])

    def of_manifest(self, digest: str) -> Image | None:
        """The image that is listed here with this manifest: one content id has several, by compression."""
        return next((self._image(entry) for entry in self._listed() if entry["digest"] == digest), None)

    def read_image(self, manifest: Descriptor) -> Image:
        """The image that a manifest in this layout describes."""
        document = self.read_json(manifest.digest)
        config = self.read_json(document["config"]["digest"])
        diff_ids = config["rootfs"]["diff_ids"]
        layers = tuple(_layer(entry, diff_id) for entry, diff_id in zip(document["layers"], diff_ids, strict=True))
        platform = f"{config['os']}/{config['architecture']}"
        content = (config.get("config", {}).get("Labels") or {}).get(CONTENT_LABEL) or content_id(
            platform, diff_ids, config.get("config", {})
        )
        notes = {name: text for name, text in (document.get("annotations") or {}).items() if name != CONTENT_LABEL}
        return Image(content, platform, layers, config, manifest, notes)

    def _image(self, entry: Mapping[str, Any]) -> Image:
        return self.read_image(Descriptor(entry["mediaType"], entry["digest"], entry["size"]))

    def _listed(self) -> list[Any]:
        """The entries that are images: the index names lists of referrers besides."""
        return [entry for entry in self._entries() if entry.get("mediaType", MANIFEST_TYPE) == MANIFEST_TYPE]

    def _entries(self) -> list[Any]:
        path = self.root / "index.json"
        try:
            return list(json.loads(path.read_bytes())["manifests"])
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError):
            raise self._damaged(f"{path} is not an image index") from None

    def _update_index(self, change: Callable[[list[Any]], list[Any]]) -> None:
        self._prepare()
        with locked(self.root / ".index.lock"):
            index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": change(self._entries())}
            write_atomic(self.root / "index.json", _json(index))

    def _prepare(self) -> None:
        make_folder(self.blobs)
        marker = self.root / "oci-layout"
        if not marker.exists():
            write_atomic(marker, _json({"imageLayoutVersion": "1.0.0"}))

    def _damaged(self, what: str) -> MlshipError:
        return MlshipError(what, where=str(self.root), fix="mlship build", exit=Exit.BUILD_FAILED, code="damaged-layout")


class BlobWriter:
    """Takes the bytes of one blob; `commit` renames it to its digest once all of it is on the disk."""

    def __init__(self, file: IO[bytes], temporary: Path, layout: Layout) -> None:
        self._file = file
        self._temporary = temporary
        self._layout = layout
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        if data:
            self._file.write(data)
            self._hash.update(data)
            self._size += len(data)

    @property
    def size(self) -> int:
        """Bytes until now."""
        return self._size

    def described(self, media_type: str) -> Descriptor:
        """What the bytes until now are."""
        return Descriptor(media_type, f"sha256:{self._hash.hexdigest()}", self._size)

    def commit(self, media_type: str) -> Descriptor:
        blob = self.described(media_type)
        if not self._layout.has(blob):
            os.fchmod(self._file.fileno(), 0o644)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._temporary.replace(self._layout.path(blob.digest))
            sync_folder(self._layout.blobs)
        return blob


def short(content: str) -> str:
    """The first 12 digits of a content id: enough to name an image, short enough for a tag."""
    return content.removeprefix("sha256:")[:12]


def _configuration(platform: str, layers: Sequence[Layer], config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "created": EPOCH,
        **_platform(platform),
        "config": {key: value for key, value in config.items() if value not in (None, {}, [], "")},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": EPOCH, "created_by": f"mlship {layer.role}: {layer.name}"} for layer in layers],
    }


def _platform(platform: str) -> dict[str, str]:
    system, _, architecture = platform.partition("/")
    return {"os": system, "architecture": architecture}


def _layer_descriptor(layer: Layer) -> dict[str, Any]:
    return {**_plain(layer.blob), "annotations": {ROLE: layer.role, NAME: layer.name, SIZE: str(layer.size)}}


def _layer(entry: Mapping[str, Any], diff_id: str) -> Layer:
    notes = entry.get("annotations") or {}
    blob = Descriptor(entry["mediaType"], entry["digest"], entry["size"])
    size = notes.get(SIZE, "")
    return Layer(blob, diff_id, int(size) if size.isdecimal() else 0, notes.get(ROLE, ""), notes.get(NAME, ""))


def _plain(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}


def _project(entry: Mapping[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(PROJECT_LABEL, ""))


def _reference(entry: Mapping[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(REFERENCE, ""))


def _content(entry: Mapping[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(CONTENT_LABEL, ""))


def _known(entries: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(_project(entry) or short(_content(entry)) for entry in entries))
    return f"; known: {', '.join(names[:8])}" if names else ""


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
