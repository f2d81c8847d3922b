"""What a file of boosted trees says of itself, without being loaded: columns, classes, objective, version. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from mlship.server.pickle_open import Refused

Kind = Literal["number", "truth", "category", "text"]
Task = Literal["binary", "multiclass", "multilabel", "value"]
MAX_COLUMNS = 1_000_000
MAX_SHOWN = 1e30  # float32 ends at 3.4e38


@dataclass(frozen=True)
class Column:
    """words: the known categories in the order of their codes; None where the file does not tell them.

    span: least and largest number of training, or at which a tree splits; None where the file does not tell.
    """

    name: str
    kind: Kind = "number"
    words: tuple[Any, ...] | None = None
    span: tuple[float, float] | None = None


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
    names: Sequence[Any],
    count: int,
    kinds: Sequence[Kind] = (),
    words: Mapping[int, Any] | None = None,
    spans: Mapping[int, tuple[float, float] | None] | None = None,
) -> tuple[Column, ...]:
    """`count` columns; without names by their place. Raises Refused where names or kinds do not fit the count."""
    if not 0 < count <= MAX_COLUMNS:
        raise damaged(f"it says that it has {count} features")
    if (names and len(names) != count) or (kinds and len(kinds) != count):
        raise damaged(f"it has {count} features and {len(names) or len(kinds)} names or types of them")
    known, seen = words or {}, spans or {}
    return tuple(
        Column(str(names[at]) if names else f"x{at}", kinds[at] if kinds else "number", known.get(at), seen.get(at))
        for at in range(count)
    )


def example_rows(header: Header) -> tuple[Any, ...]:
    """Rows that reach several leaves, and one with holes; none where the file does not tell what its texts may be."""
    if any(column.kind == "text" or (column.kind == "category" and column.words is None) for column in header.columns):
        return ()
    rows = [[_example(column, number) for column in header.columns] for number in range(len(_PLACES))]
    rows.append([value if place % 2 else None for place, value in enumerate(rows[0])])
    if not header.is_named:
        return tuple(rows)
    names = [column.name for column in header.columns]
    return tuple(dict(zip(names, row, strict=True)) for row in rows)


_PLACES = (-0.1, 0.3, 0.5, 0.7, 1.1)  # of the span: below it, inside, above


def _example(column: Column, number: int) -> Any:
    if column.kind == "truth":
        return number % 2 == 0
    if column.words:
        return column.words[number % len(column.words)]
    low, high = column.span or (0.0, 1.0)
    return float(f"{low + _PLACES[number] * (high - low):.6g}")


def span_of(numbers: Iterable[float]) -> tuple[float, float] | None:
    """Of the finite ones among them."""
    finite = [float(number) for number in numbers if isfinite(number) and abs(number) < MAX_SHOWN]
    return (min(finite), max(finite)) if finite else None


def counted(said: Any) -> int:
    """A number of features or classes as a file says it. Raises ValueError for what no model has."""
    count = int(said)
    if not 0 <= count <= MAX_COLUMNS:
        raise ValueError(f"it counts {count}")
    return count


def damaged(why: str) -> Refused:
    return Refused(f"the file is damaged: {why}", "copy it again, or save the model again")
