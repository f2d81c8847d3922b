"""Which blobs of a layout its images need."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlship.oci.layout import Layout

_SMALL = 16 << 20  # a manifest or an index; larger blobs lead nowhere


def reachable(layout: Layout, entries: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Digests (`sha256:<hex>`) of the entries of an index and of all that they lead to. What is not in the layout leads nowhere."""
    found: set[str] = set()
    waiting = [str(entry["digest"]) for entry in entries]
    while waiting:
        digest = waiting.pop()
        if digest not in found:
            found.add(digest)
            waiting += _named(layout, digest)
    return frozenset(found)


def subject_of(entry: Mapping[str, Any]) -> str:
    """Of a list of referrers in an index: the digest of what they belong to; else empty."""
    name = str((entry.get("annotations") or {}).get("org.opencontainers.image.ref.name", ""))
    return name.replace("sha256-", "sha256:", 1) if name.startswith("sha256-") else ""


def _named(layout: Layout, digest: str) -> Iterator[str]:
    try:
        path = layout.path(digest)
        with path.open("rb") as file:
            if file.read(1) != b"{" or path.stat().st_size > _SMALL:
                return
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return
    places = [document.get("config"), *(document.get("layers") or ()), *(document.get("manifests") or ())]
    yield from (str(place["digest"]) for place in places if isinstance(place, dict) and "digest" in place)
