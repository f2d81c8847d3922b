"""A book of prices: what machines and services cost, in US dollars, each with its source and the day it was true."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

Cloud = Literal["aws", "gcp", "azure"]
CLOUDS: tuple[Cloud, ...] = ("aws", "gcp", "azure")
ANY_REGION = "all"  # as a service's region: the price is the same everywhere
OWN = "your prices"  # the source of what a user wrote: nobody else's price goes before it
FREE_TIER = "free tier"  # how notes mark what only an account's first units get
OLD_SPOT_DAYS = 30  # 81 % of Google's spot prices moved within 35 days (the price data of 2026-07 against that of 2026-06)


class Dated(Struct, frozen=True, array_like=True):
    """Where a price comes from. day: `2026-07-20`, or less exact as its source says: `2026-10`, `2026`; `` where it says nothing."""

    source: str
    day: str


UNDATED = Dated("", "")


class Machine(Struct, frozen=True, array_like=True):
    """A type of instance. category: `general`, `compute`, `memory`, `burstable`, `gpu`, `accelerator`. arch: `x86_64`, `arm64`.

    memory_gib: None where nobody tells. has_whole_cores: a vCPU is a core of its own, not one of two hyper-threads.
    """

    cloud: str
    name: str
    family: str
    category: str
    arch: str
    vcpus: float
    memory_gib: float | None
    accelerator: str = ""
    accelerators: int = 0
    has_whole_cores: bool = False


class Sources(Struct, frozen=True, array_like=True):
    """Where the prices of an offer come from; sustained use from where the on-demand price does."""

    on_demand: Dated = UNDATED
    spot: Dated = UNDATED
    reserved: Dated = UNDATED
    interruption: Dated = UNDATED


class Offer(Struct, frozen=True, array_like=True):
    """What one type of instance costs in one region: US dollars an hour, Linux, shared tenancy; None is unknown, never zero.

    spot_is_listed: a price that was listed on its day, else the on-demand price less a discount in whole percents.
    reserved_1y, reserved_3y: committed, nothing paid upfront. sustained: of a whole month, with the discount that comes by itself.
    interruption: the share of instances interrupted in a month, as its source gives it (`5-10%`, `>20%`); `` is unknown.
    """

    machine: Machine
    region: str
    on_demand: float | None = None
    spot: float | None = None
    spot_is_listed: bool = False
    reserved_1y: float | None = None
    reserved_3y: float | None = None
    sustained: float | None = None
    interruption: str = ""
    sources: Sources = Sources()


class ServicePrice(Struct, frozen=True, array_like=True):
    """What a service bills. item: what of it (`vcpu_arm64`, `alb_hour`). unit: of one price (`vCPU-hour`, `GB-month`).

    price: US dollars; None is unknown. above, upto: the units a month for which it holds, upto None without end.
    """

    cloud: str
    service: str
    region: str
    item: str
    unit: str
    price: float | None
    above: float = 0.0
    upto: float | None = None
    dated: Dated = UNDATED
    note: str = ""


@dataclass(frozen=True)
class PriceBook:
    """Offers by cloud, region and type; prices of services. as_of: the day on which the book was put together."""

    as_of: str
    offers: Mapping[tuple[str, str], Mapping[str, Offer]] = field(default_factory=dict)
    services: tuple[ServicePrice, ...] = ()

    def offer(self, cloud: str, region: str, name: str) -> Offer | None:
        return self.offers.get((cloud, region), {}).get(name)

    def regions(self, cloud: str) -> tuple[str, ...]:
        return tuple(sorted(region for of, region in self.offers if of == cloud))

    def every_offer(self) -> Iterator[Offer]:
        for offers in self.offers.values():
            yield from offers.values()

    def tiers(self, cloud: str, service: str, region: str, item: str, shared: str = "") -> tuple[ServicePrice, ...]:
        """What one item of a service costs in a region, from the first unit on; empty where the book does not know it.

        shared: a name under which several regions have one price. The region's own price goes before theirs, and both before that
        of everywhere; but a price of the user's own goes before all that are not.
        """
        places = (region, ANY_REGION, *((shared,) if shared else ()))
        found = [tiers for place in places if (tiers := self._tiers.get((cloud, service, place, item)))]
        own = (tiers for tiers in found if tiers[0].dated.source == OWN)
        return next(own, found[0] if found else ())

    @cached_property
    def _tiers(self) -> Mapping[tuple[str, str, str, str], tuple[ServicePrice, ...]]:
        found: dict[tuple[str, str, str, str], list[ServicePrice]] = {}
        for price in self.services:
            found.setdefault((price.cloud, price.service, price.region, price.item), []).append(price)
        return {key: tuple(sorted(prices, key=lambda price: price.above)) for key, prices in found.items()}

    def with_younger_spot(self, days: int, today: str) -> PriceBook:
        """Spot prices that are older than so many days, or of no day, are unknown. today: `2026-11-22`."""

        def kept(offer: Offer) -> Offer:
            age = age_days(offer.sources.spot.day, today) if offer.spot is not None else 0
            return offer if age is not None and age <= days else replace(offer, spot=None)

        offers = {place: {name: kept(offer) for name, offer in named.items()} for place, named in self.offers.items()}
        return PriceBook(self.as_of, offers, self.services)

    def overridden(self, other: PriceBook) -> PriceBook:
        """This book with the other one's prices in place of its own; what the other does not name stays."""
        offers = dict(self.offers)
        for place, named in other.offers.items():
            offers[place] = {**offers.get(place, {}), **named}
        replaced = {_item(price) for price in other.services}
        kept = (price for price in self.services if _item(price) not in replaced)
        return PriceBook(max(self.as_of, other.as_of), offers, (*kept, *other.services))


def book_of(as_of: str, offers: Iterable[Offer], services: Iterable[ServicePrice] = ()) -> PriceBook:
    found: dict[tuple[str, str], dict[str, Offer]] = {}
    for offer in offers:
        found.setdefault((offer.machine.cloud, offer.region), {})[offer.machine.name] = offer
    return PriceBook(as_of, found, tuple(services))


def _item(price: ServicePrice) -> tuple[str, str, str, str]:
    return price.cloud, price.service, price.region, price.item


def is_old_spot(day: str, today: str) -> bool:
    """Whether a spot price of that day may have moved since; one of a day that nobody can tell may."""
    age = age_days(day, today)
    return age is None or age > OLD_SPOT_DAYS


def age_days(day: str, today: str) -> int | None:
    """Whole days between two days; `2026-10` and `2026` count from their first. None where one of them is no day."""
    try:
        return (_date(today) - _date(day)).days
    except ValueError:
        return None


def _date(day: str) -> datetime.date:
    """Raises ValueError."""
    return datetime.date.fromisoformat(f"{day}-01-01" if len(day) == 4 else f"{day}-01" if len(day) == 7 else day)
