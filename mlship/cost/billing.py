"""What a month of a resource costs: its meter's ticks, times what the book says a unit costs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, exp

from mlship.cost.book import FREE_TIER, Dated, Offer, PriceBook, ServicePrice, Sources
from mlship.cost.candidate import Line, Purchase
from mlship.cost.fleet import Fleet
from mlship.cost.purchase import Rates, bought, on_demand_usd
from mlship.cost.workload import ServiceTime, Unit, Workload
from mlship.targets.base import PriceKey, Resource


@dataclass(frozen=True)
class Month:
    """What the meters count. fleet: of replicas. unit: one of them."""

    workload: Workload
    fleet: Fleet
    unit: Unit
    purchase: Purchase

    @property
    def hours(self) -> float:
        return self.fleet.hours

    @property
    def requests(self) -> float:
        return self.workload.traffic.requests if self.workload.traffic else 0.0


@dataclass(frozen=True)
class Priced:
    """A line, and what is behind it. unknown: what has no price, for people; `` for nothing. spot_day: of a spot price, `` unknown.

    spot_usd: the part of the line that is spot. spot_on_demand_usd: what that part would cost on demand, None unknown.
    """

    line: Line
    unknown: str = ""
    neighbour: str = ""
    spot_day: str | None = None
    spot_usd: float = 0.0
    spot_on_demand_usd: float | None = None
    assumption: str = ""


def priced(resources: tuple[Resource, ...], month: Month, book: PriceBook, *, free: bool) -> Iterator[Priced]:
    """One line for each resource that ran at all. free: the free tiers count."""
    twins = {resource.kind for resource in resources if resource.billed == "spot"}
    for resource in resources:
        key = resource.price
        if key is None or resource.billed == "free":
            continue
        is_listed = bool(key.service) and bool(tiers_of(key, book))
        if key.instance and not is_listed:
            yield from _machine(resource, key, month, book)
            continue
        has_twin = resource.kind in twins
        if resource.billed == "scaled" and has_twin:
            yield from _committed(resource, key, month)
        if ticks := _ticks(resource, month, has_twin=has_twin):
            alone = replace(resource, settings={}, price=replace(key, times=1.0)) if is_listed and key.instance else resource
            yield _managed(alone, alone.price or key, ticks * resource.quantity, book, free=free)


# -- machines -------------------------------------------------------------------------------------------------------------


def _machine(resource: Resource, key: PriceKey, month: Month, book: PriceBook) -> Iterator[Priced]:
    """Every way in which its hours are bought; the spot twin of a machine is priced with the machine itself."""
    if resource.billed == "spot":
        return
    offer = book.offer(key.cloud, key.region, key.instance)
    month = in_machines(month, resource, offer)
    rates = rates_of(offer, month.purchase, key.times * resource.quantity)
    got = bought(month.fleet, month.purchase, rates)
    name, sources = resource.name, offer.sources if offer else Sources()
    if got.on_demand_hours:
        usd = None if rates.on_demand is None else on_demand_usd(got.on_demand, got.hours, rates)
        yield _hours(name, "on demand", got.on_demand_hours, usd, sources.on_demand, key, resource)
    if got.committed:
        usd = None if rates.reserved is None else got.committed_hours * rates.reserved
        how = f"committed {month.purchase.term}"
        yield _hours(name, how, got.committed_hours, usd, sources.reserved, key, resource)
    if got.spot_hours:
        usd = None if rates.spot is None else got.spot_hours * rates.spot
        priced_spot = _hours(name, "spot", got.spot_hours, usd, sources.spot, key, resource)
        if usd is not None:
            instead = None if rates.on_demand is None else got.spot_hours * rates.on_demand
            priced_spot = replace(priced_spot, spot_day=sources.spot.day, spot_usd=usd, spot_on_demand_usd=instead)
        yield priced_spot


def in_machines(month: Month, resource: Resource, offer: Offer | None) -> Month:
    """The month of the machines under its replicas, which share nodes where the resource says so; a base is then of nodes, too."""
    if "per_replica" not in resource.settings:
        return month
    each, base = per_node(resource, offer), month.purchase.base
    purchase = replace(month.purchase, base=None if base is None else ceil(base / each))
    return replace(month, fleet=month.fleet.packed(each), purchase=purchase)


def rates_of(offer: Offer | None, purchase: Purchase, times: float = 1.0) -> Rates:
    """What an hour of a machine costs, as it is bought. A premium (times above 1) is of prices on demand alone."""
    if offer is None:
        return Rates(None)
    on_demand = None if offer.on_demand is None else offer.on_demand * times
    if times != 1.0:  # commitments and spot are not sold with a managed endpoint
        return Rates(on_demand)
    reserved = {"1y": offer.reserved_1y, "3y": offer.reserved_3y}[purchase.term] if purchase.upfront == "none" else None
    return Rates(on_demand, reserved, offer.spot, offer.sustained)


def per_node(resource: Resource, offer: Offer | None) -> int:
    """Replicas that one node holds, at least 1. Nodes whose size is not known hold one."""
    wanted = resource.settings["per_replica"]
    if offer is None:
        return 1
    by_cpu = int(offer.machine.vcpus / wanted["cpu"]) if wanted.get("cpu") else 1
    memory = offer.machine.memory_gib
    by_memory = int(memory / wanted["memory_gib"]) if memory and wanted.get("memory_gib") else by_cpu
    by_gpu = int(offer.machine.accelerators / wanted["gpu"]) if wanted.get("gpu") else by_cpu
    return max(min(by_cpu, by_memory, by_gpu), 1)


def _hours(name: str, how: str, hours: float, usd: float | None, dated: Dated, key: PriceKey, resource: Resource) -> Priced:
    line = Line(resource.kind, f"{name} {how}", hours, "hour", usd, dated.day if usd is not None else "")
    unknown = "" if usd is not None else f"{key.cloud} {key.region} {key.instance} {how}"
    return Priced(line, unknown, assumption=resource.settings.get("assumed", ""))


# -- managed services -----------------------------------------------------------------------------------------------------


def _ticks(resource: Resource, month: Month, *, has_twin: bool) -> float:
    """How often the meter ticked. has_twin: spot replicas are another resource's."""
    workload = month.workload
    match resource.billed:
        case "always":
            return 1.0 if resource.unit.endswith("-month") else month.hours
        case "scaled":
            got = bought(month.fleet, month.purchase, Rates(None))
            if not has_twin:  # what every replica has, however it is bought
                return got.on_demand_hours + got.committed_hours + got.spot_hours
            return got.on_demand_hours
        case "spot":
            return bought(month.fleet, month.purchase, Rates(None)).spot_hours
        case "request":
            return month.requests
        case "busy":
            return busy_seconds(month, float(resource.settings.get("round_s", 0.0)))
        case "active":
            return active_seconds(month)
        case "idle":
            return idle_seconds(month)
        case "egress":
            return workload.egress_gb
        case "logs":
            return workload.logs_gb
        case _:
            return 0.0


