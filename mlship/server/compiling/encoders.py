"""Encoders as tables: what a fitted encoder answers to each value that it knows, to one that it does not know, and to a hole."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from mlship.server.compiling.columns import Columns, Looked, Raw, Source, Unfit, joined
from mlship.server.runtimes.sklearn_columns import is_missing

UNKNOWN = "mlship: no such category"
MOST = 4_000_000  # numbers in the tables of one encoder
EXACT = 2**53  # from here on several whole numbers are one double
# what an encoder says to a value that it refuses
_REFUSALS = (ValueError, TypeError, KeyError)


def encoded(encoder: Any, source: Source, columns: Columns) -> Source:
    """One table for each column. Raises Unfit."""
    if not isinstance(source, Raw):
        raise Unfit(f"a {type(encoder).__name__} behind other steps has no compiled form")
    if any(values.dtype.kind in "mM" for values in encoder.categories_):
        raise Unfit(f"{type(encoder).__name__} of times has no compiled form")
    known = [values.tolist() for values in encoder.categories_]
    if sum(len(values) for values in known) * _width(encoder, known) > MOST:
        raise Unfit(f"{type(encoder).__name__} knows {sum(map(len, known))} categories")
    first = [next((value for value in values if not is_missing(value)), values[0]) for values in known]
    ends = _ends(encoder, known)
    tables = [_looked(encoder, known, first, at, ends[at : at + 2], source, columns) for at in range(len(known))]
    return joined(list(tables), columns)


def _looked(
    encoder: Any, known: list[list[Any]], first: list[Any], at: int, span: Sequence[int], source: Raw, columns: Columns
) -> Looked:
    """The table of one column: others stay at their first value while it is asked."""
    import numpy

    values = [value for value in known[at] if not is_missing(value)]
    if any(type(value) not in (str, int, float, bool) for value in values):
        raise Unfit(f"{columns.names[source.at[at]]} has categories that are no text and no numbers")
    if any(type(value) is int and abs(value) >= EXACT for value in values):
        raise Unfit(f"{columns.names[source.at[at]]} has whole numbers that no double tells apart")
    # where trained on text, an unknown number cannot come, and the other way round
    beyond: Any = UNKNOWN if any(isinstance(value, str) for value in values) else _beyond(values)
    has_holes = columns.signature.inputs[source.at[at]].nullable and source.fill[at] is None

    def asked(several: list[Any]) -> Any:
        rows = numpy.array([[*first[:at], value, *first[at + 1 :]] for value in several], dtype=_dtype(known, several))
        answer = encoder.transform(rows)
        answer = answer.to_numpy() if hasattr(answer, "to_numpy") else answer  # after set_output
        answer = answer[:, span[0] : span[1]]
        return numpy.asarray(answer.toarray() if hasattr(answer, "toarray") else answer, dtype="float64")

    try:
        table = [asked(values)]
    except _REFUSALS as error:
        raise Unfit(f"its encoder does not answer what it knows: {error}") from None
    places = {}
    for name, value in [("unknown", beyond), ("missing", float("nan"))]:
        places[name] = -1
        if name == "missing" and not has_holes:
            continue
        try:
            table.append(asked([value]))
            places[name] = sum(map(len, table)) - 1
        except _REFUSALS:
            continue
    filled = source.fill[at]
    if filled is not None:
        places["missing"] = values.index(filled) if filled in values else places["unknown"]
    whole = numpy.concatenate(table)
    if not numpy.isfinite(whole).all():
        raise Unfit(f"{type(encoder).__name__} gives NaN for what it does not know")
    node = {
        "step": "lookup",
        "column": source.at[at],
        "name": columns.names[source.at[at]],
        "values": values,
        "unknown": places["unknown"],
        "missing": places["missing"],
    }
    return Looked(node, whole)


def _dtype(known: list[list[Any]], several: list[Any]) -> str:
    """Numbers alone as such: encoders compare numbers otherwise than objects."""
    kinds = {type(value) for values in (*known, several) for value in values}
    return "float64" if kinds <= {int, float} else "object"


def _beyond(values: list[Any]) -> float:
    numbers = [float(value) for value in values]
    return max(numbers, default=0.0) + 1.0


def _ends(encoder: Any, known: list[list[Any]]) -> list[int]:
    """Where the columns of each feature begin in what the encoder gives, and where the last ones end."""
    widths = getattr(encoder, "_n_features_outs", None)
    if widths is None:
        several = len(encoder.classes_) if getattr(encoder, "target_type_", "") == "multiclass" else 1
        widths = [several] * len(known)
    ends = [0]
    for width in widths:
        ends.append(ends[-1] + int(width))
    return ends


def _width(encoder: Any, known: list[list[Any]]) -> int:
    ends = _ends(encoder, known)
    return max((last - first for first, last in pairwise(ends)), default=1)
