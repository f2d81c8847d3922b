"""An image as one stream for `docker load`: an OCI layout and a docker archive in the same tar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mlship.oci.image import FRONT_LABEL, Descriptor, Image
from mlship.oci.layer import Entry, tar
from mlship.oci.layout import PROJECT_LABEL, REFERENCE, Layout, short


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
    config = config_of(layout, image)
    blobs = [blob.digest for blob in sent_blobs(layout, image, known)]
    files = [
        Entry("manifest.json", content=_json(_docker_manifest(image, config))),
        Entry("index.json", content=_json(_index(image))),
        Entry("oci-layout", content=_json({"imageLayoutVersion": "1.0.0"})),
        *(Entry(_place(digest), source=layout.path(digest)) for digest in blobs),
    ]
    return tar(files)


def sent_blobs(layout: Layout, image: Image, known: int = 0) -> list[Descriptor]:
    """What `docker_archive` carries, each once."""
    layers = (layer.blob for layer in image.layers[known:])
    return list({blob.digest: blob for blob in (image.manifest, config_of(layout, image), *layers)}.values())


def config_of(layout: Layout, image: Image) -> Descriptor:
    """The blob of the image's configuration, which an engine calls the image by."""
    config = layout.read_json(image.manifest.digest)["config"]
    return Descriptor(config["mediaType"], config["digest"], config["size"])


def _docker_manifest(image: Image, config: Descriptor) -> Any:
    return [
        {
            "Config": _place(config.digest),
            "RepoTags": [engine_tag(image)],
            "Layers": [_place(layer.blob.digest) for layer in image.layers],
        }
    ]


def _index(image: Image) -> Any:
    system, _, architecture = image.platform.partition("/")
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": image.manifest.media_type,
                "digest": image.manifest.digest,
                "size": image.manifest.size,
                "platform": {"os": system, "architecture": architecture},
                "annotations": {REFERENCE: engine_tag(image)},
            }
        ],
    }


def _place(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
