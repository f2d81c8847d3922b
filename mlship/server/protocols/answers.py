"""Answers of the platforms whose envelope has one list of predictions and nothing beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlship.server.core import ServedModel
from mlship.server.messages import Response, answered


def predictions(model: ServedModel) -> Callable[[dict[str, Any]], Response]:
    """`{"predictions": [...]}`, one entry a row."""
    listed = entries(model)
    return lambda answer: answered({"predictions": listed(answer)})


def bare(model: ServedModel) -> Callable[[dict[str, Any]], Response]:
    """`[...]`, one entry a row."""
    listed = entries(model)
    return lambda answer: answered(listed(answer))


def entries(model: ServedModel) -> Callable[[dict[str, Any]], list[Any]]:
    """What stands for each row: the prediction; an object by name where serve.outputs or serve.passthrough names more."""
    if not model.entry.outputs and not model.entry.passthrough:
        return lambda answer: list(answer["predictions"])
    return lambda answer: [dict(zip(answer, row, strict=True)) for row in zip(*answer.values(), strict=True)]
