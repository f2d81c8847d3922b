"""Every machine and every way to buy it, by what a month costs: quickly, and the same as `estimate` says one by one. Pure.

What a machine costs depends on its prices and on the hours that replicas of its size run: hours are worked out once for each size,
then one pass multiplies them with the prices.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, pairwise
from math import ceil, inf
from typing import Literal, NamedTuple

from mlship.cost.book import Machine, Offer, PriceBook
from mlship.cost.candidate import PURCHASES, CostPlan, Purchase, PurchaseName
from mlship.cost.capacity import servers_needed
from mlship.cost.fleet import MOST_REPLICAS, Fleet, autoscaled, by_rate, fleet_of, replicas_for
from mlship.cost.purchase import SUSTAINED_STEPS, Rates, bought, on_demand_usd
from mlship.cost.speeds import unit_of
from mlship.cost.workload import Hour, Unit, Workload

Term = Literal["1y", "3y"]
Bar = Literal["", "gpu", "memory", "burstable"]
Price = Callable[[Offer], float | None]  # US dollars a month; None where a price that it needs is unknown

_ACCELERATED = ("gpu", "accelerator")


@dataclass(frozen=True)
class Wanted:
    """Where to look. Empty is everywhere.

    gpu: an accelerator as the book names it (`L4`), `any`; `` leaves machines with accelerators out. max_replicas: at the peak.
    purchases, terms: of machines; base, on_demand_share: as in Purchase. deployable: only what mlship can deploy to. burstable:
    machines with shared cores too. limit: so many plans.
    """

    clouds: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    archs: tuple[str, ...] = ()
    gpu: str = ""
    max_replicas: int | None = None
    purchases: tuple[PurchaseName, ...] = PURCHASES
    terms: tuple[Term, ...] = ("1y",)
    base: int | None = None
    on_demand_share: float = 0.0
    deployable: bool = False
    burstable: bool = False
    limit: int = 10


# -- sizes: what replicas of so many servers cost, whatever their prices ----------------------------------------------------


@dataclass(frozen=True)
class _Size:
    """Machines with the same servers and speed. lost: `slow` where no number of replicas keeps the promise, `many` where more
    than allowed would."""

    lost: Literal["", "slow", "many"]
    prices: tuple[tuple[Purchase, Price], ...] = ()


class _Sizes:
    """Each size is worked out once, and what depends on the speed alone once for each speed."""

    def __init__(self, workload: Workload, wanted: Wanted) -> None:
        self._workload = workload
        self._purchases = _purchases(wanted)
        self.of = cache(self._of)
        self._wanted = cache(lambda speed: servers_by_rate(workload, speed))
        bare = replace(workload, headroom=0.0)
        self._least = cache(lambda speed: servers_by_rate(bare, speed)) if workload.headroom else self._wanted
        self._one_server = cache(self._servers_alone)
        self._is_slow = cache(lambda speed: _is_slow(workload, speed))

    def _of(self, servers: int, speed: float) -> _Size:
        fleet = self._fleet(servers, speed)
        if lost := self._lost(fleet, servers, speed):
            return _Size(lost)
        return _Size("", tuple((purchase, price_of(fleet, purchase)) for purchase in self._purchases))

    def _fleet(self, servers: int, speed: float) -> Fleet:
        workload, (least, most) = self._workload, self._workload.replicas
        if workload.traffic is None or least == most or workload.rps_per_replica or workload.service_time is None:
            return fleet_of(workload, Unit(servers, speed))
        one = self._one_server(speed)
        if one is None:
            wanted = self._wanted(speed)
            return autoscaled(workload, workload.traffic, lambda rps: ceil(wanted[rps] / servers))
        return grouped(one, servers, least, MOST_REPLICAS if most is None else most)

    def _servers_alone(self, speed: float) -> Fleet | None:
        """The fleet if each replica were one server; None where that is no use: too many, or some run longer than those below."""
        wanted, workload = self._wanted(speed), self._workload
        if workload.traffic is None or max(wanted.values()) > MOST_REPLICAS:
            return None
        one = autoscaled(replace(workload, replicas=(0, None)), workload.traffic, lambda rps: wanted[rps])
        return one if _is_falling(one.level_hours) else None

    def _lost(self, fleet: Fleet, servers: int, speed: float) -> Literal["", "slow", "many"]:
        service, p99_s = self._workload.service_time, self._workload.p99_s
        traffic, least = self._workload.traffic, self._least
        if service is None or traffic is None or not traffic.peak:
            return ""
        steps = {(traffic.peak, fleet.replicas.peak * servers)}
        if self._workload.rps_per_replica:  # else the promise decides, and only the most that may run can be too few
            steps = {(step.rps, count * servers) for step, count in zip(fleet.steps, fleet.counts, strict=True)}
        if p99_s is None:
            return "many" if any(rps and rps * service.mean_s / speed >= running for rps, running in steps) else ""
        if self._is_slow(speed):
            return "slow"
        return "many" if any(least(speed)[rps] > running for rps, running in steps) else ""


def _is_slow(workload: Workload, speed: float) -> bool:
    """Whether a request that never waits takes longer than is promised."""
    service, traffic = workload.service_time, workload.traffic
    assert service is not None and traffic is not None
    return servers_needed(service, traffic.peak, workload.p99_s, speed=speed) is None


def servers_by_rate(workload: Workload, speed: float) -> Mapping[float, int]:
    """Requests a second of each step -> servers that they take."""
    rates = workload.traffic.rates if workload.traffic else (0.0,)
    alone, each = replace(workload, rps_per_replica=None), Unit(1, speed)
    return by_rate(lambda rps: replicas_for(alone, each, rps), rates)


def grouped(one: Fleet, servers: int, least: int, most: int) -> Fleet:
    """The fleet whose replicas have so many of the servers each, at least and at most so many replicas; told by its levels alone.

    The nth replica runs while more than n - 1 times its servers are needed: as long as the first of its servers.
    """
    most = max(least, min(most, MOST_REPLICAS))
    levels = [*[one.hours] * least, *one.level_hours[least * servers :: servers]][:most]
    lowest = min(max(ceil(min(one.counts) / servers), least), most)
    longer = [one.hours, *levels]
    shares = {count: hours - following for count, (hours, following) in enumerate(zip(longer, [*levels, 0.0], strict=True))}
    counts = [count for count, hours in shares.items() if hours or count in (lowest, len(levels))]
    counts = [count for count in counts if count >= lowest]
    return Fleet(tuple(Hour(0.0, shares[count]) for count in counts), tuple(counts))


def _is_falling(levels: Sequence[float]) -> bool:
    return all(earlier >= later for earlier, later in pairwise(levels))


def _purchases(wanted: Wanted) -> tuple[Purchase, ...]:
    return tuple(purchase for name in PURCHASES if name in wanted.purchases for purchase in _bought_as(name, wanted))


def _bought_as(name: PurchaseName, wanted: Wanted) -> Iterator[Purchase]:
    if name.startswith("reserved"):
        base = wanted.base if "+" in name else None
        yield from (Purchase(name, base, term=term) for term in wanted.terms)
    elif name == "on-demand+spot":
        yield Purchase(name, wanted.base, wanted.on_demand_share)
    elif name in ("on-demand", "fixed"):
        yield Purchase(name)


# -- prices: the hours of a size, multiplied --------------------------------------------------------------------------------


def price_of(fleet: Fleet, purchase: Purchase) -> Price:
    """What a month of the fleet costs on a machine's offer, bought in that way; the same as `estimate` says of it."""
    if purchase.name == "reserved+on-demand" and purchase.base is None:
        return _price_of_best_base(fleet, purchase)
    got = bought(fleet, purchase, Rates(None))
    on_demand, committed, spot = got.on_demand_hours, got.committed_hours, got.spot_hours
    rebated = _rebated_hours(got.on_demand, got.hours)

    def price(offer: Offer) -> float | None:
        dollars = 0.0
        if on_demand:
            if (list_price := offer.on_demand) is None:
                return None
            dollars = list_price * on_demand - _rebate(offer, list_price) * rebated
        if committed:
            if (reserved := _reserved(offer, purchase)) is None:
                return None
            dollars += reserved * committed
        if spot:
            if offer.spot is None:
                return None
            dollars += offer.spot * spot
        return dollars

    return price


