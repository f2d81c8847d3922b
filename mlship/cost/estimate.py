"""What a candidate costs in a month, how fast it answers at its busiest time, and what of that is not known. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import isfinite

from mlship.cost.billing import Month, Priced, in_machines, per_node, priced
from mlship.cost.book import PriceBook, is_old_spot
from mlship.cost.candidate import Candidate, CostPlan, Line, Purchase
from mlship.cost.capacity import latency, share_served
from mlship.cost.fleet import Fleet, fleet_of, idle
from mlship.cost.purchase import Rates, bought, spot_base
from mlship.cost.workload import Workload

# Discounts of spot prices on the on-demand price: the 5th and 95th percentile of the book's own rows
# (purchase terms of the shared price facts, 2026-11-21). Azure's 15 rows tell a median only.
SPOT_DISCOUNTS = {"aws": (0.52, 0.82), "gcp": (0.40, 0.853), "azure": (0.0, 0.789)}
# The middle of the share of spot machines that were interrupted in the trailing month, by the words of its source (AWS Spot Advisor).
INTERRUPTED = {"<5%": 0.025, "5-10%": 0.075, "10-15%": 0.125, "15-20%": 0.175, ">20%": 0.225}
SERVERLESS = ("per-request",)
CLOSE = 1 + 1e-9  # a p99 that is what was promised but for the rounding of doubles keeps it


def estimate(candidate: Candidate, workload: Workload, book: PriceBook, *, free: bool = False, as_of: str = "") -> CostPlan:
    """What it costs and how fast it is; units are those of CostPlan.

    free: count free tiers. as_of: the day of the question, `2026-11-22`; `` takes the book's day. Raises MlshipError for rates and
    times that cannot be meant; an unknown price raises nothing and is named in the plan.
    """
    workload = candidate.workload(workload)
    fleet = fleet_of(workload, candidate.unit)
    month = Month(workload, fleet, candidate.unit, candidate.purchase)
    items = (*priced(candidate.resources, month, book, free=free), *_unmeasured(candidate, workload))
    known = [item.line.usd for item in items if item.line.usd is not None]
    usd = sum(known) if known or not items else None
    times = _times(workload, fleet, candidate)
    at_peak = bool(workload.traffic and workload.service_time)
    return CostPlan(
        candidate,
        fleet.replicas,
        usd,
        None if usd is None else usd / fleet.hours,
        usd_per_million=_per_million(usd, workload),
        idle_usd_month=_idle(candidate, workload, fleet, book, free=free),
        interruptions_month=_interruptions(candidate, month, book),
        p50_ms=times[0] * 1000 if times else None,
        p99_ms=times[1] * 1000 if times else None,
        is_overloaded=at_peak and times is None and fleet.replicas.peak > 0,
        price_dates=tuple(sorted({item.line.dated for item in items if item.line.dated})),
        assumptions=(*_assumptions(candidate, workload, fleet, times), *_said(items), *_pool_lost(candidate, month, book)),
        unknowns=tuple(dict.fromkeys(item.unknown for item in items if item.unknown)),
        lines=tuple(item.line for item in items if item.line.kind),
        spot_range=_spot_range(candidate, items, usd, as_of or book.as_of),
        neighbours=tuple(dict.fromkeys(item.neighbour for item in items if item.neighbour)),
    )


def _unmeasured(candidate: Candidate, workload: Workload) -> Iterator[Priced]:
    """Traffic whose replicas, or whose seconds, nobody can know without a service time."""
    least, most = workload.replicas
    needs = least != most or any(resource.billed in ("busy", "active", "idle") for resource in candidate.resources)
    if workload.traffic is not None and workload.service_time is None and needs:
        yield Priced(Line("", "", 0.0, "", None), unknown="service time: mlship bench measures it, --service-time says it")


def _per_million(usd: float | None, workload: Workload) -> float | None:
    if usd is None or workload.traffic is None or not workload.traffic.requests:
        return None
    return usd / workload.traffic.requests * 1e6


def _idle(candidate: Candidate, workload: Workload, fleet: Fleet, book: PriceBook, *, free: bool) -> float | None:
    """US dollars a month without a single request; None where a price is missing. What is bought for the peak is paid all the same."""
    alone = replace(workload, traffic=None, egress_gb=0.0, logs_gb=0.0)
    stays = candidate.purchase.name in ("fixed", "reserved")
    waiting = replace(fleet, counts=(fleet.replicas.peak,) * len(fleet.counts)) if stays else idle(alone)
    month = Month(alone, waiting, candidate.unit, candidate.purchase)
    found = [item.line.usd for item in priced(candidate.resources, month, book, free=free)]
    return None if None in found else sum(usd for usd in found if usd is not None)


def _times(workload: Workload, fleet: Fleet, candidate: Candidate) -> tuple[float, float] | None:
    """p50 and p99 in seconds at the step in which a replica has most to do."""
    service, traffic = workload.service_time, workload.traffic
    if service is None or traffic is None:
        return None
    unit = candidate.unit
    if candidate.purchase.name in SERVERLESS:  # each request finds a replica of its own
        return latency(service, 0.0, 1, speed=unit.billed_speed(service))
    rates = [step.rps for step in fleet.steps]
    each = [rps / count if count else 0.0 for rps, count in zip(rates, fleet.counts, strict=True)]
    busiest = {(rates[at], fleet.counts[at]) for at in (each.index(max(each)), rates.index(max(rates)))}
    found = [latency(service, rps, count * unit.servers, speed=unit.speed) for rps, count in busiest if count]
    slowest = [times for times in found if times is not None and isfinite(times[1])]
    return max(slowest, key=lambda times: times[1]) if slowest and len(slowest) == len(found) else None


def _interruptions(candidate: Candidate, month: Month, book: PriceBook) -> float | None:
    """Ends of spot machines to expect in a month, by how many there are on average; 0 where none is spot.

    Of whole months, also where `hours` prices a part of one: how often machines end is told by the month alone.
    """
    if not candidate.purchase.name.endswith("spot") or not bought(month.fleet, month.purchase, Rates(None)).spot_hours:
        return 0.0
    for resource in candidate.resources:
        if (key := resource.price) is None or not key.instance:
            continue
        offer = book.offer(key.cloud, key.region, key.instance)
        machines = in_machines(month, resource, offer)
        hours = bought(machines.fleet, machines.purchase, Rates(None)).spot_hours
        share = INTERRUPTED.get(offer.interruption) if offer else None
        return None if share is None else share * hours / month.hours
    return None


# -- what is said beside the figures ---------------------------------------------------------------------------------------


def _assumptions(candidate: Candidate, workload: Workload, fleet: Fleet, times: tuple[float, float] | None) -> Iterator[str]:
    service = workload.service_time
    yield f"a month has {fleet.hours:g} hours"
    if service is not None:
        kind = f"sample of {len(service.sample)}" if service.sample else "exponential"
        rested = f", {service.rested_mean_s * 1000:.3g} ms after a rest" if service.rested else ""
        yield f"service time {service.mean_s * 1000:.3g} ms of a core{rested} ({service.source}, {kind})"
        if candidate.unit.assumption:
            yield candidate.unit.assumption
        yield from _promise(candidate, workload, times)
    if workload.memory_gib and candidate.unit.memory_gib is not None and candidate.unit.memory_gib < workload.memory_gib:
        yield f"too small: the model needs {workload.memory_gib:.3g} GiB, a replica has {candidate.unit.memory_gib:.3g} GiB"


def _promise(candidate: Candidate, workload: Workload, times: tuple[float, float] | None) -> Iterator[str]:
    least, most = workload.replicas
    if least == most or candidate.purchase.name in SERVERLESS:
        return
    if workload.rps_per_replica:
        yield f"a replica for every {workload.rps_per_replica:g} requests a second (scale.per_replica)"
    elif workload.p99_s is not None and times is not None and times[1] > workload.p99_s * CLOSE:
        yield f"replicas for a load of at most 70 %: no number of them keeps a p99 of {workload.p99_s * 1000:.3g} ms"
    elif workload.p99_s is None:
        yield "replicas for a load of at most 70 % (no slo.p99)"
    else:
        yield f"replicas for a p99 of {workload.p99_s * 1000:.3g} ms in every hour (M/G/c queue)"
    if workload.headroom:
        yield f"{workload.headroom:.0%} of every replica stays free"
    if workload.down_after_s:
        yield f"a replica stays for {workload.down_after_s:g} s after it was needed"


def _said(items: tuple[Priced, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.assumption for item in items if item.assumption))


def _pool_lost(candidate: Candidate, month: Month, book: PriceBook) -> Iterator[str]:
    """What callers notice when every spot machine goes at once, at the busiest time."""
    workload = month.workload
    if not candidate.purchase.name.endswith("spot") or workload.traffic is None or workload.service_time is None:
        return
    left = _replicas_left(candidate, month, book)
    unit, peak = candidate.unit, workload.traffic.peak
    served = share_served(workload.service_time, peak, left * unit.servers, speed=unit.speed)
    times = latency(workload.service_time, peak, left * unit.servers, speed=unit.speed) if left else None
    p99 = f"p99 {times[1] * 1000:.3g} ms" if times else "the rest waits without end"
    yield f"if the whole spot pool goes at the peak: {left} replicas serve {served:.0%}, {p99}"


def _replicas_left(candidate: Candidate, month: Month, book: PriceBook) -> int:
    """At the peak, on machines that are not spot; where they share nodes, as many as these nodes hold."""
    for resource in candidate.resources:
        if (key := resource.price) is not None and key.instance and "per_replica" in resource.settings:
            offer = book.offer(key.cloud, key.region, key.instance)
            nodes = in_machines(month, resource, offer)
            return min(kept(nodes.fleet, nodes.purchase) * per_node(resource, offer), month.fleet.replicas.peak)
    return kept(month.fleet, candidate.purchase)


def kept(fleet: Fleet, purchase: Purchase) -> int:
    """Machines at the peak that are not spot."""
    base = min(spot_base(fleet, purchase), fleet.replicas.peak)
    return base + int((fleet.replicas.peak - base) * purchase.on_demand_share)


def _spot_range(candidate: Candidate, items: tuple[Priced, ...], usd: float | None, as_of: str) -> tuple[float, float] | None:
    """US dollars a month, with old spot prices as far down and up as the market's discounts go."""
    old = [item for item in items if item.spot_day is not None and is_old_spot(item.spot_day, as_of)]
    if usd is None or not old:
        return None
    low = high = usd
    for item in old:
        least, most = SPOT_DISCOUNTS[_cloud(candidate)]
        if item.spot_on_demand_usd is not None:
            low += min(item.spot_on_demand_usd * (1 - most) - item.spot_usd, 0.0)
            high += max(item.spot_on_demand_usd * (1 - least) - item.spot_usd, 0.0)
    return low, high


def _cloud(candidate: Candidate) -> str:
    return next(resource.price.cloud for resource in candidate.resources if resource.price and resource.price.instance)
