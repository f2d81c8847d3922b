"""From checked rows to the numbers that a compiled model computes with: scalers, fillers, encoders, by numpy alone.

Rows come as an array (rows, features) of float64, or as one sequence of values for each feature (`container: columns`); a hole
is NaN in the first and None in the second. A step is a function from rows to an array (rows, columns) of float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Step = Callable[[Any], Any]
Arrays = Mapping[str, Any]


def step_from(node: Mapping[str, Any], arrays: Arrays) -> Step:
    """The step that a plan's node describes. Raises KeyError for one of no known name."""
    return _STEPS[node["step"]](node, arrays)


def lookup_from(node: Mapping[str, Any], arrays: Arrays) -> Callable[[Any], Any]:
    """Rows -> the places of a column's values in the table of an encoder, as integers.

    Raises ValueError for a value that the encoder refuses.
    """
    column, name = int(node["column"]), str(node["name"])
    known = {_plain(value): place for place, value in enumerate(node["values"])}
    # NaN is equal to nothing, so it is looked for by what stands for it
    known[None] = node["missing"]
    find, unknown = known.get, node["unknown"]

    def places(rows: Any) -> list[int]:
        found = [find(value, unknown) for value in values_of(rows, column)]
        if -1 in found:
            raise ValueError(f"{name} has a value that the model was not trained with")
        return found

    return places


def _take(node: Mapping[str, Any], arrays: Arrays) -> Step:
    """Columns of numbers; `fill` stands for holes where there is one."""
    import numpy

    columns: list[int] = node["columns"]
    fill = numpy.array(arrays[node["fill"]]) if node.get("fill") else None
    is_open = bool(node["nullable"])
    whole = columns == list(range(int(node["of"])))
    places = numpy.array(columns, dtype="intp")

    def taken(rows: Any) -> Any:
        if type(rows) is numpy.ndarray:
            array = rows if whole else rows.take(places, axis=1)
        elif is_open:
            array = numpy.array([_with_nan(rows[column]) for column in columns], dtype="float64").T
        else:
            array = numpy.array([rows[column] for column in columns], dtype="float64").T
        return array if fill is None else numpy.where(numpy.isnan(array), fill, array)

    return taken


def _holes(node: Mapping[str, Any], arrays: Arrays) -> Step:
    """1.0 where a column has a hole."""
    import numpy

    columns: list[int] = node["columns"]

    def marked(rows: Any) -> Any:
        marks = [[value is None for value in values_of(rows, column)] for column in columns]
        return numpy.array(marks, dtype="float64").T

    return marked


def _lookup(node: Mapping[str, Any], arrays: Arrays) -> Step:
    places, table = lookup_from(node, arrays), arrays[node["table"]]
    return lambda rows: table.take(places(rows), axis=0)


def _join(node: Mapping[str, Any], arrays: Arrays) -> Step:
    import numpy

    parts = [step_from(part, arrays) for part in node["parts"]]
    return lambda rows: numpy.concatenate([part(rows) for part in parts], axis=1)


def _pick(node: Mapping[str, Any], arrays: Arrays) -> Step:
    before, columns = step_from(node["after"], arrays), arrays[node["columns"]]
    return lambda rows: _finite_or_hole(before(rows)).take(columns, axis=1)


def _each(node: Mapping[str, Any], arrays: Arrays) -> Step:
    """One operation after the other with one number for each column, in the order in which scikit-learn computes."""
    import numpy

    known = {
        "subtract": numpy.subtract,
        "divide": numpy.divide,
        "multiply": numpy.multiply,
        "add": numpy.add,
        "at_least": numpy.maximum,
        "at_most": numpy.minimum,
    }
    before = step_from(node["after"], arrays)
    operations = [(known[name], numpy.array(arrays[by])) for name, by in node["operations"]]
    hides = node["after"]["step"] != "take" and any(name in ("at_least", "at_most") for name, _ in node["operations"])

    def computed(rows: Any) -> Any:
        array = _finite_or_hole(before(rows)) if hides else before(rows)
        for operation, by in operations:
            array = operation(array, by)
        return array

    return computed


def _products(node: Mapping[str, Any], arrays: Arrays) -> Step:
    """Polynomial features, degree by degree: each is one of the degree before it times one column."""
    import numpy

    before, width = step_from(node["after"], arrays), int(node["width"])
    spans = [(first, last, arrays[factor], arrays[column]) for first, last, factor, column in node["degrees"]]
    ones, places = node["ones"], arrays[node["order"]]

    def multiplied(rows: Any) -> Any:
        array = before(rows)
        out = numpy.empty((len(array), width))
        if ones:
            out[:, 0] = 1.0
        out[:, ones : ones + array.shape[1]] = array
        for first, last, factor, column in spans:
            numpy.multiply(out.take(factor, axis=1), array.take(column, axis=1), out=out[:, first:last])
        return out.take(places, axis=1)

    return multiplied


_STEPS: Mapping[str, Callable[[Mapping[str, Any], Arrays], Step]] = {
    "take": _take,
    "holes": _holes,
    "lookup": _lookup,
    "join": _join,
    "pick": _pick,
    "each": _each,
    "products": _products,
}


def _finite_or_hole(array: Any) -> Any:
    """For steps behind which nobody sees any more that a number has outgrown float64 on its way.

    Raises ValueError, as scikit-learn does in front of each step.
    """
    import numpy

    if numpy.isinf(array).any():
        raise ValueError("Input contains infinity or a value too large for the model")
    return array


def values_of(rows: Any, column: int) -> Sequence[Any]:
    """A column's values as Python's own; a hole is None."""
    values: Sequence[Any] = rows[:, column] if hasattr(rows, "dtype") else rows[column]
    if not hasattr(values, "tolist"):
        return values
    return [None if value != value else value for value in values.tolist()]


def _with_nan(column: Sequence[Any]) -> Sequence[Any]:
    if hasattr(column, "dtype"):
        return column
    return [float("nan") if value is None else value for value in column]


def _plain(value: Any) -> Any:
    """What JSON made of a value."""
    return tuple(value) if isinstance(value, list) else value
