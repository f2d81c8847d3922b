"""From how many requests a day on a service that bills each request costs more than one that is always on. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from math import inf, isnan, isqrt, nan

from mlship.cost.billing import Month, priced
from mlship.cost.book import PriceBook
from mlship.cost.candidate import Candidate
from mlship.cost.figures import count_text, purchase_text
from mlship.cost.fleet import fleet_of
from mlship.cost.workload import Hour, Traffic, Unit, Workload

FEWEST, MOST = 100, 10**9  # requests a day: where it is looked
_NARROW = 1.05  # a stretch of traffic that is not looked into further: who is cheaper may change twice in it unseen
_DAY_S = 86_400

# Requests a day -> US dollars a month, rising; infinite where the traffic is not carried, not a number where a price is unknown.
Usd = Callable[[int], float]


@dataclass(frozen=True)
class Crossing:
    """Requests a day. first: from here on the other costs less, if only for a while; None: nowhere up to MOST.

    settled: from here on it does at every traffic; None: at MOST it does not. last: where it does not at MOST, the last at which
    it does, else None.
    """

    first: int | None
    settled: int | None
    last: int | None = None


def break_even(
    serverless: Candidate, others: Sequence[Candidate], workload: Workload, book: PriceBook, *, free: bool = False
) -> tuple[str, ...]:
    """Advice, one text for each of the others: machines or replicas that are billed by the hour, however they are bought.

    The traffic is flat, whatever the workload's is; all else of it counts. free: as in `estimate`, whose prices these are.
    """
    usd = _usd_of(serverless, workload, book, free=free)
    return tuple(_advice(serverless, other, usd, _usd_of(other, workload, book, free=free)) for other in others)


def _usd_of(candidate: Candidate, workload: Workload, book: PriceBook, *, free: bool) -> Usd:
    """What `estimate` says that a month costs, without its times: they take longer than all the rest."""

    served = candidate.workload(workload)

    @cache
    def usd(daily: int) -> float:
        work = flat(served, daily)
        fleet = fleet_of(work, candidate.unit)
        if candidate.purchase.name != "per-request" and _is_overloaded(work, candidate.unit, fleet.replicas.peak):
            return inf
        lines = priced(candidate.resources, Month(work, fleet, candidate.unit, candidate.purchase), book, free=free)
        return sum(nan if item.line.usd is None else item.line.usd for item in lines)

    return usd


def _is_overloaded(workload: Workload, unit: Unit, replicas: int) -> bool:
    service, traffic = workload.service_time, workload.traffic
    return bool(service and traffic and traffic.peak * service.mean_s / unit.speed >= replicas * unit.servers)


def flat(workload: Workload, daily: int) -> Workload:
    """The workload with so many requests a day, evenly."""
    return replace(workload, traffic=Traffic((Hour(daily / _DAY_S, workload.hours),)))


def crossing(serverless: Usd, other: Usd) -> Crossing:
    """Both cost more with more traffic, the other by steps: after a step it may cost more once again."""
    ends = [FEWEST, *_stretches(serverless, other)]
    changes = [
        (low, high) for low, high in pairwise(ends) if _is_less(other, serverless, low) != _is_less(other, serverless, high)
    ]
    cheaper = [_bisected(low, high, serverless, other) for low, high in changes]
    first = FEWEST if _is_less(other, serverless, FEWEST) else cheaper[0] if cheaper else None
    if first is None or _is_less(other, serverless, MOST):
        return Crossing(first, cheaper[-1] if cheaper else first)
    return Crossing(first, None, cheaper[-1] - 1)


def _stretches(serverless: Usd, other: Usd) -> Iterator[int]:
    """The ends of stretches of traffic, rising, in each of which one costs less throughout, or which are narrow."""
    waiting = [(FEWEST, MOST)]
    while waiting:
        low, high = waiting.pop()
        is_one = serverless(high) <= other(low) or other(high) < serverless(low)
        if is_one or high <= low * _NARROW:
            yield high
        else:
            middle = isqrt(low * high)
            waiting += [(middle, high), (low, middle)]


def _bisected(low: int, high: int, serverless: Usd, other: Usd) -> int:
    """The first number of requests at which the one that costs less is the one that does at `high`."""
    at_high = _is_less(other, serverless, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_less(other, serverless, middle) == at_high else (middle, high)
    return high


def _is_less(one: Usd, than: Usd, daily: int) -> bool:
    return one(daily) < than(daily)


def _advice(serverless: Candidate, other: Candidate, usd: Usd, other_usd: Usd) -> str:
    named, against = name_of(other), name_of(serverless)
    unknown = [name for name, of in ((against, usd), (named, other_usd)) if isnan(of(FEWEST) + of(MOST))]
    if unknown:
        return f"{named} and {against} cannot be compared: {' and '.join(unknown)} has an unknown price"
    found = crossing(usd, other_usd)
    if found.first is None:
        return f"up to {count_text(MOST)} requests a day {named} never costs less than {against}"
    start = f"from {count_text(found.first)} requests a day on, {named} costs less than {against}"
    if found.last is not None:
        return f"{start}, up to {count_text(found.last)}"
    return start if found.settled == found.first else f"{start}; always from {count_text(found.settled or MOST)} on"


def name_of(candidate: Candidate) -> str:
    """`aws ecs 1 vCPU 2 GiB arm64 on-demand`; without the purchase where the service is bought in one way."""
    size = candidate.instance or candidate.size
    arch = "arm64" if candidate.arch == "arm64" and not candidate.instance else ""
    how = "" if candidate.purchase.name in ("per-request", "managed") else purchase_text(candidate.purchase)
    return " ".join(part for part in (candidate.target, candidate.service, size, arch, how) if part)