def _price_of_best_base(fleet: Fleet, purchase: Purchase) -> Price:
    """Levels that cost more on demand than committed are committed: the first ones, as they run longest."""
    month, levels = fleet.month, fleet.level_hours
    equal = Counter(levels)  # hours -> levels that run so long; falling
    hours = [*equal]
    rebates = [_rebated_hours((level,), month) for level in hours]
    below = [0, *accumulate(equal.values())]  # levels before the nth different one
    above = _after(level * count for level, count in equal.items())
    rebated_above = _after(rebate * count for rebate, count in zip(rebates, equal.values(), strict=True))
    rising = [-level for level in hours]
    is_falling = _is_falling(levels)
    price_of_least = price_of(fleet, replace(purchase, base=fleet.replicas.min))

    def price(offer: Offer) -> float | None:
        reserved, list_price = _reserved(offer, purchase), offer.on_demand
        rebate = _rebate(offer, list_price) if list_price else 0.0
        if reserved is None or list_price is None:
            return price_of_least(offer)
        if not list_price or rebate > list_price / 2 or not is_falling:
            return _exactly(fleet, purchase, Rates(list_price, reserved, sustained=offer.sustained))
        committed = month * reserved
        if rebate:
            places = range(len(hours))
            at = bisect_left(places, True, key=lambda n: list_price * hours[n] - rebate * rebates[n] <= committed)
        else:
            at = bisect_left(rising, -committed / list_price)
        return committed * below[at] + list_price * above[at] - rebate * rebated_above[at]

    return price


