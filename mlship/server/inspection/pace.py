"""How long a model takes for one row, in the process that looks at it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from mlship.server.core import ServedModel
from mlship.server.problems import InputError, ModelFailed

ROWS = 20  # of the sample that are tried one by one
ENOUGH_S = 0.1  # after that no further row is begun


def row_seconds(model: ServedModel, rows: Sequence[Any]) -> float:
    """Seconds from one row to its answer: the mean over the first rows of the fastest try of each.

    rows: that the model has answered together. 0 where it answers none of the first alone: nothing can be told of it then.
    """
    best: dict[int, float] = {}
    started = time.perf_counter()
    while not best or time.perf_counter() - started < ENOUGH_S:
        for place, row in enumerate(rows[:ROWS]):
            if best and time.perf_counter() - started > ENOUGH_S:
                break
            began = time.perf_counter()
            try:
                model.answer([row])
            except (InputError, ModelFailed):
                return 0.0
            best[place] = min(best.get(place, float("inf")), time.perf_counter() - began)
    return sum(best.values()) / len(best)
