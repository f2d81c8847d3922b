"""What a book of prices knows, and what it does not: by cloud and region for machines, by service for what is managed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mlship.cost.book import CLOUDS, Cloud, Offer, PriceBook, ServicePrice, is_old_spot


@dataclass(frozen=True)
class MachineCoverage:
    """One region. types: of instances that the book names. The others count those of them whose price is known.

    days: from the oldest to the newest day on which an on-demand price was true; spot_days of the spot prices, empty without.
    """

    cloud: str
    region: str
    types: int
    on_demand: int
    spot: int
    reserved_1y: int
    reserved_3y: int
    days: tuple[str, str]
    spot_days: tuple[str, ...]


@dataclass(frozen=True)
class ServiceCoverage:
    """One service. regions: where at least one of its items has a price. known, unknown: its items, `ITEM` or `REGION ITEM`."""

    cloud: str
    service: str
    regions: tuple[str, ...]
    known: int
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class OwnCoverage:
    """The book of this machine's user. offers, services: prices that go before the shipped ones. sources: of them.

    spot: how many offers have a spot price; old_spot of them with one of over 30 days, or of a day that nobody knows.
    """

    as_of: str
    offers: int
    services: int
    spot: int
    old_spot: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Coverage:
    """own: None where the user has no book."""

    as_of: str
    machines: tuple[MachineCoverage, ...]
    services: tuple[ServiceCoverage, ...]
    own: OwnCoverage | None = None


def coverage(book: PriceBook, cloud: str = "", own: PriceBook | None = None, today: str = "") -> Coverage:
    """cloud: of one alone; `` is all. own: the part of the book that is the user's. today: for the age of spot prices."""
    clouds = [name for name in CLOUDS if cloud in ("", name)]
    machines = [_machines(of, region, book.offers[of, region].values()) for of in clouds for region in book.regions(of)]
    named = sorted({(price.cloud, price.service) for price in book.services if price.cloud in clouds}, key=_order)
    services = [_service(of, service, book.services) for of, service in named]
    return Coverage(book.as_of, tuple(machines), tuple(services), _own(own, clouds, today) if own else None)


def _own(book: PriceBook, clouds: list[Cloud], today: str) -> OwnCoverage:
    offers = [offer for offer in book.every_offer() if offer.machine.cloud in clouds]
    services = [price for price in book.services if price.cloud in clouds]
    spot = [offer.sources.spot for offer in offers if offer.spot is not None]
    named = {offer.sources.on_demand.source for offer in offers} | {price.dated.source for price in services}
    old = sum(is_old_spot(dated.day, today) for dated in spot)
    return OwnCoverage(book.as_of, len(offers), len(services), len(spot), old, tuple(sorted(named - {""})))


def _order(named: tuple[str, str]) -> tuple[int, str]:
    return next(at for at, cloud in enumerate(CLOUDS) if cloud == named[0]), named[1]


def _machines(cloud: str, region: str, offers: Iterable[Offer]) -> MachineCoverage:
    offers = list(offers)
    days = sorted({offer.sources.on_demand.day for offer in offers if offer.on_demand is not None})
    spot_days = sorted({offer.sources.spot.day for offer in offers if offer.spot is not None})
    return MachineCoverage(
        cloud,
        region,
        len(offers),
        sum(offer.on_demand is not None for offer in offers),
        sum(offer.spot is not None for offer in offers),
        sum(offer.reserved_1y is not None for offer in offers),
        sum(offer.reserved_3y is not None for offer in offers),
        (days[0], days[-1]) if days else ("", ""),
        (spot_days[0], spot_days[-1]) if spot_days else (),
    )


def _service(cloud: str, service: str, prices: Iterable[ServicePrice]) -> ServiceCoverage:
    mine = [price for price in prices if (price.cloud, price.service) == (cloud, service)]
    known = {(price.region, price.item) for price in mine if price.price is not None}
    unknown = sorted({(price.region, price.item) for price in mine} - known)
    regions = sorted({region for region, _ in known})
    names = tuple(item if regions in ([], [region]) else f"{region} {item}" for region, item in unknown)
    return ServiceCoverage(cloud, service, tuple(regions), len(known), names)
