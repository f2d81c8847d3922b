"""Numbers that the supervisor and its workers share: fixed cells in memory that they inherit, without locks.

Each cell has one writer. A worker's cells stay when it dies, so that its successor in the slot goes on counting.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterator

STATUSES = (200, 400, 404, 405, 408, 413, 415, 417, 422, 431, 500, 503, 504)
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds, upper bounds
HISTOGRAM = len(BUCKETS) + 2  # one beyond the last bound, and the sum

STARTING, READY, DRAINING = 0.0, 1.0, 2.0

# cells of the supervisor
OPEN, STARTED, DRAIN, WORKERS, RESTARTS, RETIRED_CPU, BOSS_CPU, BOSS_RSS = range(8)
SHARED = 8
# cells of a worker; the counters follow
PID, STATE, BEAT, ACCEPTING, CPU, RSS, IN_FLIGHT, CONNECTIONS, ROWS = range(9)
MODEL = 9
OWN = MODEL + HISTOGRAM


class Board:
    """The cells of one server: made by the supervisor before it forks."""

    def __init__(self, workers: int, routes: int) -> None:
        """routes: how many are counted apart, the one for unknown paths included."""
        self.workers = workers
        self.routes = routes
        self._per_route = len(STATUSES) + 1 + HISTOGRAM
        self._width = OWN + routes * self._per_route
        self.cells = memoryview(mmap.mmap(-1, 8 * (SHARED + workers * self._width))).cast("d")
        self.cells[WORKERS] = workers

    def slot(self, index: int) -> Slot:
        """The cells of one worker."""
        start = SHARED + index * self._width
        return Slot(self.cells[start : start + self._width], self._per_route)

    def slots(self) -> Iterator[Slot]:
        """The cells of all workers."""
        return (self.slot(index) for index in range(self.workers))

    @property
    def is_accepting(self) -> bool:
        """True when every worker takes new connections on the public sockets."""
        return all(slot.cells[ACCEPTING] for slot in self.slots())


class Slot:
    """One worker's cells, with the ways to count in them."""

    def __init__(self, cells: memoryview[float], per_route: int) -> None:
        self.cells = cells
        self._per_route = per_route

    def count_request(self, route: int, status: int, seconds: float) -> None:
        """One answered request. Statuses that are not in the table are counted together."""
        start = OWN + route * self._per_route
        self.cells[start + _STATUS.get(status, len(STATUSES))] += 1
        self._observe(start + len(STATUSES) + 1, seconds)

    def count_model(self, rows: int, seconds: float) -> None:
        """One call of the model."""
        self.cells[ROWS] += rows
        self._observe(MODEL, seconds)

    def requests(self, route: int) -> list[float]:
        """Answers of a route by status, in the order of STATUSES, others last."""
        start = OWN + route * self._per_route
        return list(self.cells[start : start + len(STATUSES) + 1])

    def latencies(self, route: int) -> list[float]:
        """Counts of a route by bucket (not cumulative), the one beyond the last bound, and the sum in seconds."""
        start = OWN + route * self._per_route + len(STATUSES) + 1
        return list(self.cells[start : start + HISTOGRAM])

    def model_times(self) -> list[float]:
        """As `latencies`, of the model's calls."""
        return list(self.cells[MODEL : MODEL + HISTOGRAM])

    def reset(self) -> None:
        """Forgets what was true of a worker that is gone; what it counted stays."""
        for cell in (PID, STATE, BEAT, ACCEPTING, CPU, RSS, IN_FLIGHT, CONNECTIONS):
            self.cells[cell] = 0.0

    def _observe(self, start: int, seconds: float) -> None:
        self.cells[start + bisect_left(BUCKETS, seconds)] += 1
        self.cells[start + HISTOGRAM - 1] += seconds


_STATUS = {status: index for index, status in enumerate(STATUSES)}