def busy_seconds(month: Month, round_s: float) -> float:
    """Seconds in which a replica has a request, a month: each request rounded up to round_s.

    Where a replica takes several at a time they share the time that they overlap in; one at a time is taken without any overlap.
    """
    service, traffic = month.workload.service_time, month.workload.traffic
    if service is None or traffic is None:
        return 0.0
    each = rounded(service, month.unit.billed_speed(service), round_s)
    return sum(
        _busy(step.rps * each, count, month.workload.concurrency) * step.hours * 3600
        for step, count in zip(month.fleet.steps, month.fleet.counts, strict=True)
    )


def _busy(load: float, replicas: int, concurrency: float) -> float:
    """Replicas that have a request at a time. load: requests in them, if each were served alone.

    Poisson arrivals, spread evenly: a replica with the load a has one for the share 1 - exp(-a); never less than full ones take.
    """
    if concurrency <= 1 or not load:
        return load
    replicas = max(replicas, 1)
    return max(replicas * (1 - exp(-load / replicas)), load / concurrency)


def rounded(service: ServiceTime, speed: float, round_s: float) -> float:
    """Seconds that one request is billed for: the mean of the sample's times rounded up, or the mean rounded up."""
    times = [seconds / speed for seconds in service.sample or (service.mean_s,)]
    if not round_s:
        return sum(times) / len(times)
    # a billionth less: 0.3 s are three times 100 ms, whatever the double says
    return sum(max(ceil(seconds / round_s - 1e-9), 1) * round_s for seconds in times) / len(times)


def active_seconds(month: Month) -> float:
    """Replica-seconds at the active rate: those with a request, and all of the replicas above the least number.

    A replica is billed at the idle rate only where it belongs to the least number of replicas and serves nothing
    (Azure Container Apps, billing: "idle usage charges").
    """
    return sum(busy for busy, _ in _uses(month))


