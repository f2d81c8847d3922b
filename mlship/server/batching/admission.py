"""Whether new work is taken, and until when its answer is wanted. Pure: numbers in, a decision out.

A queue is bounded by time, not by a count: work that waits longer than its caller does is computed for nobody. As much may wait
as is answered in half of the time that a caller has: capacity x (deadline - service time) / 2 requests. Measured in seconds of
work, which is what the cost line gives, the capacity falls out: one second of work takes one second.

Answers of a joined call leave at its end. So what a request lives through is what is left of the call that runs, the whole calls
before its own, and its own with all that it joins: together two thirds of half of its time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WORST = 4.0  # a wait that was longer by more than this counts as so long: the machine stood still
SHARE = 0.5  # of the time that is left: the estimate may be wrong by as much again before an accepted caller waits in vain
CAUTION = 2 / 3  # of the capacity that was measured: in the next second a machine with neighbours may take half as long again
LONGEST_RETRY_S = 30  # Retry-After; what is told is the time until the queue is short again, and estimates are no promises
KEPT = 0.9  # share of the earlier measurements that stays with each new one
TIMEOUT = "x-request-timeout-ms"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a worker has taken and not answered yet, as one more request meets it.

    rows: that wait or run. seconds: until the call that answers the request. call_s: of that call. alone_s: if it joined nothing.
    """

    rows: int
    seconds: float
    call_s: float = 0.0
    alone_s: float = 0.0


class Overhead:
    """What a request costs beside the model: reading, parsing, checking and answering it. The newest turns count most."""

    def __init__(self) -> None:
        self.each_s = 0.0
        self._requests = self._seconds = 0.0

    def learn(self, requests: int, seconds: float) -> None:
        """So many requests (at least 1) took so long together."""
        self._requests = self._requests * KEPT + requests
        self._seconds = self._seconds * KEPT + max(0.0, seconds)
        self.each_s = self._seconds / self._requests


class Correction:
    """How much longer callers waited than was expected when they were let in; the newest count most.

    The cost lines know nothing of what the turning away of the others costs, nor of neighbours on the machine.
    """

    def __init__(self) -> None:
        self.factor = 1.0
        self._expected = self._waited = 0.0

    def learn(self, expected_s: float, waited_s: float) -> None:
        """Sums over the callers of one call."""
        self._expected = self._expected * KEPT + expected_s
        self._waited = self._waited * KEPT + min(waited_s, WORST * expected_s)
        self.factor = max(1.0, self._waited / self._expected)


def allowed_s(left_s: float, call_s: float = 0.0, alone_s: float = 0.0) -> float:
    """Seconds of work that may be before a request that has `left_s` seconds left. call_s, alone_s: see Backlog.

    A request that takes long alone may wait for one more like it, however little is left then: the model would stand still between
    two of them otherwise.
    """
    return max(0.0, min((left_s - alone_s) * SHARE, max(left_s * SHARE * CAUTION - call_s, alone_s)))


def longest_call_s(timeout_s: float) -> float:
    """Seconds that a joined call should take at most, of requests with so much time: they live through the one before it, too."""
    return timeout_s * SHARE * CAUTION / 2


def retry_after_s(backlog: Backlog, left_s: float) -> int | None:
    """None when the request is taken; else after how many seconds the queue will be short enough, at least 1.

    Who has nothing to do refuses nothing: a cost that was measured wrong would otherwise never be measured again.
    """
    if backlog.rows <= 0:
        return None
    excess = backlog.seconds - allowed_s(left_s, backlog.call_s, backlog.alone_s)
    if excess <= 0:
        return None
    return LONGEST_RETRY_S if excess >= LONGEST_RETRY_S else max(1, math.ceil(excess))


def timeout_s(given: str | None, configured_s: float) -> float:
    """Seconds that a caller waits: X-Request-Timeout-Ms where it is sent, never more than serve.request_timeout.

    Raises ValueError with the message for the caller.
    """
    if given is None:
        return configured_s
    if not (given.isascii() and given.isdigit() and len(given) <= 10 and int(given) > 0):
        raise ValueError(f"X-Request-Timeout-Ms is {given[:40]!r}; write whole milliseconds, at least 1")
    return min(int(given) / 1000, configured_s)
