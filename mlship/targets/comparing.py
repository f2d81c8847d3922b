"""How far a new release's predictions are from those of the one before: a wrong model throws no errors. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mlship.targets.base import Answer


def prediction_change(before: Answer, after: Answer) -> float | None:
    """How far two answers to the same rows are apart; None where one of them is no list of predictions of that length.

    Labels (texts, whole numbers, booleans): the share of rows that differ. Numbers: mean |after - before| / mean |before|.
    """
    old, new = _predictions(before), _predictions(after)
    if not old or new is None or len(old) != len(new):
        return None
    numbers = [_numbers(row) for row in (*old, *new)]
    shapes = {len(row) for row in numbers if row is not None}
    if any(row is None for row in numbers) or len(shapes) != 1:
        return _share_that_differs(old, new)
    flat = [value for row in numbers if row is not None for value in row]
    was, now = flat[: len(flat) // 2], flat[len(flat) // 2 :]
    scale = sum(map(abs, was))
    moved = sum(abs(one - other) for one, other in zip(was, now, strict=True))
    return moved / scale if scale else _share_that_differs(old, new)


def _predictions(answer: Answer) -> list[Any] | None:
    if answer.status != 200:
        return None
    try:
        body = json.loads(answer.body)
    except ValueError:
        return None
    found = body.get("predictions") if isinstance(body, Mapping) else None
    return found if isinstance(found, list) else None


def _numbers(row: Any) -> list[float] | None:
    """The numbers of a row that has at least one with a fraction's type; None for labels and for what has gaps."""
    leaves = list(_leaves(row))
    if not any(isinstance(leaf, float) for leaf in leaves):
        return None
    if not all(isinstance(leaf, float | int) and not isinstance(leaf, bool) for leaf in leaves):
        return None
    return [float(leaf) for leaf in leaves]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _leaves(value[key])
    elif isinstance(value, list):
        for entry in value:
            yield from _leaves(entry)
    else:
        yield value


def _share_that_differs(old: list[Any], new: list[Any]) -> float:
    return sum(1 for one, other in zip(old, new, strict=True) if one != other) / len(old)
