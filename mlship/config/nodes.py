"""What mlship.yaml says before anyone asks what it means: maps, lists and scalars, each with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlship.config.words import clipped


@dataclass(frozen=True)
class Place:
    """line and column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Node:
    """key: dotted, as it stands in the file (`environments.prod.scale`); empty for the whole document.

    place: where the value starts; key_place: where its key starts, for a list's item the same as place.
    """

    key: str
    place: Place
    key_place: Place


Value = str | int | float | bool | None


@dataclass(frozen=True)
class Scalar(Node):
    """text: what the value says; plain: written without quotes, so that it may be a number, a switch or nothing."""

    text: str
    plain: bool

    @property
    def value(self) -> Value:
        """The value by the YAML 1.2 core schema: `no` is text, `012` is not octal, `1:30` and `2026-01-01` are text."""
        return plain_value(self.text) if self.plain else self.text

    @property
    def is_nothing(self) -> bool:
        return self.plain and self.text in _NOTHING

    def __str__(self) -> str:
        return clipped(self.text)


@dataclass(frozen=True)
class Map(Node):
    entries: Mapping[str, Node]

    def __str__(self) -> str:
        return "a map"


@dataclass(frozen=True)
class List(Node):
    items: tuple[Node, ...]

    def __str__(self) -> str:
        return "a list"


_NOTHING = frozenset(("", "~", "null", "Null", "NULL"))
_SWITCHES = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_ENDLESS = re.compile(r"([-+]?)\.(inf|Inf|INF|nan|NaN|NAN)")
_LONGEST_NUMBER = 40


def plain_value(text: str) -> Value:
    """What an unquoted scalar is (YAML 1.2.2, section 10.3.2, core schema). Numbers of over 40 characters stay text."""
    if text in _NOTHING:
        return None
    if text in _SWITCHES:
        return _SWITCHES[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _WHOLE.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if endless := _ENDLESS.fullmatch(text):
        return float(endless[1] + endless[2])
    return text


def below(parent: str, name: str) -> str:
    """The dotted key of a map's entry; safe to show, and short whatever the name."""
    return f"{parent}.{clipped(name)}" if parent else clipped(name)
