"""The rows that a compiled model is compared with its original on: the sample's, the user's own, and generated ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlship.server import manifest
from mlship.server.compiling.edge_rows import listed_rows
from mlship.server.compiling.given_rows import Given, Unreadable, given_rows
from mlship.server.hooks import Hooks

SAMPLE, GENERATED = "sample", "generated"
OWN_ROWS = 400  # of one file; each is asked alone, of both engines


def own_rows(told: Sequence[Mapping[str, Any]], signature: manifest.Signature, hooks: Hooks | None) -> dict[str, list[Any]]:
    """By kind of file, at most OWN_ROWS of each. told: as given_rows takes each. Raises Unreadable, and what hooks raise."""
    own = {each["kind"]: own_given(each, signature, hooks).rows for each in told}
    return {kind: rows[:: -(-len(rows) // OWN_ROWS)] for kind, rows in own.items()}


def own_given(told: Mapping[str, Any], signature: manifest.Signature, hooks: Hooks | None) -> Given:
    """One file as the model behind the hooks takes it. Raises Unreadable, and what hooks raise."""
    if hooks is None:
        return given_rows(told, signature)
    read = given_rows(told, manifest.Signature())
    rows = listed_rows(signature, hooks.before(read.rows)) if signature.inputs else hooks.before(read.rows)
    if len(rows) != len(read.rows):
        raise Unreadable(f"preprocess makes rows of {told['name']} that lack what the model takes", told)
    return replace(read, rows=rows)


def cut(kinds: Mapping[str, Sequence[Any]], most: int) -> dict[str, list[Any]]:
    """Not more than `most` of all kinds together: each gets its part, and what the smaller ones leave of theirs."""
    left = most
    kept: dict[str, list[Any]] = {}
    for place, (kind, rows) in enumerate(sorted(kinds.items(), key=lambda item: len(item[1]))):
        share = max(1, left // (len(kinds) - place))
        kept[kind] = list(rows[:share]) if kind == GENERATED else list(rows[:: max(1, -(-len(rows) // share))])
        left -= len(kept[kind])
    return {kind: kept[kind] for kind in kinds}
