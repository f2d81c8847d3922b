"""Text of ours in a document that is known only when its call is made. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Variable(str):
    """Rendered as `${Image}`; the same text from a user is not one."""

    def __new__(cls, name: str) -> Variable:
        return super().__new__(cls, f"${{{name}}}")

    @property
    def name(self) -> str:
        return self[2:-1]


class Path(str):
    """A resource's name, `projects/${Project}/locations/europe-west1`, of which Variables are parts."""

    parts: tuple[str, ...]

    def __new__(cls, *parts: str) -> Path:
        made = super().__new__(cls, "/".join(parts))
        made.parts = parts
        return made


def filled(document: Any, known: Mapping[str, str]) -> Any:
    """The document with every Variable in its place. Raises KeyError for one that nobody knows: that is a bug."""
    if isinstance(document, Variable):
        return known[document.name]
    if isinstance(document, Path):
        return "/".join(filled(part, known) for part in document.parts)
    if isinstance(document, Mapping):
        return {name: filled(entry, known) for name, entry in document.items()}
    if isinstance(document, list):
        return [filled(entry, known) for entry in document]
    return document
