"""Checked rows in the form that the model's method takes: a DataFrame, an array, or the rows as they came."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from typing import Any, Protocol

from mlship.server.input.checks import shape_of
from mlship.server.input.dtypes import FLOATS, NUMERIC
from mlship.server.input.validate import Table
from mlship.server.manifest import Feature, Signature
from mlship.server.problems import InputError

SIMPLE = frozenset((str, int, float, bool, type(None)))  # what nobody can write into
NUMBERS = frozenset((int, float, bool))
NO_NUMBERS = "the rows must be lists of finite numbers, all of the same length"
FREE_CELLS, SPARSEST = 100_000, 16  # a table of unknown columns has at most so many cells, or so many for each value

Unpack = Callable[[bytes, int], Any]


class NotFinite(Exception):
    """A number became infinite or NaN on its way into the array; the exact check names it."""


class Container(Protocol):
    """Builds what the model receives from the rows of one request or of several, and cuts it into parts.

    unpack: writes the packed rows of one request, so many, as what the model receives; None where it receives something else.
    """

    unpack: Unpack | None

    def build(self, tables: Sequence[Table]) -> Any:
        """The rows of all tables, in their order. Raises NotFinite when a number does not fit the dtype."""

    def kind(self, table: Table) -> Hashable:
        """Tables of one kind can be built together without any row being seen differently than alone."""

    def part(self, rows: Any, start: int, stop: int) -> Any:
        """Rows start..stop-1 in the same form, as a copy: models write into what they are given."""


def container_for(signature: Signature) -> Container:
    """Imports pandas or numpy only where the model takes them. Raises ImportError."""
    if signature.container == "frame":
        return Frames(signature) if signature.inputs else Inferred()
    if signature.container == "tensors":
        return Tensors(signature)
    if signature.container == "array":
        return Arrays(signature) if signature.inputs else Numbers()
    if signature.container == "columns":
        return Columns()
    return Lists()


class Lists:
    """The rows as they came, for a user's own class. Copies: it may write into them, and they may be asked a second time."""

    unpack: Unpack | None = None

    def build(self, tables: Sequence[Table]) -> Any:
        try:
            return [copied(row) for table in tables for row in table.instances]
        except RecursionError:
            raise InputError(422, message="the rows are nested too deeply") from None

    def kind(self, table: Table) -> Hashable:
        """Lists and objects apart, and those of another length: a class may look at the first row to know what it got."""
        first = table.instances[0]
        return type(first).__name__, len(first) if isinstance(first, (list, dict)) else 1

    def part(self, rows: Any, start: int, stop: int) -> Any:
        return [copied(row) for row in rows[start:stop]]


class Arrays:
    """numpy, rows by features: float32 when all features are, object when one is no number, else float64."""

    def __init__(self, signature: Signature) -> None:
        import numpy

        self._numpy = numpy
        self._dtype = _common_dtype(signature.inputs)
        self.unpack = _unpacking(numpy) if self._dtype == "float64" else None

    def build(self, tables: Sequence[Table]) -> Any:
        rows = _numbers(tables)
        if rows is not None:
            return rows if self._is_packed(tables) else finite(self._numpy, rows, self._dtype)
        built = [self._built(table) for table in tables]
        return built[0] if len(built) == 1 else self._numpy.concatenate(built)

    def kind(self, table: Table) -> Hashable:
        return None

    def part(self, rows: Any, start: int, stop: int) -> Any:
        return rows[start:stop].copy()

    def _is_packed(self, tables: Sequence[Table]) -> bool:
        """True where the numbers are finite in the dtype, because they are packed in it."""
        return self.unpack is not None and all(table.packed is not None for table in tables)

    def _built(self, table: Table) -> Any:
        rows = _numbers([table])
        if rows is not None:
            return finite(self._numpy, rows, self._dtype)
        array: Any = self._numpy.empty((table.count, len(table.columns)), dtype=self._dtype)
        for index, column in enumerate(table.columns):
            array[:, index] = _with_nan(column) if self._dtype != "object" else column
        return array


