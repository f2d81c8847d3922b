"""What a module takes that does not say so itself: as the sample shows it, tried out; without a sample, as its first layer says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from mlship.server.input.checks import shape_of
from mlship.server.manifest import Feature
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.graph_inputs import Input, Layout
from mlship.server.runtimes.observed import MAX_FEATURES, columns

Run = Callable[[Mapping[str, Any]], Any]
DTYPES = ("float32", "int64")  # of rows of numbers; the second for embeddings
DEEPEST = 8
TRIED = 8


def observed_layout(known: Layout, run: Run, module: Any, sample: tuple[Any, ...]) -> Layout:
    """known: the inputs' names. run: calls the module with arrays by these. Raises LoadError when it does not take the sample."""
    if len(known.inputs) > 1:
        return _of_several(known.inputs, run, sample)
    (only,) = known.inputs
    if not sample:
        width = next((width for width in _widths(module) if _takes(run, only.name, (1, width))), 0)
        return _table(only.name, [f"x{index}" for index in range(width)], "float32") if 0 < width <= MAX_FEATURES else known
    rows, names = _rows(only.name, sample)
    depth = len(shape_of(rows[0], DEEPEST))
    if depth <= 1 and names:
        return _table(only.name, names, _dtype(run, only.name, rows))
    dtype = _dtype(run, only.name, rows)
    if depth == 1 and dtype == "float32":
        return _table(only.name, [f"x{index}" for index in range(len(rows[0]))], dtype)
    shape = _common([shape_of(row, depth) for row in rows])
    if depth == 1 and _takes(run, only.name, (1, 2 * len(rows[0])), dtype):
        shape = (-1,)
    return _several([Feature(only.name, dtype, shape=shape)])


def _of_several(inputs: Sequence[Input], run: Run, sample: tuple[Any, ...]) -> Layout:
    names = [given.name for given in inputs]
    if not sample or not all(isinstance(row, dict) and all(name in row for name in names) for row in sample):
        form = ", ".join(f'"{name}": ...' for name in names)
        raise LoadError(
            f"forward takes {', '.join(names)}: what they are only a sample shows; write model.sample with rows {{{form}}}"
        )
    features = [_feature(name, [row[name] for row in sample]) for name in names]
    try:
        run({feature.name: _array([sample[0][feature.name]], feature.dtype) for feature in features})
    except ValueError as error:
        raise LoadError(f"the module does not take the first row of the sample: {_first_line(error)}") from error
    return _several(features)


def _feature(name: str, values: Sequence[Any]) -> Feature:
    first = values[0]
    depth = len(shape_of(first, DEEPEST))
    while type(first) is list:
        first = first[0] if first else 0.0
    dtype = "bool" if type(first) is bool else "int64" if type(first) is int else "float32"
    shapes = [shape_of(value, depth) for value in values]
    # sequences are of any length: one sample seldom shows it
    return Feature(name, dtype, shape=(-1,) if depth == 1 and dtype != "float32" else _common(shapes))


def _rows(name: str, sample: tuple[Any, ...]) -> tuple[list[Any], list[str]]:
    """The sample's rows as lists of numbers, and the names of their columns where they have such."""
    first = sample[0]
    if not isinstance(first, dict):
        return [row if isinstance(row, list) else [row] for row in sample], []
    if list(first) == [name] and isinstance(first[name], list):
        return [row[name] for row in sample], []
    names = list(columns(sample))
    return [[row.get(column) for column in names] for row in sample], names


def _dtype(run: Run, name: str, rows: Sequence[Any]) -> str:
    """The one that the module takes the first row in. Raises LoadError."""
    said: list[str] = []
    for dtype in DTYPES:
        try:
            run({name: _array(rows[:1], dtype)})
        except (ValueError, TypeError, OverflowError) as error:
            said.append(_first_line(error))
        else:
            return dtype
    shape = " x ".join(map(str, shape_of(rows[0], DEEPEST)))
    raise LoadError(f"the module does not take a row of {shape} numbers, as in the sample: {said[0]}")


def _takes(run: Run, name: str, shape: tuple[int, ...], dtype: str = "float32") -> bool:
    import numpy

    try:
        run({name: numpy.zeros(shape, dtype)})
    except (ValueError, TypeError):
        return False
    return True


def _widths(module: Any) -> Iterator[int]:
    """How many numbers the first layers take; which of them is the first, a trial shows."""
    found = [size for part in module.modules() for name in ("in_features", "num_features") if (size := _size(part, name))]
    matrices = [int(weight.shape[1]) for weight in module.parameters() if len(weight.shape) == 2]
    yield from islice(dict.fromkeys([*found, *matrices]), TRIED)


def _size(part: Any, name: str) -> int:
    found = getattr(part, name, 0)
    return found if type(found) is int and found > 0 else 0


def _table(name: str, names: Sequence[str], dtype: str) -> Layout:
    features = tuple(Feature(each, dtype) for each in names)
    return Layout((Input(name, dtype, ()),), features, "array" if dtype == "float32" else "tensors", is_one_table=True)


def _several(features: Sequence[Feature]) -> Layout:
    inputs = tuple(Input(feature.name, feature.dtype, (-1, *feature.shape)) for feature in features)
    return Layout(inputs, tuple(features), "tensors")


def _common(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The lengths that all have; -1 where they differ."""
    return tuple(sizes[0] if len(set(sizes)) == 1 else -1 for sizes in zip(*shapes, strict=False))


def _array(rows: Sequence[Any], dtype: str) -> Any:
    import numpy

    array = numpy.array(rows)
    if array.dtype.kind == "O":
        array = numpy.array(rows, dtype="float64")  # null is NaN
    if dtype == "int64" and array.dtype.kind == "f" and not (array == array.round()).all():
        raise ValueError("the rows hold no whole numbers")
    return array.astype(dtype)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
