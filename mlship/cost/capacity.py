"""How many servers keep a promise, and how fast so many are: decided on the queue that all replicas share."""

from __future__ import annotations

import math
from functools import lru_cache

from mlship.cost.queueing import Queue, service_late
from mlship.cost.workload import ServiceTime
from mlship.errors import MlshipError

LATE = 0.01  # of the responses may take longer than p99
BUSIEST = 0.7  # of each server, where nothing is promised: waits grow steeply above
_ROUNDING = 1e-9  # a promise of 16 ms holds for 10 ms at speed 0.625


def servers_needed(
    service: ServiceTime, rps: float, p99_s: float | None, *, speed: float = 1.0, headroom: float = 0.0
) -> int | None:
    """The smallest number of servers with which 99 % of the responses come within p99_s; 0 for 0 requests a second.

    p99_s: None keeps every server at most 70 % busy. speed: of each server, against the one that the service time was measured
    on. headroom: the promise still holds when the rate is 1/(1 - headroom) of rps. None: no number keeps it, the service time
    alone is longer. Raises MlshipError for numbers that cannot be meant.
    """
    load = _load(service, rps, speed) / (1 - _share(headroom))
    if rps == 0:
        return 0
    if p99_s is None:
        return max(1, math.ceil(load / BUSIEST * (1 - _ROUNDING)))
    within_s = _time(p99_s) * speed * (1 + _ROUNDING)
    if any(service_late(alone, within_s) >= LATE for alone in {service, service.at_rest}):
        return None
    return _least(service, load, within_s)


def latency(service: ServiceTime, rps: float, servers: int, *, speed: float = 1.0) -> tuple[float, float] | None:
    """The 50th and the 99th percentile of response times, in seconds; None where the servers are overloaded."""
    found = _latency(service, _load(service, rps, speed), servers)
    return None if found is None else (found[0] / speed, found[1] / speed)


def share_served(service: ServiceTime, rps: float, servers: int, *, speed: float = 1.0) -> float:
    """The share of requests for which so many servers suffice, in [0, 1]: what remains when a pool of spot machines is lost."""
    load = _load(service, rps, speed)
    return 1.0 if load < servers or load == 0 else servers / load


def _load(service: ServiceTime, rps: float, speed: float) -> float:
    """Requests a second x seconds, in servers of this speed. Raises MlshipError for what is no amount."""
    for name, value in (("rps", rps), ("service time", service.mean_s)):
        if not 0 <= value < math.inf:
            raise _refused(f"{name} {value:g} is not a number from 0 on", "correct it")
    if not 0 < speed < math.inf:
        raise _refused(f"speed {speed:g} is not a number above 0", "correct it")
    return rps * service.mean_s / speed


def _share(headroom: float) -> float:
    if not 0 <= headroom < 1:
        raise _refused(f"headroom {headroom:g} is no share", "write a number from 0 to below 1, such as 0.2")
    return headroom


def _time(p99_s: float) -> float:
    if not 0 < p99_s < math.inf:
        raise _refused(f"a p99 of {p99_s:g} s is no time", "write slo.p99 above 0, or leave it out")
    return p99_s


def _refused(what: str, fix: str) -> MlshipError:
    return MlshipError(what, fix=fix, code="bad-capacity")


@lru_cache(maxsize=1024)  # many machines have servers of one kind
def _latency(service: ServiceTime, load: float, servers: int) -> tuple[float, float] | None:
    queue = Queue(service, load, servers)
    half, most = queue.quantile(0.5), queue.quantile(1 - LATE)
    return None if half is None or most is None else (half, most)


@lru_cache(maxsize=8192)
def _least(service: ServiceTime, load: float, within_s: float) -> int:
    """More servers are never slower, so: one more than the load, twice as many more until it holds, then halves.

    Where rests slow servers down more of them may be slower by a hair; the number that is found keeps the promise in any case.
    """
    too_few = math.floor(load)
    step = 1
    while not _holds(service, load, too_few + step, within_s):
        too_few, step = too_few + step, 2 * step
    enough = too_few + step
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if _holds(service, load, middle, within_s):
            enough = middle
        else:
            too_few = middle
    return enough


def _holds(service: ServiceTime, load: float, servers: int, within_s: float) -> bool:
    queue = Queue(service, load, servers)
    few_wait = queue.late_alone(within_s) + queue.waiting <= LATE  # even if all of them were late
    return few_wait or queue.late(within_s) <= LATE
