"""Rows as they came, judged by the signature: a table of checked columns, or every problem by name."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from mlship.server.input.checks import Check, Refused, check_for, shape_of
from mlship.server.input.diagnose import Diagnosis
from mlship.server.input.dtypes import FLOATS
from mlship.server.input.extras import NO_EXTRAS, Extras
from mlship.server.manifest import Feature, Signature
from mlship.server.problems import InputError, described

NUMBERS = frozenset((float, int))


@dataclass(slots=True)  # not frozen: that makes it three times as dear, for each request
class Table:
    """Checked rows in one of several forms; the tables of several requests become one batch.

    numbers: rows of plain numbers, whose finiteness and range the container still has to look at.
    columns: one sequence of values for each feature, in the signature's order; null is None.
    packed: float64 in the machine's order, row after row, each finite; only in place of `instances`, for models of floats alone.
    array: numpy, (count, features), of numbers whose finiteness and range the container still has to look at.
    instances: the rows as they came, where the model wants them so, or where they are looked at again.
    """

    count: int
    numbers: Sequence[Sequence[float]] | None = None
    columns: Sequence[Sequence[Any]] = ()
    array: Any = None
    instances: Any = None
    packed: bytes | None = None


class Validator:
    """Judges rows by a signature. Built once; `table` is called for each request.

    Good rows are judged a column at a time; only what is wrong somewhere is looked at row by row, to name all of it.
    """

    def __init__(self, signature: Signature, extras: Extras = NO_EXTRAS) -> None:
        """extras: what rows may hold beside the features."""
        self._extras = extras
        self._names = [feature.name for feature in signature.inputs]
        self._known = frozenset(self._names)
        self._checks: list[Check] = [check_for(feature) for feature in signature.inputs]
        # arrays and frames judge plain numbers in one step of numpy; lists are built of nothing
        self._depth = len(signature.inputs[0].shape) if len(signature.inputs) == 1 else 0
        self.all_numbers = signature.container != "list" and all(_is_free_float(feature) for feature in signature.inputs)
        self._diagnosis = Diagnosis(signature.inputs, self._checks, extras)

    def table(self, instances: Any) -> Table:
        """instances: the rows: lists in the signature's order, objects by feature name, or bare values for one feature.

        Raises InputError: 400 when it is not a list of rows, 422 with up to 20 problems.
        """
        self.require_rows(instances)
        if not self._names:
            return Table(len(instances), instances=instances)
        if self._depth and len(shape_of(instances[0], self._depth + 1)) == self._depth:
            instances = [[row] for row in instances]  # bare values of the one feature, which are lists themselves
        if self.all_numbers and self._are_number_rows(instances):
            return Table(len(instances), instances, instances=instances)
        return self.exact_table(instances)

    def exact_table(self, instances: list[Any]) -> Table:
        """As `table`, but every value is looked at. Raises InputError."""
        self.require_rows(instances)
        if not self._names:
            return Table(len(instances), instances=instances)
        columns = self._columns(instances)
        if columns is None:
            raise InputError(422, self._diagnosis.problems(instances))
        try:
            checked = [_checked(check, column) for check, column in zip(self._checks, columns, strict=True)]
        except Refused:
            raise InputError(422, self._diagnosis.problems(instances)) from None
        return Table(len(instances), None, checked, instances=instances)

    def packer(self) -> struct.Struct | None:
        """Writes the numbers of a row as float64; None where rows hold anything else."""
        return struct.Struct(f"{len(self._names)}d") if self.all_numbers and self._names else None

    @staticmethod
    def require_rows(instances: Any) -> None:
        """Raises InputError(400) unless it is a list with at least one row."""
        if not isinstance(instances, list):
            raise InputError(400, message=f"instances must be a list of rows, got {described(instances)}")
        if not instances:
            raise InputError(400, message="instances is empty; send at least one row")

    def _are_number_rows(self, instances: list[Any]) -> bool:
        """True for rows that are lists of the right length and hold nothing but int and float (no bool, no null)."""
        width = len(self._names)
        kinds: set[type] = set()
        for row in instances:
            if type(row) is not list or len(row) != width:
                return False
            kinds.update(map(type, row))
        return kinds <= NUMBERS

    def _columns(self, instances: list[Any]) -> list[Sequence[Any]] | None:
        """The rows turned into columns; None when a row has the wrong form, length or names."""
        first = type(instances[0])
        width = len(self._names)
        if first is list:
            fits = all(type(row) is list and len(row) == width for row in instances)
            return list(zip(*instances, strict=True)) if fits else None
        if first is dict:
            fits = all(type(row) is dict and (row.keys() == self._known or self._has_all(row)) for row in instances)
            return [[row[name] for row in instances] for name in self._names] if fits else None
        fits = width == 1 and not any(type(row) in (list, dict) for row in instances)
        return [instances] if fits else None

    def _has_all(self, row: dict[str, Any]) -> bool:
        """True when the row has every feature, and beside them only what it may."""
        return row.keys() >= self._known and self._extras.may_be(row.keys() - self._known)


def _checked(check: Check, column: Sequence[Any]) -> Sequence[Any]:
    """The column as the model takes it. Raises Refused at the first value that does not fit."""
    kinds = set(map(type, column))
    if kinds <= check.plain and (kinds.isdisjoint(NUMBERS) or _all_finite(column)):
        return column
    return list(map(check.accept, column))


def _is_free_float(feature: Feature) -> bool:
    return feature.dtype in FLOATS and feature.categories is None and not feature.shape


def _all_finite(column: Sequence[Any]) -> bool:
    try:
        return all(isfinite(value) for value in column if type(value) in NUMBERS)
    except OverflowError:  # an integer that no double can hold
        return False