def idle_seconds(month: Month) -> float:
    return sum(idle for _, idle in _uses(month))


def _uses(month: Month) -> Iterator[tuple[float, float]]:
    """Active and idle replica-seconds of each step."""
    service, least = month.workload.service_time, month.workload.replicas[0]
    each = rounded(service, month.unit.billed_speed(service), 0.0) if service else 0.0
    for step, count in zip(month.fleet.steps, month.fleet.counts, strict=True):
        seconds = step.hours * 3600
        busy = _busy(step.rps * each, count, month.workload.concurrency) * seconds
        if least == 0:
            yield busy, 0.0
            continue
        above = max(count - least, 0)
        on_least = min(busy * least / count, least * seconds) if count else 0.0
        yield above * seconds + on_least, least * seconds - on_least


def _committed(resource: Resource, key: PriceKey, month: Month) -> Iterator[Priced]:
    """Commitments to a managed service are sold by the dollar (savings plans); no book knows what they take off."""
    hours = bought(month.fleet, month.purchase, Rates(None)).committed_hours
    if hours:
        how = f"committed {month.purchase.term}"
        line = Line(resource.kind, f"{resource.name} {how}", hours * resource.quantity, resource.unit, None)
        yield Priced(line, f"{key.cloud} {key.region} {key.service} {key.item} {how}")


def _managed(resource: Resource, key: PriceKey, units: float, book: PriceBook, *, free: bool) -> Priced:
    tiers = tiers_of(key, book)
    usd = tiered(tiers, units, free=free)
    said = " / ".join(dict.fromkeys(tier.dated.day for tier in tiers if tier.dated.day))
    line = Line(resource.kind, resource.name, units, resource.unit, None if usd is None else usd * key.times, said)
    if usd is not None:
        return Priced(line, assumption=resource.settings.get("assumed", ""))
    unknown = f"{key.cloud} {key.region} {key.service} {key.item}"
    return Priced(replace(line, dated=""), unknown, _neighbour(key, units, book, free=free))


def tiers_of(key: PriceKey, book: PriceBook) -> tuple[ServicePrice, ...]:
    """The region's own prices, else those that it shares; empty where the book knows neither."""
    return book.tiers(key.cloud, key.service, key.region, key.item, key.shared)


def tiered(tiers: tuple[ServicePrice, ...], units: float, *, free: bool) -> float | None:
    """US dollars for so many units of a month. None where a price that it needs is not known.

    tiers: rising. Without `free` what the book marks as a free tier, and an allowance below the first tier, cost what comes next.
    """
    paid = [tier for tier in tiers if free or tier.note != FREE_TIER]
    if not paid:
        return None
    if free and (allowance := free_units(paid[0])):
        units = max(units - allowance, 0.0)
    usd = 0.0
    for at, tier in enumerate(paid):
        above = tier.above if at or free else 0.0
        upto = paid[at + 1].above if at + 1 < len(paid) else tier.upto
        share = (units if upto is None else min(units, upto)) - above
        if share > 0:
            if tier.price is None:
                return None
            usd += share * tier.price
    return usd


def free_units(tier: ServicePrice) -> float:
    """Units of a month that cost nothing, where the book says so in words: `free 180000/month`, `free 2 million/month`."""
    found = re.search(r"\bfree (\d+(?:\.\d+)?)( million)?\b[^;]*/month", tier.note)
    if found is None:
        return 0.0
    by_the_million = tier.unit.startswith("million")
    return float(found[1]) * (1e6 if found[2] and not by_the_million else 1.0)


def _neighbour(key: PriceKey, units: float, book: PriceBook, *, free: bool) -> str:
    """What it would cost elsewhere; shown, never counted."""
    for region in _PRICED_ELSEWHERE.get(key.cloud, ()):
        usd = tiered(book.tiers(key.cloud, key.service, region, key.item), units, free=free)
        if usd is not None and region != key.region:
            return f"{key.service} {key.item} like {region}, unverified: ${usd * key.times:,.2f}"
    return ""


# Regions in which the shipped book knows managed services.
_PRICED_ELSEWHERE = {"aws": ("us-east-1",), "gcp": ("us-central1", "tier1"), "azure": ("westus2", "japaneast", "eastus")}
