"""What a compiler knows of the rows on their way through a pipeline: columns as they came, or numbers that steps compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlship.server import manifest
from mlship.server.input.dtypes import NUMERIC

WIDEST = 20_000  # computed columns; more would be slow and large, and are mostly zeros


class Unfit(Exception):
    """The model has no compiled form; the message says why, for people."""


@dataclass(frozen=True)
class Columns:
    """The model's features, and the arrays of the plan so far."""

    signature: manifest.Signature
    arrays: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.signature.inputs]

    def keep(self, array: Any, dtype: str = "<f8") -> str:
        """The name under which the plan finds the array. Raises Unfit for numbers that are none."""
        import numpy

        kept = numpy.ascontiguousarray(array, dtype=dtype)
        if kept.dtype.kind == "f" and not numpy.isfinite(kept).all():
            raise Unfit("it has parameters that are no finite numbers")
        name = f"a{len(self.arrays):03}"
        self.arrays[name] = kept
        return name


@dataclass(frozen=True)
class Raw:
    """Columns as they came. at: their places among the features. fill: what stands for a hole, None where nothing does."""

    at: tuple[int, ...]
    fill: tuple[Any, ...]

    @staticmethod
    def all_of(columns: Columns) -> Raw:
        count = len(columns.signature.inputs)
        return Raw(tuple(range(count)), (None,) * count)

    @property
    def width(self) -> int:
        return len(self.at)

    def picked(self, places: list[int]) -> Raw:
        return Raw(tuple(self.at[place] for place in places), tuple(self.fill[place] for place in places))


@dataclass(frozen=True)
class Looked:
    """One column looked up in a table. table: numpy, (values + unknown + missing, width). node: as plan_steps reads it."""

    node: Mapping[str, Any]
    table: Any

    @property
    def width(self) -> int:
        return int(self.table.shape[1])


@dataclass(frozen=True)
class Dense:
    """Numbers that a step of the plan computes."""

    node: Mapping[str, Any]
    width: int


@dataclass(frozen=True)
class Words:
    """The words of a text column, one column for each that counts. node: as plan_words reads it."""

    node: Mapping[str, Any]
    width: int


@dataclass(frozen=True)
class Joined:
    """Several of these side by side."""

    parts: tuple[Looked | Dense | Words, ...]

    @property
    def width(self) -> int:
        return sum(part.width for part in self.parts)


Source = Raw | Looked | Dense | Words | Joined


def joined(sources: list[Source], columns: Columns) -> Source:
    """Side by side; columns that only pass stay as they came where all do."""
    if len(sources) == 1:
        return sources[0]
    if sources and all(isinstance(source, Raw) for source in sources):
        raws = [source for source in sources if isinstance(source, Raw)]
        return Raw(tuple(at for raw in raws for at in raw.at), tuple(fill for raw in raws for fill in raw.fill))
    parts: list[Looked | Dense | Words] = []
    for source in sources:
        if isinstance(source, Joined):
            parts.extend(source.parts)
        else:
            parts.append(dense(source, columns) if isinstance(source, Raw) else source)
    return Joined(tuple(parts))


def dense(source: Source, columns: Columns) -> Dense:
    """The source as numbers. Raises Unfit for text, and for what is too wide."""
    if isinstance(source, Words):
        raise Unfit("words go into something else than a linear model")
    if source.width > WIDEST:
        raise Unfit(f"its steps make {source.width} columns")
    if isinstance(source, Dense):
        return source
    if isinstance(source, Looked):
        return Dense({**source.node, "table": columns.keep(source.table)}, source.width)
    if isinstance(source, Joined):
        return Dense({"step": "join", "parts": [dense(part, columns).node for part in source.parts]}, source.width)
    return _taken(source, columns)


def _taken(raw: Raw, columns: Columns) -> Dense:
    features = [columns.signature.inputs[at] for at in raw.at]
    for feature in features:
        if feature.dtype not in NUMERIC:
            raise Unfit(f"{feature.name} is {feature.dtype}, and goes into the model as a number")
    node: dict[str, Any] = {
        "step": "take",
        "columns": list(raw.at),
        "of": len(columns.signature.inputs),
        "nullable": any(feature.nullable for feature in features),
    }
    if any(fill is not None for fill in raw.fill) and node["nullable"]:
        if any(fill is None and feature.nullable for fill, feature in zip(raw.fill, features, strict=True)):
            return Dense(
                {"step": "join", "parts": [_taken(raw.picked([at]), columns).node for at in range(raw.width)]}, raw.width
            )
        node["fill"] = columns.keep([0.0 if fill is None else float(fill) for fill in raw.fill])
    return Dense(node, raw.width)


def with_fill(raw: Raw, fills: list[Any]) -> Raw:
    """Where a hole was filled before, it stays as it was."""
    both = zip(raw.fill, fills, strict=True)
    return replace(raw, fill=tuple(new if old is None else old for old, new in both))
