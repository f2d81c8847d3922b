"""What is asked of a model before the first caller comes: lazy parts load, the cost line starts, joining is tried.

Drain batching is right only for a model that answers each row by that row alone. So rows are answered alone and joined, and where
the answers differ (a step over the whole batch, a random part) every request of that model is computed by itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from mlship.server.core import Batch, NotJoined, ServedModel
from mlship.server.monitoring import log
from mlship.server.problems import InputError, ModelFailed

ALONE = 3  # rows that are answered alone; a model that mixes rows shows it in two
SLOW_S = 0.5  # a model that takes so long for a row is measured by fewer calls
MANY = 64  # rows of the call that shows what a row costs
# An answer may differ in its last digits with the size of the batch: BLAS adds in another order (float32: 7 digits).
RTOL, ATOL = 1e-4, 1e-6

Learn = Callable[[int, float], None]


def warm_up(model: ServedModel, learn: Learn) -> None:
    """Asks the model its sample. learn: told rows and seconds of each call after the first, which also loads what is lazy."""
    if not model.entry.sample:
        if model.entry.framework == "python":
            model.join_no_more("it has no model.sample that could show whether its rows are answered one by one")
        return
    try:
        rows = _rows(model)
        first_s = _timed(model, model.prepare(rows[:1]))
        if first_s < SLOW_S:
            first_s = _timed(model, model.prepare(rows[:1]))
        learn(1, first_s)
        _try_joined(model, rows[:ALONE] if first_s < SLOW_S else rows[:2])
        if first_s < SLOW_S:
            many = [*rows, *rows[:1] * (MANY - len(rows))][:MANY]
            learn(MANY, _timed(model, model.prepare(many)))
    except Exception as error:
        log.failure("warm_up_failed", error, model=model.entry.name)


def _timed(model: ServedModel, batch: Batch) -> float:
    started = time.perf_counter()
    model.run(batch)
    return time.perf_counter() - started


def _rows(model: ServedModel) -> list[Any]:
    """The sample, with a row that differs from the first where it holds only one: equal rows hide what depends on the others."""
    rows = list(model.entry.sample)
    return [*rows, *_varied(model, rows[0])] if len(rows) == 1 else rows


def _varied(model: ServedModel, row: Any) -> list[Any]:
    """The row with its numbers moved, where the model takes it."""
    varied = _moved(row)
    if varied == row:
        return []
    try:
        model.run(model.prepare([varied]))
    except (InputError, ModelFailed):
        return []
    return [varied]


def _moved(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _moved(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_moved(item) for item in value]
    return value * 1.5 + 1 if type(value) is float else value


def _try_joined(model: ServedModel, rows: Sequence[Any]) -> None:
    batches = [model.prepare([row]) for row in (rows if len(rows) > 1 else [*rows, *rows])]
    batches = [batch for batch in batches if batch.kind == batches[0].kind]
    if len(batches) < 2:
        return
    alone = [model.run(batch) for batch in batches]
    try:
        joined = model.run_joined(batches)
    except NotJoined as error:
        model.join_no_more(f"the sample's rows are answered alone, but not together: {error}")
        return
    if not all(map(are_close, alone, joined)):
        model.join_no_more("the sample's rows are answered otherwise together than alone")


def are_close(first: Any, second: Any) -> bool:
    """True for equal values in JSON's types; floats may differ by RTOL and ATOL."""
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=RTOL, abs_tol=ATOL)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(are_close, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(are_close(first[name], second[name]) for name in first)
    return bool(first == second)
