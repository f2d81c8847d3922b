"""What is wrong with rows that were refused: row by row, each problem with its place, up to a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from mlship.server.input.checks import Check, Refused
from mlship.server.input.extras import NO_EXTRAS, Extras
from mlship.server.manifest import Feature
from mlship.server.problems import LIMIT, Problem, described, near, shown

NAMED = 20  # features named in one message


class Diagnosis:
    """Names problems by the features and checks of a signature."""

    def __init__(self, inputs: Sequence[Feature], checks: Sequence[Check], extras: Extras = NO_EXTRAS) -> None:
        self._extras = extras
        self._pairs = list(zip(inputs, checks, strict=True))
        self._names = [feature.name for feature in inputs]
        self._known = frozenset(self._names)

    def problems(self, instances: list[Any]) -> list[Problem]:
        """The first problems in the order of the rows, at most LIMIT. The first row says which form all must have."""
        form = type(instances[0]) if type(instances[0]) in (list, dict) else object
        found = (problem for index, row in enumerate(instances) for problem in self._of_row(index, row, form))
        return list(islice(found, LIMIT))

    def _of_row(self, index: int, row: Any, form: type) -> Iterator[Problem]:
        if form is object:
            yield from self._of_bare(index, row)
        elif type(row) is not form:
            yield _mixed(index, row, "a list, as in row 0" if form is list else "an object, as in row 0")
        elif isinstance(row, list):
            yield from self._of_list(index, row)
        elif isinstance(row, dict):
            yield from self._of_object(index, row)

    def _of_list(self, index: int, row: list[Any]) -> Iterator[Problem]:
        width = len(self._names)
        if len(row) != width:
            order = ", ".join(self._names[:NAMED]) + (", ..." if width > NAMED else "")
            count = f"{len(row)} value{'' if len(row) == 1 else 's'}"
            message = f"row {index} has {count}; the model takes {width}: {order}"
            yield Problem(index, None, len(row), f"{width} values", message)
            return
        for (feature, check), value in zip(self._pairs, row, strict=True):
            yield from _of_value(index, feature, check, value)

    def _of_object(self, index: int, row: dict[str, Any]) -> Iterator[Problem]:
        for name, value in row.items():
            if name not in self._known and not self._extras.may_be((name,)):
                hint = near(name, self._names)
                message = f'row {index} has a feature "{shown(name)}" that the model does not know{hint}'
                yield Problem(index, shown(name), shown(value), "no such feature", message)
        for feature, check in self._pairs:
            if feature.name in row:
                yield from _of_value(index, feature, check, row[feature.name])
                continue
            hint = "; send null for a missing value" if feature.nullable else ""
            message = f'row {index} lacks the feature "{feature.name}": expected {check.expected}{hint}'
            yield Problem(index, feature.name, None, check.expected, message)

    def _of_bare(self, index: int, row: Any) -> Iterator[Problem]:
        if len(self._names) != 1:
            form = f"a list of {len(self._names)} values or an object by feature name"
            yield Problem(index, None, shown(row), form, f"row {index}: expected {form}, got {described(row)}")
        elif type(row) in (list, dict):
            yield _mixed(index, row, "a bare value, as in row 0")
        else:
            yield from _of_value(index, *self._pairs[0], row)


def _of_value(index: int, feature: Feature, check: Check, value: Any) -> Iterator[Problem]:
    try:
        check.accept(value)
    except Refused as refused:
        message = f'row {index}, feature "{feature.name}": expected {check.expected}, {refused}'
        yield Problem(index, feature.name, shown(value), check.expected, message)


def _mixed(index: int, row: Any, expected: str) -> Problem:
    return Problem(index, None, shown(row), expected, f"row {index}: expected {expected}, got {described(row)}")
