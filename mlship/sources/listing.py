"""What object stores have in common: an object of that key is the model, else all that lies below it. Pure but for `stat`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from mlship.sources.base import Item, Opening, Snapshot, base_name, changed, missing


def object_snapshot(
    opening: Opening, path: str, version: str, word: str, stat: Callable[[str, str], Item | None]
) -> Snapshot | None:
    """The object of that key; None where there is none. version: what is locked, `WORD VERSION` where the store keeps versions.

    stat: key and version -> its item, whose key ends in NUL and its version, if it has one. Raises MlshipError for a version that is gone.
    """
    named = version.removeprefix(f"{word} ") if version.startswith(f"{word} ") else ""
    item = stat(path, named)
    if item is None and named:
        fix = "mlship build --retrained takes what is there now"
        raise changed(f"{opening.address} has the locked {version} no more", opening.where, fix)
    if item is None:
        return None
    told = item.key.partition("\0")[2]
    pin = f"{word} {told}" if told else f"etag {item.state.strip(chr(34))}"
    return Snapshot(base_name(path), pin, (item,), is_file=True)


def folder_snapshot(opening: Opening, path: str, found: Iterable[Item], fix: str = "correct model.uri") -> Snapshot:
    """All that was found below a key. Raises MlshipError for nothing."""
    items = only_folder(found)
    if not items:
        raise missing(f"there is nothing at {opening.address}", opening.where, fix)
    return Snapshot(base_name(path), listing_version(items), items)


def listing_version(items: Iterable[Item]) -> str:
    """Stores keep versions of objects and none of folders: what pins a folder is what its objects are."""
    lines = sorted(f"{item.name}\0{item.size}\0{item.state}\n" for item in items)
    return f"listing {hashlib.sha256(''.join(lines).encode(errors='surrogateescape')).hexdigest()[:16]}"


def only_folder(items: Iterable[Item]) -> tuple[Item, ...]:
    """Without the empty objects that consoles make to show a folder."""
    return tuple(item for item in items if item.name and not (item.name.endswith("/") and item.size == 0))