class Columns:
    """For a compiled model: one sequence of checked values for each feature, in the signature's order, as they came; None is a hole.

    Rows of plain numbers are an array of float64 instead.
    """

    def __init__(self) -> None:
        import numpy

        self._numpy = numpy
        self.unpack: Unpack | None = _unpacking(numpy)

    def build(self, tables: Sequence[Table]) -> Any:
        rows = _numbers(tables)
        if rows is None:
            return list(_columns(tables))
        return rows if all(table.packed is not None for table in tables) else finite(self._numpy, rows, "float64")

    def kind(self, table: Table) -> Hashable:
        return None

    def part(self, rows: Any, start: int, stop: int) -> Any:
        return rows[start:stop].copy() if _is_array(rows) else [column[start:stop] for column in rows]


class Frames:
    """pandas, columns in the signature's order and dtypes. Null is NaN, also among strings, as read_csv gives it."""

    unpack: Unpack | None = None

    def __init__(self, signature: Signature) -> None:
        import numpy
        import pandas

        self._numpy, self._pandas = numpy, pandas
        self._features = signature.inputs
        self._columns = pandas.Index([feature.name for feature in signature.inputs])
        dtypes = {feature.dtype for feature in signature.inputs}
        self._block = dtypes.pop() if len(dtypes) == 1 else ""
        # pandas 3 reads text as its own `str`, pandas 2 as object; encoders compare by it
        self._text = "str" if int(pandas.__version__.split(".")[0]) >= 3 else "object"
        self._inferred = [
            index
            for index, feature in enumerate(signature.inputs)
            if feature.dtype == "any" or (feature.nullable and feature.dtype not in FLOATS and feature.dtype != "string")
        ]

    def build(self, tables: Sequence[Table]) -> Any:
        rows = _numbers(tables)
        if rows is not None and self._block:
            return self._pandas.DataFrame(finite(self._numpy, rows, self._block), columns=self._columns, copy=False)
        arrays = {
            index: self._array(feature, column)
            for index, (feature, column) in enumerate(zip(self._features, _columns(tables), strict=True))
        }
        frame = self._pandas.DataFrame(arrays, copy=False)
        frame.columns = self._columns
        return frame

    def kind(self, table: Table) -> Hashable:
        """By what decides the dtype of columns whose dtype follows from their values: a hole makes whole numbers floats."""
        if not self._inferred or not table.columns:
            return None
        return tuple(_types(table.columns[index]) for index in self._inferred)

    def part(self, rows: Any, start: int, stop: int) -> Any:
        return rows.iloc[start:stop].copy()

    def _array(self, feature: Feature, column: Sequence[Any]) -> Any:
        numpy, pandas = self._numpy, self._pandas
        if feature.dtype == "string":
            values = column if self._text == "str" else _with_nan(column)
            return pandas.Series(list(values), dtype=self._text)
        if feature.dtype == "datetime":
            return pandas.to_datetime(pandas.Series(list(column), dtype="object"))
        if feature.dtype not in NUMERIC:
            return pandas.Series(list(column))
        if _is_array(column):
            return column  # judged: in the feature's dtype, float64 where it has holes
        if None not in column:
            return (finite if feature.dtype in FLOATS else _whole)(numpy, column, feature.dtype)
        # what pandas makes of a column with holes: int becomes float64, bool becomes object
        holed = feature.dtype if feature.dtype in FLOATS else ("object" if feature.dtype == "bool" else "float64")
        return numpy.array(_with_nan(column), dtype=holed)


