"""How fast a server can be asked: its peak, and the highest rate at which it keeps its promise. Pure: what asks is handed in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

GAIN = 1.05  # more connections that bring less than this bring no more
CONNECTIONS = 64  # for each worker: more would only wait
STEPS = 7  # halvings: the rate is known to 1/128 of the peak
LOWEST = 0.02  # of the peak: what is not kept there is kept at no rate
OUTER = 1.25  # times the peak of a closed loop: fewer connections than an open loop may have found less than there is


@dataclass(frozen=True)
class Attempt:
    """One rate of an open loop. rate: requests a second. p50_s, p99_s: of all, those without an answer as endless."""

    rate: float
    p50_s: float
    p99_s: float
    is_clean: bool = True
    requests: int = 0

    def keeps(self, p99_s: float) -> bool:
        return self.is_clean and self.p99_s <= p99_s


@dataclass(frozen=True)
class Peak:
    """rps: answers a second. connections: that got them. busy: share of a core that the load took."""

    rps: float
    connections: int
    busy: float = 0.0


@dataclass(frozen=True)
class Kept:
    """rate: the highest that was measured to keep the promise; None: none does. attempts: in the order of their measuring."""

    rate: float | None
    attempts: tuple[Attempt, ...] = ()


def peak(measure: Callable[[int], Peak], workers: int) -> Peak:
    """The most answers a second of a closed loop: twice as many connections each time, while that gains."""
    best = measure(2 * workers)
    while best.connections < CONNECTIONS * workers:
        found = measure(2 * best.connections)
        if found.rps < best.rps * GAIN:
            return max(best, found, key=lambda one: one.rps)
        best = found
    return best


def highest_rate(measure: Callable[[float], Attempt], p99_s: float, most: float) -> Kept:
    """Bisection over rates up to `most` (requests a second). An attempt that fails is made once more before it counts.

    A machine that was disturbed for a moment must not halve the answer; two failures of the same rate are the server's.
    """
    attempts: list[Attempt] = []

    def is_kept(rate: float) -> bool:
        for _ in range(2):
            attempts.append(measure(rate))
            if attempts[-1].keeps(p99_s):
                return True
        return False

    if not is_kept(most * LOWEST):
        return Kept(None, tuple(attempts))
    if is_kept(most):
        return Kept(most, tuple(attempts))
    low, high = most * LOWEST, most
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_kept(middle) else (low, middle)
    return Kept(low, tuple(attempts))


def seconds_for(rate: float, seconds: float, least: int, longest: float) -> float:
    """How long an attempt lasts: at least `seconds`, and until `least` requests have come, at most `longest` times as long."""
    return min(max(seconds, least / rate if rate else math.inf), seconds * longest)
