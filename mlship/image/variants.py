"""An image as a push variant has it: other compression, another user. The same image and variant give the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.image.workplace import Workplace
from mlship.oci.image import Image, Layer
from mlship.oci.layer import MEDIA_TYPES, layer_of_tar
from mlship.oci.registry.push_variant import PushVariant, compression_of
from mlship.oci.rootfs import decompressed


def derived(workplace: Workplace, image: Image, wanted: PushVariant) -> Image:
    """The image in the layout, listed nowhere there; the very same image where the variant changes nothing.

    Content id and label stay those of the image: what is derived serves the same. Layers that are compressed anew are cached.
    """
    layers = tuple(_recompressed(workplace, layer, wanted) for layer in image.layers)
    config = _with_user(image.config, wanted.user)
    if layers == image.layers and config == image.config:
        return image
    return workplace.layout.put_image(image.content, image.platform, layers, config, image.annotations)


def _recompressed(workplace: Workplace, layer: Layer, wanted: PushVariant) -> Layer:
    compression = wanted.compression(layer.blob.media_type)
    if compression == "gzip" and workplace.compression == "zlib":
        compression = "zlib"  # gzip as well, and the same bytes on every machine
    if MEDIA_TYPES[compression] == MEDIA_TYPES[compression_of(layer.blob.media_type)]:
        return layer
    # here and not above: what makes layers takes long to import, and most images are pushed as they were built
    from mlship.image.builder import cached

    def make() -> Layer:
        workplace.progress.step("push", f"{layer.role} {layer.name} anew, as {compression}")
        with workplace.layout.path(layer.blob.digest).open("rb") as blob:
            plain = decompressed(blob, layer.blob.media_type)
            made = layer_of_tar(workplace.layout, plain, role=layer.role, name=layer.name, compression=compression)
        if made.diff_id != layer.diff_id:
            raise MlshipError(
                f"the blob {layer.blob.digest} was changed on this machine",
                where=str(workplace.layout.path(layer.blob.digest)),
                fix="delete the file, then run mlship build",
                exit=Exit.BUILD_FAILED,
                code="damaged-layout",
            )
        return made

    facts = ["recompressed", compression, layer.diff_id, layer.role, layer.name]
    return cached(workplace, hashlib.sha256(json.dumps(facts).encode()).hexdigest(), make)


def _with_user(config: Mapping[str, Any], user: str) -> Mapping[str, Any]:
    return {**config, "config": {**config["config"], "User": user}} if user else config
