"""The forms in which a build's images are pushed: media types of OCI or docker, a manifest alone or an index of several. Pure.

The blobs stay byte for byte what they are and the content id stays the identity; manifest digests are transport facts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mlship.errors import Exit, MlshipError
from mlship.oci.image import CONTENT_LABEL, Descriptor, Image
from mlship.oci.layout import CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE, Layout

Kind = Literal["oci", "docker-v2s2", "oci-index", "docker-v2s2-index"]
KINDS: tuple[Kind, ...] = get_args(Kind)

DOCKER_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"
_DOCKER_OF_OCI = {  # distribution, "Image Manifest Version 2, Schema 2"
    CONFIG_TYPE: "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.oci.image.layer.v1.tar": "application/vnd.docker.image.rootfs.diff.tar",
}
_OCI_OF_DOCKER = {docker: oci for oci, docker in _DOCKER_OF_OCI.items()}
LAYER_TYPES = frozenset({*_DOCKER_OF_OCI, *_OCI_OF_DOCKER, "application/vnd.oci.image.layer.v1.tar+zstd"}) - {
    CONFIG_TYPE,
    _DOCKER_OF_OCI[CONFIG_TYPE],
}


@dataclass(frozen=True)
class Document:
    """A manifest or an index: its bytes and what describes them."""

    content: bytes
    described: Descriptor


@dataclass(frozen=True)
class Blob:
    """A blob that the manifest names. name: for people, `model churn`."""

    described: Descriptor
    name: str


@dataclass(frozen=True)
class Variant:
    """What a push sends: the blobs, each once, then the manifests, then the index where the kind has one.

    contents: the images' content ids, in the order of the manifests.
    """

    kind: Kind
    contents: tuple[str, ...]
    manifests: tuple[Document, ...]
    index: Document | None
    blobs: tuple[Blob, ...]

    @property
    def top(self) -> Document:
        """What a tag of this variant points at."""
        return self.index or self.manifests[0]


def variant(layout: Layout, images: Sequence[Image], kind: Kind) -> Variant:
    """The images of one build, one a platform, as `kind`; nothing is compressed anew or written.

    kind `oci` of one image that was built here: the layout's own manifest. Raises MlshipError, exit 2, where the kind has no
    media type for a layer (zstd as docker-v2s2), or is no index and there are several images.
    """
    if kind not in KINDS:
        raise MlshipError(f"{kind!r} is not a kind of manifest", fix=f"one of {', '.join(KINDS)}")
    if len(images) > 1 and not kind.endswith("-index"):
        platforms = ", ".join(image.platform for image in images)
        raise MlshipError(
            f"a manifest is for one platform, and this build has {platforms}",
            fix=f"push the kind {kind}-index",
            code="no-variant",
        )
    docker = kind.startswith("docker")
    manifests = tuple(_manifest(layout, image, docker=docker) for image in images)
    index = _index(images, manifests, docker=docker) if kind.endswith("-index") else None
    blobs: dict[str, Blob] = {}
    for image, manifest in zip(images, manifests, strict=True):
        for blob in _blobs(json.loads(manifest.content), image):
            blobs.setdefault(blob.described.digest, blob)
    return Variant(kind, tuple(image.content for image in images), manifests, index, tuple(blobs.values()))


def oci_type(media_type: str) -> str:
    """OCI's name of a media type that may be docker's."""
    return _OCI_OF_DOCKER.get(media_type, media_type)


def document(content: bytes, media_type: str) -> Document:
    return Document(content, Descriptor(media_type, "sha256:" + hashlib.sha256(content).hexdigest(), len(content)))


def _manifest(layout: Layout, image: Image, *, docker: bool) -> Document:
    own = layout.read_json(image.manifest.digest)
    wanted = DOCKER_MANIFEST_TYPE if docker else MANIFEST_TYPE
    if image.manifest.media_type == wanted:
        return document(layout.path(image.manifest.digest).read_bytes(), wanted)
    made: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": wanted,
        "config": _descriptor(own["config"], docker=docker),
        "layers": [_descriptor(layer, docker=docker) for layer in own["layers"]],
    }
    if not docker:
        made["annotations"] = {CONTENT_LABEL: image.content}
    return document(_json(made), wanted)


def _index(images: Sequence[Image], manifests: Sequence[Document], *, docker: bool) -> Document:
    """Of one image the index itself names the content id, of several each entry its own."""
    media_type = DOCKER_LIST_TYPE if docker else INDEX_TYPE
    made: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_type, "manifests": []}
    for image, manifest in zip(images, manifests, strict=True):
        system, _, architecture = image.platform.partition("/")
        entry = {**_plain(manifest.described), "platform": {"os": system, "architecture": architecture}}
        named = {} if docker else {"annotations": {CONTENT_LABEL: image.content}}
        made["manifests"].append({**entry, **named} if len(images) > 1 else entry)
        if len(images) == 1:
            made.update(named)
    return document(_json(made), media_type)


def _descriptor(known: Mapping[str, Any], *, docker: bool) -> dict[str, Any]:
    """docker's manifests have no annotations."""
    types = _DOCKER_OF_OCI if docker else _OCI_OF_DOCKER
    media_type = known["mediaType"]
    if docker and media_type not in types and media_type not in types.values():
        raise MlshipError(
            f"a layer is {media_type}, which has no form as docker-v2s2",
            fix="build with compression: gzip, or push the kind oci",
            code="no-variant",
        )
    described = {"mediaType": types.get(media_type, media_type), "digest": known["digest"], "size": known["size"]}
    notes = known.get("annotations")
    return {**described, "annotations": notes} if notes and not docker else described


def _blobs(manifest: Mapping[str, Any], image: Image) -> tuple[Blob, ...]:
    names = {layer.blob.digest: f"{layer.role} {layer.name}".strip() for layer in image.layers}
    try:
        found = [Descriptor(entry["mediaType"], entry["digest"], entry["size"]) for entry in manifest["layers"]]
        config = Descriptor(CONFIG_TYPE, manifest["config"]["digest"], manifest["config"]["size"])
    except (KeyError, TypeError):
        raise MlshipError("the manifest is damaged", fix="mlship build", exit=Exit.BUILD_FAILED) from None
    once = {blob.digest: Blob(blob, names.get(blob.digest) or f"layer {blob.digest[7:19]}") for blob in found}
    return (*once.values(), Blob(config, "configuration"))


def _plain(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}


def _json(made: Any) -> bytes:
    return json.dumps(made, sort_keys=True, separators=(",", ":")).encode()
