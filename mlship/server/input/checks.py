"""What a JSON value must be to stand for a feature: one check for each dtype of the manifest."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlship.server.manifest import Feature
from mlship.server.problems import SHOWN, described, near, shown

CATEGORIES_NAMED = 10  # in a message; the whole list is in /schema
NUMBERS = frozenset((int, float))
LARGEST = {"float16": 65504.0, "float32": 3.4028234663852886e38, "float64": math.inf}  # IEEE 754


class Refused(Exception):
    """The value does not fit; the message continues `expected <...>, got ...`."""


@dataclass(frozen=True)
class Check:
    """How one feature's values are judged.

    expected: `a number`, as it stands in a sentence. plain: JSON types whose values fit as they are, without a look at each
    (finite ones, for float). accept: gives the value as the model takes it, or raises Refused.
    """

    expected: str
    plain: frozenset[type]
    accept: Callable[[Any], Any]


def check_for(feature: Feature) -> Check:
    """The check of a feature: its dtype, whether null may be, and its known categories."""
    expected, plain, accept = _by_dtype(feature.dtype)
    if feature.categories is not None:
        expected, plain, accept = _known(feature.categories, accept)
    if feature.shape:
        return _nested(feature.shape, expected, feature.dtype, accept)
    if feature.nullable:
        return Check(f"{expected} or null", plain | {type(None)}, lambda value: None if value is None else accept(value))
    return Check(expected, plain, accept)


def _nested(shape: tuple[int, ...], each: str, dtype: str, accept: Callable[[Any], Any]) -> Check:
    """Lists within lists; the values are looked at one by one only where a whole list of them does not show that they fit."""
    sizes = " x ".join("any" if size < 0 else str(size) for size in shape)
    largest = min(LARGEST.get(dtype, 0.0), sys.float_info.max)

    def taken(value: Any) -> Any:
        found = shape_of(value, len(shape))
        if (
            len(found) < len(shape)
            or 0 in found
            or any(wanted not in (-1, size) for wanted, size in zip(shape, found, strict=True))
        ):
            said = " x ".join(map(str, found)) if found and type(value) is list else ""
            raise Refused(f"got a list of {said}" if said else f"got {described(value)}")
        return _unfolded(value, found, largest, accept)

    return Check(f"a list of {sizes}, each {each}", frozenset(), taken)


def shape_of(value: Any, depth: int) -> tuple[int, ...]:
    """Lengths of a list and of the first lists in it, at most `depth` of them."""
    sizes: list[int] = []
    while type(value) is list and len(sizes) < depth:
        sizes.append(len(value))
        value = value[0] if value else None
    return tuple(sizes)


def _unfolded(value: Any, sizes: tuple[int, ...], largest: float, accept: Callable[[Any], Any]) -> list[Any]:
    """The same lists with each value as the model takes it. Raises Refused."""
    if type(value) is not list or len(value) != sizes[0]:
        raise Refused(
            f"got lists of different lengths, {sizes[0]} and {len(value) if type(value) is list else described(value)}"
        )
    if len(sizes) > 1:
        return [_unfolded(part, sizes[1:], largest, accept) for part in value]
    if largest and set(map(type, value)) <= NUMBERS and -largest <= min(value) and max(value) <= largest:
        return value
    return [accept(part) for part in value]


def _by_dtype(dtype: str) -> tuple[str, frozenset[type], Callable[[Any], Any]]:
    if dtype == "float64":
        return "a number", frozenset((float, int)), lambda value: _number(value, math.inf)
    if dtype in LARGEST:
        return "a number", frozenset(), lambda value: _number(value, LARGEST[dtype])
    if dtype == "bool":
        return "true or false", frozenset((bool,)), _bool
    if dtype == "string":
        return "a string", frozenset((str,)), _string
    if dtype == "datetime":
        return "a date or time in ISO 8601", frozenset(), _datetime
    if dtype == "any":
        return "a value", frozenset((str, bool, int, float, list, dict)), _any
    low, high = _range(dtype)
    return "a whole number", frozenset(), lambda value: _whole(value, low, high)


def _range(dtype: str) -> tuple[int, int]:
    bits = int(dtype.lstrip("uint"))
    return (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _number(value: Any, largest: float) -> float:
    if type(value) is float:
        number = value
    elif type(value) is int:
        try:
            number = float(value)
        except OverflowError:
            raise Refused("got an integer that no double can hold") from None
    else:
        raise Refused(f"got {described(value)}{_unquoted(value)}")
    if not math.isfinite(number):
        raise Refused(f"got {shown(number)}; only finite numbers are taken, write null for a missing value")
    if abs(number) > largest:
        raise Refused(f"got {number!r}, which is beyond {largest!r}")
    return number


def _whole(value: Any, low: int, high: int) -> int:
    if type(value) is int:
        whole = value
    elif type(value) is float and value.is_integer():
        whole = int(value)
    else:
        raise Refused(f"got {described(value)}{_unquoted(value)}")
    if not low <= whole <= high:
        raise Refused(f"got {shown(whole)}, which is not within {low}..{high}")
    return whole


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise Refused(f"got {described(value)}")
    return value


def _string(value: Any) -> str:
    if type(value) is not str:
        raise Refused(f"got {described(value)}")
    return value


def _datetime(value: Any) -> datetime:
    """Times with an offset become UTC; the model sees naive times only, as a numpy datetime64 does."""
    if type(value) is not str:
        raise Refused(f"got {described(value)}")
    try:
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise Refused(f"got {described(value)}") from None


def _any(value: Any) -> Any:
    if value is None:
        raise Refused("got null")
    if type(value) is float and not math.isfinite(value):
        raise Refused(f"got {shown(value)}; only finite numbers are taken, write null for a missing value")
    return value


def _known(categories: tuple[Any, ...], accept: Callable[[Any], Any]) -> tuple[str, frozenset[type], Callable[[Any], Any]]:
    known = frozenset(value for value in categories if value is not None)
    named = [described(value).removeprefix("the string ") for value in categories if value is not None]
    some = ", ".join(named[:CATEGORIES_NAMED])
    more = f", ... ({len(named)} known)" if len(named) > CATEGORIES_NAMED else ""
    words = [value for value in categories if isinstance(value, str)]

    def accept_known(value: Any) -> Any:
        taken = accept(value)
        if taken not in known:
            raise Refused(f"got {described(value)}{near(value, words) if isinstance(value, str) else ''}")
        return taken

    return f"one of {some}{more}", frozenset(), accept_known


def _unquoted(value: Any) -> str:
    if not isinstance(value, str) or len(value) > SHOWN:
        return ""
    try:
        return "; remove the quotes" if math.isfinite(float(value)) else ""
    except ValueError:
        return ""