class Tensors:
    """One numpy array a feature, (rows, *shape) in its dtype, as graphs take them. Null is NaN; strings stand in objects."""

    unpack: Unpack | None = None

    def __init__(self, signature: Signature) -> None:
        import numpy

        self._numpy = numpy
        self._features = signature.inputs
        self._open = [index for index, feature in enumerate(signature.inputs) if -1 in feature.shape]

    def build(self, tables: Sequence[Table]) -> Any:
        columns = _columns(tables)
        for index in self._open:
            self._require_one_shape(self._features[index], columns[index])
        return {feature.name: self._array(feature, column) for feature, column in zip(self._features, columns, strict=True)}

    def kind(self, table: Table) -> Hashable:
        """By the lengths that differ from request to request."""
        return tuple(_lengths(table.columns[index][0], self._features[index]) for index in self._open) or None

    def part(self, rows: Any, start: int, stop: int) -> Any:
        return {name: array[start:stop].copy() for name, array in rows.items()}

    def _array(self, feature: Feature, column: Sequence[Any]) -> Any:
        if feature.dtype in FLOATS and not feature.nullable:
            return finite(self._numpy, column, feature.dtype)
        if feature.dtype in NUMERIC:
            return self._numpy.array(_with_nan(column), dtype=feature.dtype)
        return self._numpy.array(column, dtype=object)

    def _require_one_shape(self, feature: Feature, column: Sequence[Any]) -> None:
        if len({_lengths(value, feature) for value in column}) > 1:
            raise InputError(422, message=f'the rows differ in the length of "{feature.name}"; send one length in a request')


class Numbers:
    """numpy, float64, for a model whose features are not known: as wide as the caller's rows are."""

    unpack: Unpack | None = None

    def __init__(self) -> None:
        import numpy

        self._numpy = numpy

    def build(self, tables: Sequence[Table]) -> Any:
        built = [self._built(table.instances) if table.array is None else table.array for table in tables]
        return built[0] if len(built) == 1 else self._numpy.concatenate(built)

    def kind(self, table: Table) -> Hashable:
        first = table.instances[0] if table.array is None else table.array[0]
        return len(first) if hasattr(first, "__len__") and not isinstance(first, str) else 1

    def part(self, rows: Any, start: int, stop: int) -> Any:
        return rows[start:stop].copy()

    def _built(self, instances: Any) -> Any:
        rows = instances if isinstance(instances[0], list) else [[value] for value in instances]
        # an array of texts has room for the longest in each place
        if not _are_numbers(rows):
            raise InputError(422, message=NO_NUMBERS)
        try:
            array = self._numpy.array(rows)
        except ValueError:
            raise InputError(422, message="the rows differ in length") from None
        if array.dtype.kind not in "biuf" or not self._numpy.isfinite(array).all():
            raise InputError(422, message=NO_NUMBERS)
        return array.astype("float64")


class Inferred:
    """pandas, for a model whose features are not known: what pandas makes of the caller's rows, so each request alone."""

    unpack: Unpack | None = None

    def __init__(self) -> None:
        import pandas

        self._pandas = pandas

    def build(self, tables: Sequence[Table]) -> Any:
        (table,) = tables
        instances = table.instances
        if any(type(row) is not type(instances[0]) or type(row) not in (list, dict) for row in instances):
            raise InputError(422, message="the rows must be all objects or all lists")
        if _cells(instances) > max(FREE_CELLS, SPARSEST * sum(map(len, instances))):
            raise InputError(422, message="the rows have too little in common to make a table")
        try:
            return self._pandas.DataFrame(instances)
        except (ValueError, TypeError, OverflowError):
            raise InputError(422, message="the rows do not make a table") from None

    def kind(self, table: Table) -> Hashable:
        return object()

    def part(self, rows: Any, start: int, stop: int) -> Any:
        return rows.iloc[start:stop].copy()


def _lengths(value: Any, feature: Feature) -> tuple[int, ...]:
    return tuple(value.shape) if _is_array(value) else shape_of(value, len(feature.shape))


