"""What one column of a tensor must be to stand for a feature: judged as a whole, its bad rows named one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from mlship.server.input.checks import Check, Refused, check_for
from mlship.server.input.dtypes import FLOATS, INTEGERS
from mlship.server.manifest import Feature
from mlship.server.problems import LIMIT, Problem, described, shown

OF_OBJECTS = ("string", "datetime", "bool", "any")  # bool: where null stands between true and false


class ColumnRefused(Exception):
    """Values of a column do not fit."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(problems[0].message)


@dataclass(frozen=True)
class Judge:
    """Judges the columns of one feature."""

    feature: Feature
    check: Check

    @staticmethod
    def of(feature: Feature) -> Judge:
        return Judge(feature, check_for(replace(feature, shape=())))

    def taken(self, numpy: Any, values: Any, datatype: str) -> Any:
        """values: numpy, (rows,): numbers, NaN for null; or objects: strings, None for null, bytes that are not UTF-8.

        Returns the column as containers take it: an array in the feature's dtype, float64 with NaN where whole numbers have
        holes; a list for objects. Of a feature that is an array in itself, an array in its shape. Raises ColumnRefused.
        """
        if self.feature.shape:
            return self._shaped(numpy, values, datatype)
        if values.dtype.kind == "O":
            return self._objects(values.tolist(), datatype)
        return self._numbers(numpy, values, datatype)

    def _shaped(self, numpy: Any, values: Any, datatype: str) -> Any:
        """Judged value by value; problems are named by their rows."""
        try:
            taken = replace(self, feature=replace(self.feature, shape=())).taken(numpy, values.reshape(-1), datatype)
        except ColumnRefused as refused:
            each = max(1, values.size // len(values))
            rows = {
                problem.row if problem.row is None else problem.row // each: problem for problem in reversed(refused.problems)
            }
            raise ColumnRefused([_in_row(problem, row) for row, problem in sorted(rows.items(), key=_place)]) from None
        flat = numpy.array(taken, dtype=object) if isinstance(taken, list) else taken
        return flat.reshape(values.shape)

    def _numbers(self, numpy: Any, values: Any, datatype: str) -> Any:
        taken, bad = self._converted(numpy, values, datatype)
        known = self.feature.categories
        if known is not None:
            bad = bad | ~numpy.isin(taken, [value for value in known if isinstance(value, (bool, int, float))])
        if self.feature.nullable and values.dtype.kind == "f":
            bad = bad & ~numpy.isnan(values)
        if bad.any():
            rows = numpy.flatnonzero(bad)[:LIMIT].tolist()
            raise ColumnRefused([self._problem(row, values[row].item()) for row in rows])
        return taken

    def _converted(self, numpy: Any, values: Any, datatype: str) -> tuple[Any, Any]:
        """The values in the feature's dtype, and where they do not fit it."""
        dtype, kind = self.feature.dtype, values.dtype.kind
        if dtype in FLOATS and kind in "iuf":
            with numpy.errstate(over="ignore"):
                taken = values.astype(dtype)
            return taken, ~numpy.isfinite(taken)
        if dtype in INTEGERS and kind in "iuf":
            return _whole(numpy, values, dtype)
        if dtype == "any" or (dtype == "bool" and kind == "b"):
            return values.copy(), ~numpy.isfinite(values)
        raise ColumnRefused([self._mismatch(datatype)])

    def _objects(self, values: list[Any], datatype: str) -> list[Any]:
        if self.feature.dtype not in OF_OBJECTS:
            raise ColumnRefused([self._mismatch(datatype)])
        if set(map(type, values)) <= self.check.plain:
            return values
        taken: list[Any] = []
        problems = list(islice(self._refused(values, taken), LIMIT))
        if problems:
            raise ColumnRefused(problems)
        return taken

    def _refused(self, values: list[Any], taken: list[Any]) -> Iterator[Problem]:
        for row, value in enumerate(values):
            try:
                taken.append(self.check.accept(value))
            except Refused:
                yield self._problem(row, value)

    def _problem(self, row: int, value: Any) -> Problem:
        said = f"got {described(value)}"
        try:
            self.check.accept(value)
        except Refused as refused:
            said = "got bytes that are not UTF-8" if isinstance(value, bytes) else str(refused)
        expected = self.check.expected
        message = f'row {row}, feature "{self.feature.name}": expected {expected}, {said}'
        return Problem(row, self.feature.name, shown(value), expected, message)

    def _mismatch(self, datatype: str) -> Problem:
        """The whole tensor is of a type that the feature does not take."""
        name, expected = self.feature.name, self.check.expected
        return Problem(None, name, datatype, expected, f'the tensor of "{name}" is {datatype}: expected {expected}')


def _in_row(problem: Problem, row: int | None) -> Problem:
    return replace(problem, row=row, message=problem.message.replace(f"row {problem.row},", f"row {row},", 1))


def _place(numbered: tuple[int | None, Problem]) -> int:
    return -1 if numbered[0] is None else numbered[0]


def _whole(numpy: Any, values: Any, dtype: str) -> tuple[Any, Any]:
    """Whole numbers within the dtype's range; floats that are whole count, as in JSON."""
    limits = numpy.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    if values.dtype.kind != "f":
        return values.astype(dtype), (values < low) | (values > high)
    exact = values.astype("float64")
    # 2.0 ** 63 is no int64, and float(2 ** 63 - 1) is 2.0 ** 63
    bad = ~((exact >= low) & (exact < float(high + 1))) | (exact != numpy.trunc(exact))
    return (exact, bad) if bad.any() else (values.astype(dtype), bad)
