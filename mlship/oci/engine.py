"""An image as one stream for `docker load`: an OCI layout and a docker archive in the same tar."""

from __future__ import annotations

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
    blobs = (Entry(place(blob.digest), source=layout.path(blob.digest)) for blob in sent_blobs(layout, image, known))
    return tar([*archived([docker_manifest(layout, image)], index_of_image(image)), *blobs])


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


def named_in_index(descriptor: Descriptor, tag: str, **more: Any) -> dict[str, Any]:
    """index.json with one entry: readers of such an archive take what it names only where it names one thing. Pure."""
    plain = {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}
    entry = {**plain, **more, "annotations": {REFERENCE: tag}}
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}


def index_of_image(image: Image) -> dict[str, Any]:
    """index.json of one image."""
    system, _, architecture = image.platform.partition("/")
    return named_in_index(image.manifest, engine_tag(image), platform={"os": system, "architecture": architecture})


def place(digest: str) -> str:
    """Where a blob lies in such a tar."""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _config(layout: Layout, image: Image) -> Descriptor:
    config = layout.read_json(image.manifest.digest)["config"]
    return Descriptor(config["mediaType"], config["digest"], config["size"])


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
