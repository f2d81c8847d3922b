"""What rules are asked of, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlship.config.nodes import Map
from mlship.config.schema import Document, Model


@dataclass(frozen=True)
class Facts:
    """One variant of the file. root: as it is written, with short forms expanded.

    resolve: a path of the file -> where it really leads, links followed; `resolve("")` is the folder of mlship.yaml.
    """

    document: Document
    root: Map
    resolve: Callable[[str], Path]


@dataclass(frozen=True)
class Problem:
    """path: the keys that lead to the value; items of lists by their text."""

    path: tuple[str, ...]
    what: str
    fix: str = ""
    code: str = "rule"


Rule = Callable[[Facts], Iterator[Problem]]


def models_of(facts: Facts) -> Iterator[tuple[tuple[str, ...], Model]]:
    """Every model and the keys that lead to it."""
    if isinstance(facts.document.model, Model):
        yield ("model",), facts.document.model
    for name, model in facts.document.models.items():
        if isinstance(model, Model):
            yield ("models", name), model
