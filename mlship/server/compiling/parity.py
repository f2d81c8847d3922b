"""Whether two engines give the same answers: classes exactly, numbers within the tolerance, refusals where the other refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlship.server.core import ServedModel
from mlship.server.manifest import Tolerance
from mlship.server.problems import InputError, ModelFailed

SHOWN = 200  # characters of a row in a message


@dataclass(frozen=True)
class Parity:
    """rows: how many were asked; refused: of these by both. difference: the largest of two numbers. wrong: why they are not
    equal, for people, with the first row that shows it; empty where they are."""

    rows: int
    refused: int
    difference: float
    wrong: str = ""


def compared(
    original: ServedModel, other: ServedModel, rows: Sequence[Any], tolerance: Tolerance, labels: frozenset[str]
) -> Parity:
    """Each row alone, and all rows that are answered at once. labels: outputs that are classes."""
    refused, largest = 0, 0.0
    answered: list[Any] = []
    for row in rows:
        first, second = _answer(original, [row]), _answer(other, [row])
        if first is None or second is None:
            if first is not second:
                who = "the original refuses" if first is None else "only the original answers"
                return Parity(len(rows), refused, largest, f"{who} {_shown(row)}")
            refused += 1
            continue
        answered.append(row)
        difference = _difference(first, second, tolerance, labels)
        if difference is None:
            return Parity(len(rows), refused, largest, f"{_shown(row)} gets {_shown(second)}, not {_shown(first)}")
        largest = max(largest, difference)
    if not answered:
        return Parity(len(rows), refused, largest, "no row that it was asked has an answer")
    together = _together(original, other, answered, tolerance, labels)
    if together is None:
        return Parity(len(rows), refused, largest, "rows that are asked together get other answers")
    return Parity(len(rows), refused, max(largest, together))


def _together(
    original: ServedModel, other: ServedModel, rows: list[Any], tolerance: Tolerance, labels: frozenset[str]
) -> float | None:
    first, second = _answer(original, rows), _answer(other, rows)
    return None if first is None or second is None else _difference(first, second, tolerance, labels)


def _answer(model: ServedModel, rows: list[Any]) -> Mapping[str, Any] | None:
    """None where the rows, or the model, are refused."""
    try:
        return model.answer(rows)
    except (InputError, ModelFailed):
        return None


def _difference(
    first: Mapping[str, Any], second: Mapping[str, Any], tolerance: Tolerance, labels: frozenset[str]
) -> float | None:
    """The largest difference of two numbers, None where the answers are not the same."""
    if first.keys() != second.keys():
        return None
    largest = 0.0
    for name, values in first.items():
        if name in labels:
            if values != second[name] or [type(value) for value in values] != [type(value) for value in second[name]]:
                return None
            continue
        difference = _of_values(values, second[name], tolerance)
        if difference is None:
            return None
        largest = max(largest, difference)
    return largest


def _of_values(first: Any, second: Any, tolerance: Tolerance) -> float | None:
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        found = [_of_values(one, other, tolerance) for one, other in zip(first, second, strict=True)]
        return None if None in found else max((value for value in found if value is not None), default=0.0)
    if isinstance(first, float) and isinstance(second, float):
        difference = abs(first - second)
        return difference if difference <= tolerance.atol + tolerance.rtol * abs(first) else None
    return 0.0 if type(first) is type(second) and first == second else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."
