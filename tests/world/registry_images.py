"""Images of a few layers to push, and what a registry must hold afterwards."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from mlship.oci.image import Image
from mlship.oci.layer import Compression, Entry, write_layer
from mlship.oci.layout import Layout


def image_of(
    layout: Layout,
    sizes: tuple[int, ...] = (2 << 20, 300_000, 10),
    seed: int = 1,
    compression: Compression = "gzip",
    platform: str = "linux/amd64",
) -> Image:
    """One layer a size, of bytes that do not compress: as large as they are named."""
    source = random.Random(seed)
    layers = []
    for number, size in enumerate(sizes):
        file = layout.root / f"source-{number}"
        layout.root.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            for start in range(0, size, 1 << 20):
                out.write(source.randbytes(min(1 << 20, size - start)))
        entries = [Entry(f"opt/{seed}-{number}", source=file)]
        layers.append(write_layer(layout, entries, role="packages", name=f"p{number}", compression=compression))
        file.unlink()
    return layout.write_image(layers, {"User": "65532:65532", "Labels": {"mlship.project": "churn"}}, platform)


def wrong_blobs(folder: Path) -> list[str]:
    """Blobs below a registry's folder (`blobs/sha256/ab/<hex>/data`) or a layout's whose bytes are not those of their name."""
    stored = {path: path.parent.name for path in folder.glob("data/docker/registry/v2/blobs/sha256/*/*/data")}
    stored |= {path: path.name for path in folder.glob("blobs/sha256/*")}
    assert stored
    return [str(path) for path, name in stored.items() if hashlib.sha256(path.read_bytes()).hexdigest() != name]
