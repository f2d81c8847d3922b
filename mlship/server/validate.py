"""Rows as they came, checked against the signature: a table of columns, or every problem that was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from mlship.server.manifest import Feature, Signature
from mlship.server.problems import LIMIT, InputError, Problem, described, shown
from mlship.server.values import Check, Refused, check_for, near

NUMBERS = frozenset((float, int))
FLOATS = frozenset(("float64", "float32", "float16"))


@dataclass(frozen=True, slots=True)
class Table:
    """Checked rows, either way round.

    numbers: rows of plain numbers, whose finiteness and range the container still has to look at (None: read columns).
    columns: one sequence of values for each feature, in the signature's order; null is None.
    """

    count: int
    numbers: Sequence[Sequence[float]] | None
    columns: Sequence[Sequence[Any]]


class Validator:
    """Judges rows by a signature. Built once; `table` is called for each request."""

    def __init__(self, signature: Signature) -> None:
        self._features = signature.inputs
        self._names = [feature.name for feature in signature.inputs]
        self._known = frozenset(self._names)
        self._checks: list[Check] = [check_for(feature) for feature in signature.inputs]
        self._all_numbers = bool(signature.inputs) and all(_is_free_float(feature) for feature in signature.inputs)

    def table(self, instances: Any) -> Table:
        """instances: the rows: lists in the signature's order, objects by feature name, or bare values for one feature.

        Raises InputError: 400 when it is not a list of rows, 422 with up to 20 problems.
        """
        self.require_rows(instances)
        if self._all_numbers and self._are_number_rows(instances):
            return Table(len(instances), instances, ())
        return self.exact_table(instances)

    def exact_table(self, instances: list[Any]) -> Table:
        """As `table`, but each value is looked at. Raises InputError with status 422."""
        problems: list[Problem] = []
        columns = self._columns(instances, problems)
        if problems:
            raise InputError(422, problems)
        checked = [self._checked(index, column, problems) for index, column in enumerate(columns)]
        if problems:
            raise InputError(422, sorted(problems, key=lambda problem: problem.row or 0)[:LIMIT])
        return Table(len(instances), None, checked)

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

    def _columns(self, instances: list[Any], problems: list[Problem]) -> list[Sequence[Any]]:
        first = type(instances[0])
        if first is list:
            self._check_lists(instances, problems)
            return [] if problems else list(zip(*instances, strict=True))
        if first is dict:
            self._check_objects(instances, problems)
            return [] if problems else [[row[name] for row in instances] for name in self._names]
        self._check_bare(instances, problems)
        return [] if problems else [instances]

    def _check_lists(self, instances: list[Any], problems: list[Problem]) -> None:
        width = len(self._names)
        for index, row in enumerate(instances):
            if type(row) is not list:
                problems.append(_mixed(index, row, "a list, as in row 0"))
            elif len(row) != width:
                order = ", ".join(self._names[:20]) + (", ..." if width > 20 else "")
                message = f"row {index} has {len(row)} values; the model takes {width}: {order}"
                problems.append(Problem(index, None, len(row), f"{width} values", message))
            if len(problems) >= LIMIT:
                return

    def _check_objects(self, instances: list[Any], problems: list[Problem]) -> None:
        for index, row in enumerate(instances):
            if type(row) is not dict:
                problems.append(_mixed(index, row, "an object, as in row 0"))
            elif row.keys() != self._known:
                problems.extend(self._wrong_names(index, row)[: LIMIT - len(problems)])
            if len(problems) >= LIMIT:
                return

    def _wrong_names(self, index: int, row: dict[str, Any]) -> list[Problem]:
        extra = [name for name in row if name not in self._known][:LIMIT]
        missing = [
            (feature, check) for feature, check in zip(self._features, self._checks, strict=True) if feature.name not in row
        ]
        found = [
            Problem(
                index,
                shown(name),
                shown(row[name]),
                "no such feature",
                f'row {index} has a feature "{shown(name)}" that the model does not know{near(name, self._names)}',
            )
            for name in extra
        ]
        for feature, check in missing[:LIMIT]:
            hint = "; send null for a missing value" if feature.nullable else ""
            message = f'row {index} lacks the feature "{feature.name}": expected {check.expected}{hint}'
            found.append(Problem(index, feature.name, None, check.expected, message))
        return found

    def _check_bare(self, instances: list[Any], problems: list[Problem]) -> None:
        if len(self._names) != 1:
            form = f"a list of {len(self._names)} values or an object by feature name"
            for index, row in enumerate(instances[:LIMIT]):
                problems.append(Problem(index, None, shown(row), form, f"row {index}: expected {form}, got {described(row)}"))
            return
        for index, row in enumerate(instances):
            if type(row) in (list, dict):
                problems.append(_mixed(index, row, "a bare value, as in row 0"))
            if len(problems) >= LIMIT:
                return

    def _checked(self, index: int, column: Sequence[Any], problems: list[Problem]) -> Sequence[Any]:
        """The column as the model takes it; what does not fit is added to problems, until there are enough."""
        check = self._checks[index]
        kinds = set(map(type, column))
        if kinds <= check.plain and not (float in kinds and not _all_finite(column)):
            return column
        taken: list[Any] = []
        found = 0
        for row, value in enumerate(column):
            try:
                taken.append(check.accept(value))
            except Refused as refused:
                problems.append(_misfit(row, self._features[index], value, check, refused))
                found += 1
                if found >= LIMIT:
                    break
        return taken


def _is_free_float(feature: Feature) -> bool:
    return feature.dtype in FLOATS and feature.categories is None


def _all_finite(column: Sequence[Any]) -> bool:
    return all(isfinite(value) for value in column if type(value) is float)


def _mixed(index: int, row: Any, expected: str) -> Problem:
    return Problem(index, None, shown(row), expected, f"row {index}: expected {expected}, got {described(row)}")


def _misfit(row: int, feature: Feature, value: Any, check: Check, refused: Refused) -> Problem:
    message = f'row {row}, feature "{feature.name}": expected {check.expected}, {refused}'
    return Problem(row, feature.name, shown(value), check.expected, message)
