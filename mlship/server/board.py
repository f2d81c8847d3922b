"""Numbers that the supervisor and its workers share: fixed cells in memory that they inherit, without locks.

Each cell has one writer. A worker's cells stay when it dies, so that its successor in the slot goes on counting.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlship.server.monitoring.drift_window import Windows

STATUSES = (200, 400, 401, 403, 404, 405, 408, 413, 415, 417, 422, 429, 431, 500, 503, 504)
CLASSES = ("2xx", "3xx", "4xx", "5xx")
# Why a request was turned away before any work was done for it; what is in no class of its own is `other`.
REASONS = (
    "overload",
    "deadline",
    "connections",
    "limit",
    "malformed",
    "timeout",
    "unauthorized",
    "forbidden",
    "other",
)

# upper bounds; a histogram has one cell for each, one beyond the last, and the sum
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0)  # rows
HISTOGRAM = len(BUCKETS) + 2
_TOTAL = HISTOGRAM - 1
_SIZED = len(SIZES) + 2

READY, DRAINING = 1.0, 2.0  # states of a worker; 0 while it starts

# cells of the supervisor
OPEN, STARTED, RESTARTS, RETIRED_CPU, BOSS_CPU, BOSS_RSS, FAILING = range(7)
SHARED = 7
# cells of a worker; the counters follow: refusals, then those of each model, then those of each route
PID, STATE, BEAT, ACCEPTING, CPU, RSS, IN_FLIGHT, CONNECTIONS = range(8)
REFUSALS = 8
MODELS = REFUSALS + len(REASONS)
# of a model: rows first
MODEL_TIMES = 1
QUEUE_TIMES = MODEL_TIMES + HISTOGRAM
BATCH_ROWS = QUEUE_TIMES + HISTOGRAM
PER_MODEL = BATCH_ROWS + _SIZED
# of a route: counts by status, others last, then a histogram of seconds for each class
OF_STATUS = {status: index for index, status in enumerate(STATUSES)}
LATENCIES = len(STATUSES) + 1
PER_ROUTE = LATENCIES + len(CLASSES) * HISTOGRAM


def _cells_of(status: int) -> tuple[int, int]:
    """Of a route's: the count, and where the histogram begins. Interim answers are never counted."""
    kind = min(max(status // 100 - 2, 0), len(CLASSES) - 1)
    return OF_STATUS.get(status, len(STATUSES)), LATENCIES + kind * HISTOGRAM


_CELLS = {status: _cells_of(status) for status in range(100, 600)}


class Board:
    """The cells of one server: made by the supervisor before it forks."""

    def __init__(self, workers: int, routes: int, models: int = 1, counts: bool = True) -> None:
        """routes: how many are counted apart, the one for unknown paths included. counts: False leaves all counters at zero."""
        self.workers = workers
        self.routes = routes
        self.models = models
        self._kind = Slot if counts else Uncounted
        self._width = MODELS + models * PER_MODEL + routes * PER_ROUTE
        self.windows: Windows | None = None  # of models with a reference, once somebody counts their rows
        self.cells = memoryview(mmap.mmap(-1, 8 * (SHARED + workers * self._width))).cast("d")

    def slot(self, index: int) -> Slot:
        """The cells of one worker."""
        start = SHARED + index * self._width
        return self._kind(self.cells[start : start + self._width], self.models)

    def slots(self) -> Iterator[Slot]:
        """The cells of all workers."""
        return (self.slot(index) for index in range(self.workers))

    @property
    def is_accepting(self) -> bool:
        """True when every worker takes new connections on the public sockets."""
        return all(slot.cells[ACCEPTING] for slot in self.slots())


class Slot:
    """One worker's cells, with the ways to count in them. None takes a lock, allocates or fails: 0.2 to 0.6 us a call."""

    def __init__(self, cells: memoryview[float], models: int) -> None:
        self.cells = cells
        self._routes = MODELS + models * PER_MODEL

    def count_request(self, route: int, status: int, seconds: float) -> None:
        """One answered request. seconds: from its last byte to its answer. Statuses beyond STATUSES are counted together."""
        cells = self.cells
        start = self._routes + route * PER_ROUTE
        count, histogram = _CELLS[status]
        cells[start + count] += 1
        start += histogram
        cells[start + bisect_left(BUCKETS, seconds)] += 1
        cells[start + _TOTAL] += seconds

    def count_answers(self, route: int, started: Sequence[float], now: float) -> None:
        """As `count_request` for requests that are answered with 200 at once. started: when each had come, in that order."""
        cells = self.cells
        count = len(started)
        start = self._routes + route * PER_ROUTE
        cells[start + OF_STATUS[200]] += count
        start += LATENCIES
        cells[start + _TOTAL] += now * count - sum(started)
        index = bisect_left(BUCKETS, now - started[-1])  # the newest has waited least
        left = count
        while left:
            below = bisect_left(started, now - BUCKETS[index], 0, left) if index < len(BUCKETS) else 0
            cells[start + index] += left - below
            left, index = below, index + 1

    def count_batch(self, requests: int, rows: int, waited_s: float, model_s: float, model: int = 0) -> None:
        """One call of the model for so many requests. waited_s: from a request's last byte to the call, their mean.

        model: its place in the manifest.
        """
        cells = self.cells
        start = MODELS + model * PER_MODEL
        cells[start] += rows
        start += MODEL_TIMES
        cells[start + bisect_left(BUCKETS, model_s)] += 1
        cells[start + _TOTAL] += model_s
        start += HISTOGRAM
        cells[start + bisect_left(BUCKETS, waited_s)] += requests
        cells[start + _TOTAL] += waited_s * requests
        start += HISTOGRAM
        cells[start + bisect_left(SIZES, rows)] += 1
        cells[start + _SIZED - 1] += rows

    def count_refusal(self, reason: str) -> None:
        """One request that was turned away; reason: one of REASONS, counted as `other` when it is none."""
        self.cells[REFUSALS + _REASON.get(reason, len(REASONS) - 1)] += 1

    def requests(self, route: int) -> list[float]:
        """Answers of a route by status, in the order of STATUSES, others last."""
        start = self._routes + route * PER_ROUTE
        return list(self.cells[start : start + LATENCIES])

    def latencies(self, route: int, kind: int) -> list[float]:
        """Of a route's answers whose status is in CLASSES[kind], as `histogram` gives them, in seconds."""
        return self._histogram(self._routes + route * PER_ROUTE + LATENCIES + kind * HISTOGRAM, HISTOGRAM)

    def refusals(self) -> list[float]:
        """In the order of REASONS."""
        return list(self.cells[REFUSALS:MODELS])

    def rows(self, model: int = 0) -> float:
        """Rows that a model answered."""
        return self.cells[MODELS + model * PER_MODEL]

    def model_times(self, model: int = 0) -> list[float]:
        """Seconds of a model's calls."""
        return self._histogram(MODELS + model * PER_MODEL + MODEL_TIMES, HISTOGRAM)

    def queue_times(self, model: int = 0) -> list[float]:
        """Seconds that requests waited for a model."""
        return self._histogram(MODELS + model * PER_MODEL + QUEUE_TIMES, HISTOGRAM)

    def batch_rows(self, model: int = 0) -> list[float]:
        """Rows of a model's calls."""
        return self._histogram(MODELS + model * PER_MODEL + BATCH_ROWS, _SIZED)

    def reset(self) -> None:
        """Forgets what was true of a worker that is gone; what it counted stays."""
        for cell in (PID, STATE, BEAT, ACCEPTING, CPU, RSS, IN_FLIGHT, CONNECTIONS):
            self.cells[cell] = 0.0

    def _histogram(self, start: int, width: int) -> list[float]:
        """Counts by bucket (not cumulative), the one beyond the last bound, and the sum."""
        return list(self.cells[start : start + width])


class Uncounted(Slot):
    """A worker's cells with MLSHIP_METRICS=0: what the supervisor needs is there, and nothing is counted."""

    def count_request(self, route: int, status: int, seconds: float) -> None:
        pass

    def count_answers(self, route: int, started: Sequence[float], now: float) -> None:
        pass

    def count_batch(self, requests: int, rows: int, waited_s: float, model_s: float, model: int = 0) -> None:
        pass

    def count_refusal(self, reason: str) -> None:
        pass


_REASON = {reason: index for index, reason in enumerate(REASONS)}