def _cells(rows: list[Any]) -> int:
    """Cells of the table that the rows make, those without a value too."""
    return len(rows) * (max(map(len, rows)) if isinstance(rows[0], list) else len(set(chain.from_iterable(rows))))


def _are_numbers(values: list[Any]) -> bool:
    """True for numbers and truth values, and lists of them, equally deep."""
    while values and not (kinds := set(map(type, values))) <= NUMBERS:
        if kinds != {list}:
            return False
        values = list(chain.from_iterable(values))
    return True


def copied(value: Any) -> Any:
    """A JSON value that shares no list and no object with the first."""
    kind = type(value)
    if kind is dict:
        return {name: item if type(item) in SIMPLE else copied(item) for name, item in value.items()}
    if kind is list:
        return [item if type(item) in SIMPLE else copied(item) for item in value]
    return value


def _numbers(tables: Sequence[Table]) -> Any:
    """The rows of all tables as plain numbers, or as one array; None when a table has none."""
    if all(table.packed is not None for table in tables):
        return unpacked(tables)
    if len(tables) == 1:
        return tables[0].numbers if tables[0].array is None else tables[0].array
    rows: list[Sequence[float]] = []
    for table in tables:
        if table.numbers is None:
            return None
        rows += table.numbers
    return rows


def _unpacking(numpy: Any) -> Unpack:
    frombuffer = numpy.frombuffer
    # an array of its own, because models write into what they are given
    return lambda packed, count: frombuffer(bytearray(packed)).reshape(count, -1)


def unpacked(tables: Sequence[Table]) -> Any:
    """The packed rows of all tables as one array of their own, (rows, features)."""
    import numpy

    if len(tables) == 1:
        packed, count = bytearray(tables[0].packed or b""), tables[0].count
    else:
        packed = bytearray().join([table.packed for table in tables if table.packed is not None])
        count = sum(table.count for table in tables)
    return numpy.frombuffer(packed).reshape(count, -1)


def _columns(tables: Sequence[Table]) -> Sequence[Sequence[Any]]:
    """One sequence of values for each feature, through all tables."""
    turned = [_turned(table) for table in tables]
    return turned[0] if len(turned) == 1 else [_strung(columns) for columns in zip(*turned, strict=True)]


def _strung(columns: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """One column after the other; arrays, which tensors bring, stay an array."""
    if all(map(_is_array, columns)):
        import numpy

        joined: Sequence[Any] = numpy.concatenate(columns)
        return joined
    return list(chain.from_iterable(columns))


def _is_array(column: Sequence[Any]) -> bool:
    return hasattr(column, "dtype")


def _types(column: Any) -> Hashable:
    return column.dtype.str if _is_array(column) else frozenset(map(type, column))


def _turned(table: Table) -> Sequence[Sequence[Any]]:
    array = unpacked([table]) if table.packed is not None else table.array
    if array is not None:
        columns: list[list[Any]] = array.T.tolist()
        return columns
    return table.columns if table.numbers is None else list(zip(*table.numbers, strict=True))


def finite(numpy: Any, rows: Any, dtype: str) -> Any:
    """The rows as an array of the dtype. Raises NotFinite when a value is not finite in it."""
    try:
        with numpy.errstate(over="ignore"):
            array = numpy.array(rows, dtype=dtype)
    except (OverflowError, ValueError, TypeError):
        raise NotFinite from None
    if not numpy.isfinite(array).all():
        raise NotFinite
    return array


def _whole(numpy: Any, column: Any, dtype: str) -> Any:
    return numpy.array(column, dtype=dtype)


def _common_dtype(inputs: tuple[Feature, ...]) -> str:
    dtypes = {feature.dtype for feature in inputs}
    if not dtypes <= set(NUMERIC):
        return "object"
    return "float32" if dtypes == {"float32"} else "float64"


def _with_nan(column: Sequence[Any]) -> Sequence[Any]:
    if _is_array(column):
        return column
    return [float("nan") if value is None else value for value in column]
