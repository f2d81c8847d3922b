"""The archive that `docker save` writes -> an image in a layout on this machine."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from mlship.errors import Exit, MlshipError
from mlship.oci.image import Image, Layer
from mlship.oci.layer import Compression, layer_of_tar
from mlship.oci.layout import Layout


def read_saved(
    archive: Path, layout: Layout, platform: str, names: Sequence[tuple[str, str]], compression: Compression = "gzip"
) -> Image:
    """Writes the one image of the archive into the layout.

    names: (role, name) of the layers from the top down to where they are known; layers below stay nameless.
    Raises MlshipError with exit 5 when the archive is not what `docker save` of one image writes.
    """
    try:
        with tarfile.open(archive) as saved:
            (described,) = json.load(_member(saved, "manifest.json"))
            config = json.load(_member(saved, described["Config"]))["config"]
            paths: list[str] = described["Layers"]
            named = [("", "")] * (len(paths) - len(names)) + list(names)
            layers = [_layer(layout, saved, path, *pair, compression) for path, pair in zip(paths, named, strict=True)]
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise MlshipError(
            f"what docker save wrote cannot be read: {error}", str(archive), "mlship build works without docker",
            exit=Exit.BUILD_FAILED,
        ) from None  # fmt: skip
    return layout.write_image(layers, _served(config), platform)


def _layer(layout: Layout, saved: tarfile.TarFile, path: str, role: str, name: str, compression: Compression) -> Layer:
    return layer_of_tar(layout, _member(saved, path), role=role, name=name, compression=compression)


def _member(saved: tarfile.TarFile, name: str) -> IO[bytes]:
    """A member, through links: docker names a layer once and links to it where it occurs again."""
    file = saved.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    return file


def _served(config: dict[str, Any]) -> dict[str, Any]:
    """What runs the image; the engine's own notes about the build are left out."""
    kept = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels", "StopSignal")
    return {key: config[key] for key in kept if config.get(key)}
