"""Images as values, and the content id that names them. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

CONTENT_LABEL = "mlship.content"
# Annotations of a manifest (image specification, "Pre-Defined Annotation Keys"): an image of somebody else that was built upon
BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
FRONT_LABEL = "mlship.front"  # on the image of the docker target's front: which keeper and recipe it was made of
FRONT_HAS = "mlship.front.has"  # the programs in it that callers' bytes reach, as people read it
FRONT_PACKAGES = "mlship.front.packages"  # names all its packages by their versions
FRONT_MADE = "mlship.front.made"  # the day that they were the newest ones, `2026-11-22`


@dataclass(frozen=True)
class Descriptor:
    """A blob by digest (`sha256:<hex>`) and size in bytes."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True)
class Layer:
    """A layer: its blob, the sha256 of its uncompressed tar (`sha256:<hex>`), its uncompressed size, and what it holds.

    role and name: as in image.plan.LayerPlan, kept as annotations `mlship.role` and `mlship.name` of the descriptor.
    """

    blob: Descriptor
    diff_id: str
    size: int
    role: str = ""
    name: str = ""


@dataclass(frozen=True)
class Image:
    """One platform's image in a layout on this machine.

    content: the content id. platform: `linux/amd64`. config: the whole OCI image configuration as plain data.
    manifest: descriptor of the image manifest. annotations: what it says besides the content id.
    """

    content: str
    platform: str
    layers: tuple[Layer, ...]
    config: Mapping[str, Any]
    manifest: Descriptor
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def compressed_size(self) -> int:
        return sum(layer.blob.size for layer in self.layers)

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.config.get("config", {}).get("Labels") or {}
        return labels


def content_id(platform: str, diff_ids: Iterable[str], config: Mapping[str, Any]) -> str:
    """`sha256:<hex>` over platform, ordered diff_ids and the `config` section, without the content label, times and history.

    config: the OCI configuration's `config` section (Entrypoint, Env, Labels, User, ...); the image's other keys do not count.
    """
    labels = {name: text for name, text in (config.get("Labels") or {}).items() if name != CONTENT_LABEL}
    counted = {
        "platform": platform,
        "diff_ids": list(diff_ids),
        "config": {**{key: value for key, value in config.items() if value not in (None, {}, [], "")}, "Labels": labels},
    }
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
