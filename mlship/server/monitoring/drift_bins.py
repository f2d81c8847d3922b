"""Values into bins: the histograms of model.reference at build, and the counting of live rows in the same bins. numpy only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

import numpy

from mlship.server.drift_index import bin_names
from mlship.server.manifest import Feature, Histogram

MOST_BINS = 10  # of numbers: deciles
MOST_VALUES = 20  # of categories, beside which all others are one
ROWS_A_BIN = 20  # of the reference at least, on average: fewer make the index noise
OFTEN = 5  # rows with a text that is named; rarer ones may be anybody's own
MOST_CLASSES = 1000  # of which the largest score is looked for
DIGITS = 9  # of edges: what two processors compute differs in the last of 16
NEAR = 1e-8  # relative, beyond an edge: what was rounded, or computed by another processor, is on the same side of it
CLOSE = 1e-6  # relative: a float32 is the double that it stands for
_NUMBERS = frozenset((int, float, bool))


class Bins(Protocol):
    """Counts values in the bins of one histogram."""

    def counts(self, values: Any) -> Any:
        """values: a column: numpy, float64, with NaN for a hole, or a sequence of JSON values with None. Returns float64, (bins,)."""


def bins_of(histogram: Histogram) -> Bins:
    if histogram.kind == "category":
        return _Numbers(histogram) if _are_numbers(histogram.values) else _Words(histogram)
    return _Ranges(histogram)


def is_counted(feature: Feature) -> bool:
    """Arrays have no one value, and moments of time move on whatever the data does."""
    return not feature.shape and feature.dtype != "datetime"


def histogram_of(values: Sequence[Any]) -> Histogram | None:
    """values: of all rows, None for a hole. None where they are neither numbers nor texts."""
    there = [value for value in values if value is not None]
    kinds = set(map(type, there))
    if kinds <= _NUMBERS:
        bare = _of_numbers(there)
    elif kinds == {str}:
        bare = _of_texts(there)
    else:
        return None
    return Histogram(bare.kind, tuple(int(count) for count in bins_of(bare).counts(values)), bare.edges, bare.values)


def scored(answer: Mapping[str, Sequence[Any]]) -> Sequence[Any] | None:
    """What is compared of an answer, a value a row: the score of the second of two classes, the class, or the number.

    None where it is none of these, such as an image.
    """
    probabilities = answer.get("probabilities")
    if probabilities and _width(probabilities) == 2:
        return [row[1] for row in probabilities]
    given = answer["predictions"]
    width = _width(given)
    if width == 0:
        return given
    if width in (1, 2):
        return [row[-1] for row in given]
    return [_largest(row) for row in given] if 2 < width <= MOST_CLASSES else None


def _width(rows: Sequence[Any]) -> int:
    """Numbers in a row; 0 for rows that are one value; -1 for anything else."""
    first = rows[0]
    if type(first) is not list:
        return -1 if type(first) is dict else 0
    return len(first) if first and all(value is None or type(value) in _NUMBERS for value in first) else -1


def _largest(row: Sequence[Any]) -> int | None:
    return None if None in row else row.index(max(row))


def _are_numbers(values: Sequence[Any]) -> bool:
    return bool(values) and set(map(type, values)) <= _NUMBERS


def _of_numbers(there: Sequence[Any]) -> Histogram:
    column = numpy.array(there, dtype="float64")
    distinct = numpy.unique(column).tolist()
    if len(distinct) <= _most(len(there), MOST_VALUES):
        return Histogram("category", (), values=tuple(int(one) if one.is_integer() else _rounded(one) for one in distinct))
    return Histogram("number", (), edges=_edges(numpy.sort(column)))


def _of_texts(there: Sequence[str]) -> Histogram:
    often = [(text, count) for text, count in Counter(there).items() if count >= OFTEN]
    often = sorted(often, key=lambda one: (-one[1], one[0]))[: _most(len(there), MOST_VALUES)]
    if 2 * sum(count for _, count in often) >= len(there):
        return Histogram("category", (), values=tuple(text for text, _ in often))
    return Histogram("length", (), edges=_edges(numpy.sort(numpy.array(list(map(len, there)), dtype="float64"))))


def _most(rows: int, most: int) -> int:
    return max(2, min(most, rows // ROWS_A_BIN))


def _edges(ordered: Any) -> tuple[float, ...]:
    """The smallest, quantiles that are values themselves, the largest. ordered: float64, (rows,), at least one."""
    rows, bins = len(ordered), _most(len(ordered), MOST_BINS)
    first, last = _rounded(float(ordered[0])), _rounded(float(ordered[-1]))
    cuts = {_rounded(float(ordered[-(-place * rows // bins) - 1])) for place in range(1, bins)}
    below = ordered[ordered < ordered[-1] - abs(ordered[-1]) * NEAR]
    if not any(cut < last for cut in cuts) and len(below):  # nearly all are the largest
        cuts = {_rounded(float(below[-1]))}
    return (first, *sorted(cut for cut in cuts if cut < last), last)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


class _Ranges:
    """Of numbers, or of texts by their length."""

    def __init__(self, histogram: Histogram) -> None:
        first, *others = (numpy.float64(edge) for edge in histogram.edges)
        uppers = [edge + abs(edge) * NEAR for edge in others]  # each bin has its upper edge
        self._edges = numpy.array([numpy.nextafter(first - abs(first) * NEAR, -numpy.inf), *uppers])
        self._of_lengths = histogram.kind == "length"
        self._size = len(bin_names(histogram)) - 1

    def counts(self, values: Any) -> Any:
        if self._of_lengths:
            values = [len(text) if isinstance(text, str) else None for text in values]
        column, nulls = _parted(values)
        places = numpy.searchsorted(self._edges, column)
        return _with_nulls(numpy.bincount(places, minlength=self._size), nulls)


class _Numbers:
    """Of numbers that are few."""

    def __init__(self, histogram: Histogram) -> None:
        self._values = numpy.array(histogram.values, dtype="float64")
        self._order = numpy.argsort(self._values)
        self._size = len(self._values) + 1

    def counts(self, values: Any) -> Any:
        column, nulls = _parted(values)
        ordered = self._values[self._order]
        between = (ordered[1:] + ordered[:-1]) / 2
        nearest = self._order[numpy.searchsorted(between, column)]
        is_known = numpy.isclose(column, self._values[nearest], rtol=CLOSE, atol=CLOSE)
        return _with_nulls(numpy.bincount(numpy.where(is_known, nearest, self._size - 1), minlength=self._size), nulls)


class _Words:
    """Of texts, and of whatever else is compared as it is."""

    def __init__(self, histogram: Histogram) -> None:
        self._places = {value: place for place, value in enumerate(histogram.values)}
        self._size = len(histogram.values) + 1

    def counts(self, values: Any) -> Any:
        counted = numpy.zeros(self._size)
        listed = values.tolist() if hasattr(values, "tolist") else values
        nulls = 0
        for value, count in Counter(map(_hashable, listed)).items():
            if value is None:
                nulls += count
            else:
                counted[self._places.get(value, self._size - 1)] += count
        return _with_nulls(counted, nulls)


def _hashable(value: Any) -> Any:
    return str(value) if isinstance(value, (list, dict)) else value


def _parted(values: Any) -> tuple[Any, int]:
    """What is there as float64, and how many are not: holes, and texts where the reference has numbers."""
    try:
        column = numpy.asarray(values, dtype="float64")
    except (TypeError, ValueError):
        column = numpy.array([value if type(value) in _NUMBERS else numpy.nan for value in values], dtype="float64")
    is_hole = numpy.isnan(column)
    nulls = int(is_hole.sum())
    return (column[~is_hole] if nulls else column), nulls


def _with_nulls(counted: Any, nulls: int) -> Any:
    return numpy.append(counted, nulls).astype("float64")


def strung(pieces: Sequence[Any]) -> Any:
    """Pieces of one column, as `Bins.counts` takes it."""
    if len(pieces) == 1:
        return pieces[0]
    if all(hasattr(piece, "dtype") for piece in pieces):
        return numpy.concatenate(pieces)
    return list(chain.from_iterable(piece.tolist() if hasattr(piece, "dtype") else piece for piece in pieces))
