"""What a file of boosted trees says of itself, without being loaded: columns, classes, objective, version. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mlship.server.pickle_open import Refused

Kind = Literal["number", "truth", "category", "text"]
Task = Literal["binary", "multiclass", "multilabel", "value"]
MAX_COLUMNS = 1_000_000


@dataclass(frozen=True)
class Column:
    """words: the known categories in the order of their codes; None where the file does not tell them."""

    name: str
    kind: Kind = "number"
    words: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Header:
    """objective: in the library's own words. labels: of a classifier, in the order of its probabilities.

    is_named: the model was trained on columns with names; else they are called `x0`, `x1` ... version: of the library that
    wrote the file, `` where it does not say. facts: what one library alone writes.
    """

    objective: str
    columns: tuple[Column, ...]
    task: Task = "value"
    labels: tuple[Any, ...] = ()
    is_named: bool = False
    version: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_words(self) -> bool:
        """True when rows hold anything but numbers."""
        return any(column.kind in ("category", "text") for column in self.columns)


def columns_of(
    names: Sequence[Any], count: int, kinds: Sequence[Kind] = (), words: Mapping[int, Any] | None = None
) -> tuple[Column, ...]:
    """`count` columns; without names by their place. Raises Refused where names or kinds do not fit the count."""
    if not 0 < count <= MAX_COLUMNS:
        raise damaged(f"it says that it has {count} features")
    if (names and len(names) != count) or (kinds and len(kinds) != count):
        raise damaged(f"it has {count} features and {len(names) or len(kinds)} names or types of them")
    known = words or {}
    return tuple(
        Column(str(names[at]) if names else f"x{at}", kinds[at] if kinds else "number", known.get(at)) for at in range(count)
    )


def counted(said: Any) -> int:
    """A number of features or classes as a file says it. Raises ValueError for what no model has."""
    count = int(said)
    if not 0 <= count <= MAX_COLUMNS:
        raise ValueError(f"it counts {count}")
    return count


def damaged(why: str) -> Refused:
    return Refused(f"the file is damaged: {why}", "copy it again, or save the model again")
