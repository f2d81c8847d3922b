"""Short forms written out, and one environment laid over the document: nodes in, nodes out."""

from __future__ import annotations

import re
from dataclasses import replace

from mlship.config.nodes import List, Map, Node, Scalar, below
from mlship.config.shapes import Key, Listing, Section, Shape, Table

_RANGE = re.compile(r"([0-9]{1,9})\.\.([0-9]{1,9})", re.ASCII)


def expanded(node: Node, shape: Shape) -> Node:
    """`model: FILE` becomes `model: {uri: FILE}`, `1..10` becomes `{min: 1, max: 10}`, a section without a body is empty.

    What has no short form, or is not what the schema wants, stays as it is: the validator names it.
    """
    if isinstance(shape, Section):
        return _expanded_section(node, shape)
    if isinstance(shape, Table):
        if isinstance(node, Map):
            return replace(node, entries={name: expanded(entry, shape.value) for name, entry in node.entries.items()})
        return empty_when_nothing(node)
    if isinstance(shape, Listing):
        if isinstance(node, List):
            return replace(node, items=tuple(expanded(item, shape.item) for item in node.items))
        if isinstance(node, Scalar) and node.is_nothing:
            return List(node.key, node.place, node.key_place, ())
    return node


def _expanded_section(node: Node, shape: Section) -> Node:
    if isinstance(node, Map):
        return replace(
            node, entries={name: _expanded_entry(entry, shape.keys.get(name)) for name, entry in node.entries.items()}
        )
    if not isinstance(node, Scalar):
        return node
    if node.is_nothing:
        return node if any(key.is_required for key in shape.keys.values()) else empty_when_nothing(node)
    if shape.short == "min..max":
        return _expanded_range(node)
    if shape.short:
        return Map(node.key, node.place, node.key_place, {shape.short: node})
    return node


def _expanded_entry(entry: Node, key: Key | None) -> Node:
    return expanded(entry, key.shape) if key else entry


def _expanded_range(node: Scalar) -> Node:
    found = _RANGE.fullmatch(node.text)
    low, high = (found[1], found[2]) if found else (node.text, node.text)
    if not (found or (node.plain and type(node.value) is int)):
        return node
    return Map(
        node.key,
        node.place,
        node.key_place,
        {"min": replace(node, text=low, plain=True), "max": replace(node, text=high, plain=True)},
    )


def empty_when_nothing(node: Node) -> Node:
    """`serve:` with nothing below it, as it is when everything below is commented out."""
    if isinstance(node, Scalar) and node.is_nothing:
        return Map(node.key, node.place, node.key_place, {})
    return node


def merged(base: Map, over: Map) -> Map:
    """One environment laid over the document: maps merge deeply; lists and scalars replace. What is laid over has its own place."""
    return replace(base, entries=_laid_entries(base, over))


def _laid_entries(base: Map, over: Map) -> dict[str, Node]:
    entries = dict(base.entries)
    for name, node in over.entries.items():
        under = entries.get(name)
        if isinstance(under, Map) and isinstance(node, Map):
            node = replace(node, entries=_laid_entries(under, node))
        entries[name] = node
    return entries


def places(node: Node, key: str = "") -> dict[str, tuple[int, int]]:
    """Dotted key, as the merged document has it -> line and column of the key."""
    found = {key: (node.key_place.line, node.key_place.column)} if key else {}
    if isinstance(node, Map):
        for name, entry in node.entries.items():
            found.update(places(entry, below(key, name)))
    if isinstance(node, List):
        for position, item in enumerate(node.items):
            found.update(places(item, f"{key}[{position}]"))
    return found