def _after(values: Iterable[float]) -> list[float]:
    """The sum of the values from the nth on; 0 after the last."""
    return [*accumulate(reversed([*values]), initial=0.0)][::-1]


def _exactly(fleet: Fleet, purchase: Purchase, rates: Rates) -> float:
    """The long way, where a replica that runs longer than another may cost less. rates: on demand and committed are known."""
    got = bought(fleet, purchase, rates)
    assert rates.reserved is not None
    return on_demand_usd(got.on_demand, got.hours, rates) + got.committed_hours * rates.reserved


def _rebate(offer: Offer, list_price: float) -> float:
    """US dollars an hour by which sustained use over a whole month is cheaper."""
    whole = offer.sustained
    return 0.0 if whole is None or whole >= list_price else list_price - whole


def _rebated_hours(used: tuple[float, ...], month: float) -> float:
    """used: hours of each replica. The hours that earn the rebate of a whole month, which grows with each quarter of it."""
    return sum(count * _earned(hours / month) for hours, count in Counter(used).items()) * month


def _earned(share: float) -> float:
    return sum(min(max(share - step / 4, 0.0), 0.25) * factor for step, factor in enumerate(SUSTAINED_STEPS))


def _reserved(offer: Offer, purchase: Purchase) -> float | None:
    return offer.reserved_1y if purchase.term == "1y" else offer.reserved_3y


# -- machines: which count, what the cheapest of each costs -----------------------------------------------------------------


class Type(NamedTuple):
    """A type of instance with its offers, by region. bar: why it does not count though it may carry the traffic."""

    machine: Machine
    unit: Unit
    offers: list[Offer]
    size: _Size
    bar: Bar


class Row(NamedTuple):
    """A machine as one way to buy it, with its cheapest offer; or a plan that was handed in."""

    usd: float
    cloud: str
    name: str
    region: str
    purchase: Purchase
    bar: Bar = ""
    kind: Type | None = None
    offer: Offer | None = None
    plan: CostPlan | None = None


def types_of(book: PriceBook, workload: Workload, wanted: Wanted, measured: Mapping[str, float]) -> list[Type]:
    """Every machine that is asked for."""
    sizes, found = _Sizes(workload, wanted), dict[Machine, list[Offer]]()
    for place in sorted(book.offers):
        if (not wanted.clouds or place[0] in wanted.clouds) and (not wanted.regions or place[1] in wanted.regions):
            for offer in book.offers[place].values():
                found.setdefault(offer.machine, []).append(offer)
    types = []
    for machine, offers in found.items():
        if _is_of(machine, wanted):
            unit = unit_of(machine, measured)
            types.append(Type(machine, unit, offers, sizes.of(unit.servers, unit.speed), _bar(machine, workload, wanted)))
    return types


def _is_of(machine: Machine, wanted: Wanted) -> bool:
    if wanted.archs and machine.arch not in wanted.archs:
        return False
    if wanted.gpu in ("", "any"):
        return not wanted.gpu or machine.category == "gpu"
    return machine.accelerator.lower() == wanted.gpu.lower()


def _bar(machine: Machine, workload: Workload, wanted: Wanted) -> Bar:
    if workload.memory_gib and (machine.memory_gib is None or machine.memory_gib < workload.memory_gib):
        return "memory"
    if machine.category in _ACCELERATED and not wanted.gpu:
        return "gpu"
    return "burstable" if machine.category == "burstable" and not wanted.burstable else ""


def rows_of(kind: Type, *, every_region: bool) -> Iterator[Row]:
    machine = kind.machine
    groups = [[offer] for offer in kind.offers] if every_region else [kind.offers]
    for purchase, price in kind.size.prices:
        for offers in groups:
            least, cheapest = inf, None
            for offer in offers:
                dollars = price(offer)
                if dollars is not None and dollars < least:
                    least, cheapest = dollars, offer
            if cheapest is not None:
                yield Row(least, machine.cloud, machine.name, cheapest.region, purchase, kind.bar, kind, cheapest)


def order(row: Row) -> tuple[float, int, str, str, str, str]:
    purchase = row.purchase
    return _rounded(row.usd), PURCHASES.index(purchase.name), purchase.term, row.cloud, row.name, row.region


def _rounded(dollars: float) -> float:
    """What differs by the rounding of doubles alone costs the same."""
    return float(f"{dollars:.9g}")


def distinct(rows: Iterable[Row], *, every_region: bool) -> Iterator[Row]:
    """rows: in their order. A machine bought in one way once, or once in each region; and without those that only say again
    what a simpler purchase of the machine says: a mix that comes to one kind alone."""
    seen = set[tuple[object, ...]]()
    for row in rows:
        once = row.cloud, row.name, row.purchase, row.region if every_region else ""
        same = row.cloud, row.name, row.region, _rounded(row.usd)
        if once not in seen and same not in seen:
            seen.update((once, same))
            yield row
