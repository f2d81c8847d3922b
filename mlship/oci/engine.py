"""An image as one stream for `docker load`: an OCI layout and a docker archive in the same tar."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from mlship.oci.image import FRONT_LABEL, Descriptor, Image
from mlship.oci.layer import Entry, tar
from mlship.oci.layout import INDEX_TYPE, PROJECT_LABEL, REFERENCE, Layout, short


def engine_tag(image: Image) -> str:
    """The name that an engine gives the image: `mlship/churn:c41e07a1b2c3`."""
    otherwise = "front" if FRONT_LABEL in image.labels else "image"
    return f"mlship/{image.labels.get(PROJECT_LABEL) or otherwise}:{short(image.content)}"


def docker_archive(layout: Layout, image: Image, known: int = 0) -> Iterator[bytes]:
    """The tar in pieces of at most a mebibyte; nothing of it is held in memory.

    known: how many layers, from the lowest one up, the engine has in this order: they are named and left out. An engine that
    stores images as layers looks a layer up by those below it before it opens the file (20.10: image/tarexport/load.go).

    An engine with the containerd image store reads the OCI side and may load the image without a tag: give it
    `engine_tag(image)` then, by the image id that `docker load` answers.
    """
    index, _ = index_of([image])
    blobs = (Entry(place(blob.digest), source=layout.path(blob.digest)) for blob in sent_blobs(layout, image, known))
    return tar([*archived([docker_manifest(layout, image)], index), *blobs])


def sent_blobs(layout: Layout, image: Image, known: int = 0) -> list[Descriptor]:
    """What such a tar carries, each once."""
    layers = (layer.blob for layer in image.layers[known:])
    return list({blob.digest: blob for blob in (image.manifest, _config(layout, image), *layers)}.values())


def archived(manifests: Sequence[Any], index: Any) -> list[Entry]:
    """The documents that both kinds of readers begin with."""
    return [
        Entry("manifest.json", content=_json(manifests)),
        Entry("index.json", content=_json(index)),
        Entry("oci-layout", content=_json({"imageLayoutVersion": "1.0.0"})),
    ]


def docker_manifest(layout: Layout, image: Image) -> dict[str, Any]:
    """The image's entry in manifest.json."""
    return {
        "Config": place(_config(layout, image).digest),
        "RepoTags": [engine_tag(image)],
        "Layers": [place(layer.blob.digest) for layer in image.layers],
    }


def index_of(images: Sequence[Image]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """index.json with one entry: the image, or for several platforms an index of its own, which is given by its digest. Pure.

    Readers of such an archive take what index.json names only where it names one thing.
    """
    entries = [_entry(image) for image in images]
    if len(entries) == 1:
        entries[0]["annotations"] = {REFERENCE: engine_tag(images[0])}
        return _index(entries), {}
    raw = _json(_index(entries))
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    outer = {"mediaType": INDEX_TYPE, "digest": digest, "size": len(raw), "annotations": {REFERENCE: engine_tag(images[0])}}
    return _index([outer]), {digest: raw}


def place(digest: str) -> str:
    """Where a blob lies in such a tar."""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _config(layout: Layout, image: Image) -> Descriptor:
    config = layout.read_json(image.manifest.digest)["config"]
    return Descriptor(config["mediaType"], config["digest"], config["size"])


def _entry(image: Image) -> dict[str, Any]:
    system, _, architecture = image.platform.partition("/")
    return {
        "mediaType": image.manifest.media_type,
        "digest": image.manifest.digest,
        "size": image.manifest.size,
        "platform": {"os": system, "architecture": architecture},
    }


def _index(entries: Sequence[Any]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": list(entries)}


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
