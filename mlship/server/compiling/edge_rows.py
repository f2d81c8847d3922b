"""Rows on which two engines would differ if they differed anywhere: bounds, holes, categories, split values and their neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, pairwise, zip_longest
from math import inf, nextafter
from typing import Any

from mlship.server import manifest
from mlship.server.compiling.encoders import UNKNOWN
from mlship.server.input.dtypes import FLOATS, INTEGERS

ROWS = 600  # at most; each is asked alone, too
FEATURES = 120  # of these, spread over all; every one of several thousand would take minutes
SPLITS = 120
BASES = 10
CATEGORIES = 30  # of one feature
FAR = 1e6
BEYOND_FLOAT32 = 1e39


def edge_rows(
    signature: manifest.Signature, sample: Sequence[Any], header: Mapping[str, Any], arrays: Mapping[str, Any]
) -> list[list[Any]]:
    """Rows as lists in the signature's order: ordinary rows with one value changed. header, arrays: of the compiled model."""
    features = signature.inputs
    bases = base_rows(signature, sample)
    known = _categories(header)
    # in turn, so that a cut leaves something of both
    turned = zip_longest(_changed(features, bases, known), _splits(features, bases, header, arrays))
    found = chain(_all_holes(features, bases[0]), (row for pair in turned for row in pair if row is not None))
    return [*bases, *islice(_different(found), ROWS)]


def base_rows(signature: manifest.Signature, sample: Sequence[Any]) -> list[list[Any]]:
    """Ordinary rows: the sample's first ones, else one that is made up."""
    return listed_rows(signature, sample[:BASES]) or [[_ordinary(feature) for feature in signature.inputs]]


def listed_rows(signature: manifest.Signature, sample: Sequence[Any]) -> list[list[Any]]:
    """The sample's rows as lists in the signature's order; without those that lack a feature."""
    names = [feature.name for feature in signature.inputs]
    rows = (_listed(row, names) for row in sample)
    return [row for row in rows if row is not None]


def _listed(row: Any, names: list[str]) -> list[Any] | None:
    if isinstance(row, dict):
        return [row[name] for name in names] if all(name in row for name in names) else None
    listed = row if isinstance(row, list) else [row]
    return list(listed) if len(listed) == len(names) else None


def _ordinary(feature: manifest.Feature) -> Any:
    if feature.categories:
        return feature.categories[0]
    if feature.minimum is not None:
        return feature.minimum if feature.dtype in FLOATS else int(feature.minimum)
    return {"bool": False, "string": "", "any": ""}.get(feature.dtype, 1)


def _all_holes(features: Sequence[manifest.Feature], base: list[Any]) -> Iterator[list[Any]]:
    if any(feature.nullable for feature in features):
        yield [None if feature.nullable else value for feature, value in zip(features, base, strict=True)]


