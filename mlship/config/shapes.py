"""The schema's types as shapes: what the validator walks along, and what the JSON Schema is written from."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from mlship.config.schema import Gpu, Model, Quantize, Replicas, Traffic
from mlship.units import Cpu, Duration, Memory, Money

Amounts = (Memory, Cpu, Duration, Money)

# A scalar in the place of these sections stands for this key of theirs.
SHORT_FORMS: Mapping[type[Struct], str] = {Model: "uri", Gpu: "count", Traffic: "profile", Quantize: "type"}


@dataclass(frozen=True)
class Text:
    """wanted: ends the sentence `X is not ...`."""

    pattern: str = ""
    wanted: str = ""
    shortest: int = 1
    longest: int = 1000


@dataclass(frozen=True)
class Number:
    """words: texts that are allowed in its place. The bounds are inclusive, except above."""

    whole: bool
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class NumberOrText:
    """Either, as it is written."""


@dataclass(frozen=True)
class Switch:
    """true or false."""


@dataclass(frozen=True)
class Choice:
    """values: texts, or whole numbers."""

    values: tuple[str | int, ...]


@dataclass(frozen=True)
class Amount:
    """unit: one of Memory, Cpu, Duration, Money. The bounds are inclusive."""

    unit: Any
    minimum: Any = None
    maximum: Any = None


@dataclass(frozen=True)
class Listing:
    item: Shape


@dataclass(frozen=True)
class Table:
    """A map with keys of the user's own."""

    name: Text
    value: Shape


@dataclass(frozen=True)
class Anything:
    """Judged elsewhere: the environments."""


@dataclass(frozen=True)
class Key:
    """One key of a section. default: msgspec.NODEFAULT where there is none."""

    name: str
    shape: Shape
    is_required: bool
    default: Any
    description: str


@dataclass(frozen=True)
class Section:
    """struct: what is built from it. short: the key that a scalar in its place stands for; `min..max` for a range."""

    struct: type[Struct]
    short: str = ""

    @property
    def keys(self) -> Mapping[str, Key]:
        return _keys(self.struct)

    @property
    def description(self) -> str:
        return (self.struct.__doc__ or "").strip()


Shape = Text | Number | NumberOrText | Switch | Choice | Amount | Listing | Table | Anything | Section


@cache
def section(struct: type[Struct]) -> Section:
    short = "min..max" if struct is Replicas else SHORT_FORMS.get(struct, "")
    return Section(struct, short)


@cache
def _keys(struct: type[Struct]) -> Mapping[str, Key]:
    hints = get_type_hints(struct, include_extras=True)
    return {field.name: _key(field, hints[field.name]) for field in msgspec.structs.fields(struct)}


def _key(field: Any, hint: Any) -> Key:
    default = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    description = next((meta.description for meta in _metas(hint) if meta.description), "")
    return Key(field.name, shape_of(hint), field.required, default, description)


def shape_of(hint: Any, metas: tuple[Meta, ...] = ()) -> Shape:
    """The shape of a type of schema.py. Raises TypeError for a type that the schema does not use yet."""
    if get_origin(hint) is Annotated:
        return shape_of(get_args(hint)[0], (*_metas(hint), *metas))
    if get_origin(hint) in (Union, types.UnionType):
        return _union([part for part in get_args(hint) if part is not type(None)], metas)
    if get_origin(hint) is Literal:
        return Choice(get_args(hint))
    if get_origin(hint) is tuple:
        return Listing(shape_of(get_args(hint)[0]))
    if get_origin(hint) is dict:
        name, value = get_args(hint)
        return Table(_text(_metas(name)), shape_of(value))
    return _plain(hint, metas)


def _plain(hint: Any, metas: tuple[Meta, ...]) -> Shape:
    if hint is Any:
        return Anything()
    if hint is str:
        return _text(metas)
    if hint is bool:
        return Switch()
    if hint in (int, float):
        return _number(hint is int, metas)
    if hint in Amounts:
        extra = _extra(metas)
        return Amount(hint, extra.get("minimum"), extra.get("maximum"))
    if isinstance(hint, type) and issubclass(hint, Struct):
        return section(hint)
    raise TypeError(f"the schema's loader does not know the type {hint}")


def _union(parts: list[Any], metas: tuple[Meta, ...]) -> Shape:
    shapes = [shape_of(part, metas) for part in parts]
    for shape in shapes:
        if isinstance(shape, Section):
            return shape
    first = shapes[0]
    if isinstance(first, Number) and len(shapes) > 1:
        other = shapes[1]
        if isinstance(other, Text):
            return NumberOrText()
        if isinstance(other, Choice):
            return replace(first, words=tuple(map(str, other.values)))
    return first


def _metas(hint: Any) -> tuple[Meta, ...]:
    if get_origin(hint) is not Annotated:
        return ()
    return tuple(meta for meta in get_args(hint)[1:] if isinstance(meta, Meta))


def _extra(metas: tuple[Meta, ...]) -> dict[str, Any]:
    return {name: value for meta in metas for name, value in (meta.extra or {}).items()}


def _text(metas: tuple[Meta, ...]) -> Text:
    pattern = next((meta.pattern for meta in metas if meta.pattern), "")
    shortest = next((meta.min_length for meta in metas if meta.min_length is not None), 1)
    longest = next((meta.max_length for meta in metas if meta.max_length is not None), 1000)
    return Text(pattern, _extra(metas).get("wanted", ""), shortest, longest)


def _number(whole: bool, metas: tuple[Meta, ...]) -> Number:
    def bound(name: str) -> float | None:
        return next((getattr(meta, name) for meta in metas if getattr(meta, name) is not None), None)

    return Number(whole, bound("ge"), bound("gt"), bound("le"))
