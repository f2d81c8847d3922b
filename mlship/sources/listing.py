"""What object stores have in common: a model of several objects is all that lies below a prefix. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from mlship.sources.base import Item


def listing_version(items: Iterable[Item]) -> str:
    """Stores keep versions of objects and none of folders: what pins a folder is what its objects are."""
    lines = sorted(f"{item.name}\0{item.size}\0{item.state}\n" for item in items)
    return f"listing {hashlib.sha256(''.join(lines).encode(errors='surrogateescape')).hexdigest()[:16]}"


def only_folder(items: Iterable[Item]) -> tuple[Item, ...]:
    """Without the empty objects that consoles make to show a folder."""
    return tuple(item for item in items if item.name and not (item.name.endswith("/") and item.size == 0))