def _changed(
    features: Sequence[manifest.Feature], bases: Sequence[list[Any]], known: Mapping[int, list[Any]]
) -> Iterator[list[Any]]:
    step = max(1, len(features) // FEATURES)
    places = range(0, len(features), step)
    turns = [list(_values(features[place], known.get(place, []))) for place in places]
    # one value of each feature in turn, so that a cut leaves something of all
    for turn in range(max(map(len, turns), default=0)):
        for place, values in zip(places, turns, strict=True):
            if turn < len(values):
                base = bases[(place + turn) % len(bases)]
                yield [*base[:place], values[turn], *base[place + 1 :]]


def _values(feature: manifest.Feature, known: Sequence[Any]) -> Iterator[Any]:
    if feature.nullable:
        yield None
    if feature.dtype == "bool":
        yield from (True, False)
    elif feature.dtype in INTEGERS:
        yield from (0, 1, -1, *_bounds(feature, 1), int(FAR))
    elif feature.dtype in FLOATS:
        yield from (0.0, -0.0, 1.0, *_bounds(feature, 0.5), FAR, -FAR, 1e-30, BEYOND_FLOAT32)
    else:
        yield from (UNKNOWN, "", " ")
    yield from known[:CATEGORIES]
    yield from (feature.categories or ())[:CATEGORIES]


def _bounds(feature: manifest.Feature, beyond: float) -> tuple[Any, ...]:
    if feature.minimum is None or feature.maximum is None:
        return ()
    values = (feature.minimum, feature.maximum, feature.minimum - beyond, feature.maximum + beyond)
    return values if feature.dtype in FLOATS else tuple(map(int, values))


def _categories(header: Mapping[str, Any]) -> dict[int, list[Any]]:
    """Place of each feature that is looked up -> what its table knows."""
    found = {place: list(words) for place, words in enumerate(header.get("words", ())) if words}
    waiting: list[Any] = [header.get("features"), header.get("linear")]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Mapping):
            continue
        if node.get("step") == "lookup":
            found.setdefault(node["column"], list(node["values"]))
        if "terms" in node:
            found.setdefault(node["column"], list(_texts(node["terms"])))
        waiting += (
            node.get("after"),
            node.get("dense"),
            *node.get("parts", ()),
            *node.get("lookups", ()),
            *node.get("texts", ()),
        )
    return found


def _texts(terms: Sequence[str]) -> Iterator[str]:
    """Texts of known words: one, several, in other letters, between marks, and with words that nobody knows."""
    some = terms[:: max(1, len(terms) // 12)][:12]
    yield from some
    yield " ".join(terms[:200])
    for first, second in pairwise(some):
        yield f"{first.upper()}, {second}; {first.title()} ... {second}!"
    yield f"{UNKNOWN} {some[0] if some else ''} naïve größe 你好 x 42 it's\n\t{some[-1] if some else ''}"


def _splits(
    features: Sequence[manifest.Feature],
    bases: Sequence[list[Any]],
    header: Mapping[str, Any],
    arrays: Mapping[str, Any],
) -> Iterator[list[Any]]:
    """Where trees split what callers send: the value itself, its neighbours, and the float32 at it and on either side.

    A double just beside a split is decided otherwise where it, or the split, is rounded to float32.
    """
    import numpy

    places = _places(header)
    if "threshold" not in arrays or not places:
        return
    inner = numpy.flatnonzero(numpy.isfinite(arrays["threshold"]))
    for turn, node in enumerate(inner[:: max(1, len(inner) // SPLITS)].tolist()):
        place = places.get(int(arrays["feature"][node]))
        if place is None:
            continue
        base = bases[turn % len(bases)]
        for value in _beside(float(arrays["threshold"][node])):
            yield [*base[:place], _as(features[place], value), *base[place + 1 :]]


def _beside(at: float) -> Iterator[float]:
    import numpy

    near = numpy.float32(at)
    yield from (at, nextafter(at, inf), nextafter(at, -inf), float(near))
    yield from (float(numpy.nextafter(near, numpy.float32(inf))), float(numpy.nextafter(near, numpy.float32(-inf))))


def _places(header: Mapping[str, Any]) -> dict[int, int]:
    """Column of the trees -> the feature that passes there unchanged."""
    node = header.get("features", {})
    parts = node["parts"] if node.get("step") == "join" else [node]
    found: dict[int, int] = {}
    first = 0
    for part in parts:
        if part.get("step") != "take":
            break
        found |= {first + at: place for at, place in enumerate(part["columns"])}
        first += len(part["columns"])
    return found


def _as(feature: manifest.Feature, value: float) -> Any:
    if feature.dtype in FLOATS:
        return value
    return value > 0 if feature.dtype == "bool" else int(value)


def _different(rows: Iterable[list[Any]]) -> Iterator[list[Any]]:
    seen: set[str] = set()
    for row in rows:
        key = repr(row)
        if key not in seen:
            seen.add(key)
            yield row
