"""How long an engine takes for one row and for several: from checked rows to values that JSON has, as for a request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from mlship.server.core import ServedModel

SIZES = (1, 64)  # rows
ROUNDS = 7
ROUND_S = 0.01
ENOUGH_S = 5.0  # after that no further round is begun: calls that take so long differ by less


def call_seconds(models: Sequence[ServedModel], rows: Sequence[Any], size: int) -> list[float]:
    """Seconds of one call of each model, the best of several rounds in turn: whatever else the machine does slows them alike.

    rows: that all of them answer; repeated where there are too few.
    """
    chosen = [rows[at % len(rows)] for at in range(size)]
    prepared = [model.prepare(chosen) for model in models]
    best = [float("inf")] * len(models)
    started = time.perf_counter()
    for turn in range(ROUNDS):
        if turn and time.perf_counter() - started > ENOUGH_S:
            break
        for place, model in enumerate(models):
            calls = max(1, int(ROUND_S / best[place])) if turn else 1
            began = time.perf_counter()
            for _ in range(calls):
                model.run(prepared[place])
            best[place] = min(best[place], (time.perf_counter() - began) / calls)
    return best
