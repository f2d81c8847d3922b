"""Checked rows in the form that the model's method takes: a DataFrame, an array, or the rows as they came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from mlship.server.manifest import Feature, Signature
from mlship.server.problems import InputError
from mlship.server.validate import Table, Validator

FLOATS = ("float64", "float32", "float16")
NUMERIC = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", *FLOATS)


class NotFinite(Exception):
    """A number became infinite or NaN on its way into the array; the exact check names it."""


class Container(Protocol):
    """Builds what the model receives, and cuts it into parts."""

    def build(self, table: Table, instances: list[Any]) -> Any:
        """table: the instances, checked. Raises NotFinite when `table.numbers` does not fit the dtype."""

    def part(self, rows: Any, start: int, stop: int) -> Any:
        """Rows start..stop-1 in the same form."""


def batch(signature: Signature, validator: Validator, container: Container, instances: Any) -> Any:
    """The instances, checked, as the model takes them. Raises InputError."""
    if not signature.inputs:
        return _unchecked(signature, container, validator, instances)
    try:
        return container.build(validator.table(instances), instances)
    except NotFinite:
        return container.build(validator.exact_table(instances), instances)


def container_for(signature: Signature) -> Container:
    """Imports pandas or numpy only where the model takes them. Raises ImportError."""
    if signature.container == "frame":
        return Frames(signature)
    return Arrays(signature) if signature.container == "array" else Lists()


class Lists:
    """The rows as they came, for a user's own class."""

    def build(self, table: Table, instances: list[Any]) -> Any:
        return instances

    def part(self, rows: Any, start: int, stop: int) -> Any:
        return rows[start:stop]


class Arrays:
    """numpy, rows by features: float32 when all features are, object when one is no number, else float64."""

    def __init__(self, signature: Signature) -> None:
        import numpy

        self._numpy = numpy
        self._dtype = _common_dtype(signature.inputs)

    def build(self, table: Table, instances: list[Any]) -> Any:
        if table.numbers is not None:
            return finite(self._numpy, table.numbers, self._dtype)
        array: Any = self._numpy.empty((table.count, len(table.columns)), dtype=self._dtype)
        for index, column in enumerate(table.columns):
            array[:, index] = _with_nan(column) if self._dtype != "object" else column
        return array

    def part(self, rows: Any, start: int, stop: int) -> Any:
        return rows[start:stop]


class Frames:
    """pandas, columns in the signature's order and dtypes. Null is NaN, also among strings, as read_csv gives it."""

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

    def build(self, table: Table, instances: list[Any]) -> Any:
        if table.numbers is not None and self._block:
            return self._pandas.DataFrame(finite(self._numpy, table.numbers, self._block), columns=self._columns, copy=False)
        columns = table.columns if table.numbers is None else list(zip(*table.numbers, strict=True))
        arrays = {
            index: self._array(feature, column)
            for index, (feature, column) in enumerate(zip(self._features, columns, strict=True))
        }
        frame = self._pandas.DataFrame(arrays, copy=False)
        frame.columns = self._columns
        return frame

    def part(self, rows: Any, start: int, stop: int) -> Any:
        return rows.iloc[start:stop]

    def _array(self, feature: Feature, column: Sequence[Any]) -> Any:
        numpy, pandas = self._numpy, self._pandas
        if feature.dtype == "string":
            values = column if self._text == "str" else _with_nan(column)
            return pandas.Series(list(values), dtype=self._text)
        if feature.dtype == "datetime":
            return pandas.to_datetime(pandas.Series(list(column), dtype="object"))
        if feature.dtype not in NUMERIC:
            return pandas.Series(list(column))
        if None not in column:
            return numpy.array(column, dtype=feature.dtype)
        # what pandas makes of a column with holes: int becomes float64, bool becomes object
        holed = feature.dtype if feature.dtype in FLOATS else ("object" if feature.dtype == "bool" else "float64")
        return numpy.array(_with_nan(column), dtype=holed)


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


def _unchecked(signature: Signature, container: Container, validator: Validator, instances: Any) -> Any:
    """Rows of a model whose features are not known: only their shape can be wrong."""
    validator.require_rows(instances)
    if signature.container == "list":
        return instances
    if signature.container == "frame":
        return _inferred_frame(instances)
    import numpy

    rows = instances if isinstance(instances[0], list) else [[value] for value in instances]
    try:
        array = numpy.array(rows)
    except ValueError:
        raise InputError(422, message="the rows differ in length") from None
    if array.dtype.kind not in "biuf" or not numpy.isfinite(array).all():
        raise InputError(422, message="the rows must be lists of finite numbers, all of the same length")
    return array.astype("float64")


def _inferred_frame(instances: list[Any]) -> Any:
    import pandas

    if any(type(row) is not type(instances[0]) or type(row) not in (list, dict) for row in instances):
        raise InputError(422, message="the rows must be all objects or all lists")
    try:
        return pandas.DataFrame(instances)
    except (ValueError, TypeError, OverflowError):
        raise InputError(422, message="the rows do not make a table") from None


def _common_dtype(inputs: tuple[Feature, ...]) -> str:
    dtypes = {feature.dtype for feature in inputs}
    if not dtypes <= set(NUMERIC):
        return "object"
    return "float32" if dtypes == {"float32"} else "float64"


def _with_nan(column: Sequence[Any]) -> list[Any]:
    return [float("nan") if value is None else value for value in column]
