"""Prices of the user's own, over those of the book: negotiated rates, discounts, and what the book lacks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as with_

from mlship.config.words import nearest
from mlship.cost.book import ANY_REGION, OWN, Dated, Machine, Offer, PriceBook, ServicePrice, book_of
from mlship.cost.overrides_file import Kind, Rate, ServiceRate, Written, read
from mlship.cost.overrides_units import billed_services, billed_unit
from mlship.errors import Finding, FindingsError


@dataclass(frozen=True)
class Overrides:
    """as_of: the day on which they were agreed. discounts: of list prices by cloud and kind, 0.12 is 12 %.

    instances, services: prices that are paid as they stand: no discount is taken of them. regions: `aws/eu-south-2`, of which
    the book may know nothing. where: the file's name.
    """

    as_of: str
    where: str = ""
    discounts: Mapping[tuple[str, Kind], float] = field(default_factory=dict)
    instances: tuple[Rate, ...] = ()
    services: tuple[ServiceRate, ...] = ()
    regions: frozenset[str] = frozenset()

    def applied(self, book: PriceBook) -> PriceBook:
        """The book with these prices in it, marked `your prices`; a discounted one keeps the day of its list price.

        Raises FindingsError, with every name that the book does not know.
        """
        wrong = [*self._unknown_types(book), *self._unknown_services(book)]
        if wrong:
            count = f"{len(wrong)} price{'s' if len(wrong) > 1 else ''} of something that mlship does not know"
            raise FindingsError(f"{self.where} has {count}", wrong, code="unknown-price")
        listed = self._discounted(book)
        machines = {cloud: _types(book, cloud) for cloud in self._clouds}
        offers = [self._offer(rate, listed, machines[rate.at.cloud]) for rate in self.instances]
        return listed.overridden(book_of(self.as_of, offers, self._priced(book)))

    @property
    def _clouds(self) -> set[str]:
        return {rate.at.cloud for rate in self.instances}

    def _unknown_types(self, book: PriceBook) -> Iterator[Finding]:
        names = {cloud: _types(book, cloud) for cloud in self._clouds}
        regions = {cloud: frozenset(book.regions(cloud)) for cloud in self._clouds}
        for rate in self.instances:
            yield from self._unknown_region(rate.at, regions[rate.at.cloud])
            if rate.name not in names[rate.at.cloud]:
                yield _unknown(rate.at, f"{rate.at.cloud} has no type {rate.name}", rate.name, names[rate.at.cloud])

    def _unknown_services(self, book: PriceBook) -> Iterator[Finding]:
        known = {(price.cloud, price.service) for price in book.services}
        regions = {cloud: _regions(book, cloud) for cloud in {rate.at.cloud for rate in self.services}}
        for rate in self.services:
            yield from self._unknown_region(rate.at, regions[rate.at.cloud])
            names = {*billed_services(rate.at.cloud), *(service for cloud, service in known if cloud == rate.at.cloud)}
            if rate.service not in names:
                yield _unknown(rate.at, f"{rate.at.cloud} has no service {rate.service}", rate.service, sorted(names))
            elif not rate.unit and not _unit(rate, book):
                yield self._without_unit(rate, book)

    def _unknown_region(self, at: Written, known: frozenset[str]) -> Iterator[Finding]:
        if at.region not in known and f"{at.cloud}/{at.region}" not in self.regions:
            near = nearest(at.region, sorted(known))
            new = f"regions: [{at.cloud}/{at.region}] says that you mean it"
            fix = f"did you mean {near}? {new}" if near else new
            yield Finding(f"mlship knows no region {at.region} of {at.cloud}", at.where, fix, code="unknown-region")

    def _without_unit(self, rate: ServiceRate, book: PriceBook) -> Finding:
        items = {price.item for price in book.services if (price.cloud, price.service) == (rate.at.cloud, rate.service)}
        near = nearest(rate.item, sorted(items))
        meant = f"did you mean {near}? " if near else ""
        fix = f"{meant}A new item needs a unit: {{price: ..., unit: hour}}"
        return Finding(f"{rate.service} has no item {rate.item}", rate.at.where, fix, code="unknown-price")

    def _discounted(self, book: PriceBook) -> PriceBook:
        if not self.discounts:
            return book
        offers = {
            place: {name: self._cut(offer) for name, offer in named.items()} if self._touches(place[0]) else named
            for place, named in book.offers.items()
        }
        return replace(book, offers=offers, services=tuple(map(self._cut_service, book.services)))

    def _touches(self, cloud: str) -> bool:
        return any(of == cloud for of, _ in self.discounts)

    def _cut(self, offer: Offer) -> Offer:
        def less(price: float | None, kind: Kind) -> float | None:
            return None if price is None else price * (1 - self._discount(offer.machine.cloud, kind))

        def of(dated: Dated, kind: Kind) -> Dated:
            return _less(dated, self._discount(offer.machine.cloud, kind))

        sources = with_(
            offer.sources,
            on_demand=of(offer.sources.on_demand, "on_demand"),
            spot=of(offer.sources.spot, "spot"),
            reserved=of(offer.sources.reserved, "reserved"),
        )
        return with_(
            offer,
            on_demand=less(offer.on_demand, "on_demand"),
            spot=less(offer.spot, "spot"),
            reserved_1y=less(offer.reserved_1y, "reserved"),
            reserved_3y=less(offer.reserved_3y, "reserved"),
            sustained=less(offer.sustained, "on_demand"),
            sources=sources,
        )

    def _cut_service(self, price: ServicePrice) -> ServicePrice:
        discount = self._discount(price.cloud, "services")
        if not price.price or not discount:
            return price
        return with_(price, price=price.price * (1 - discount), dated=_less(price.dated, discount))

    def _discount(self, cloud: str, kind: Kind) -> float:
        return self.discounts.get((cloud, kind), 0.0)

    def _offer(self, rate: Rate, book: PriceBook, machines: Mapping[str, Machine]) -> Offer:
        """The book's offer with the named prices. A rate of one's own is flat: no discount for sustained use comes on top."""
        offer = book.offer(rate.at.cloud, rate.at.region, rate.name) or Offer(machines[rate.name], rate.at.region)
        own = Dated(OWN, self.as_of)
        sources = offer.sources
        if rate.on_demand is not None:
            sources = with_(sources, on_demand=own)
            offer = with_(offer, on_demand=rate.on_demand, sustained=None)
        if rate.spot is not None:
            sources = with_(sources, spot=own)
            offer = with_(offer, spot=rate.spot, spot_is_listed=True)
        if rate.reserved_1y is not None or rate.reserved_3y is not None:
            sources = with_(sources, reserved=own)
            offer = with_(
                offer,
                reserved_1y=offer.reserved_1y if rate.reserved_1y is None else rate.reserved_1y,
                reserved_3y=offer.reserved_3y if rate.reserved_3y is None else rate.reserved_3y,
            )
        return with_(offer, sources=sources)

    def _priced(self, book: PriceBook) -> Iterator[ServicePrice]:
        for rate in self.services:
            unit = rate.unit or _unit(rate, book)
            at = rate.at
            yield ServicePrice(at.cloud, rate.service, at.region, rate.item, unit, rate.price, dated=Dated(OWN, self.as_of))


def parse(text: str, where: str) -> Overrides:
    """What a file of prices says. where: its name, for messages. Raises FindingsError with all that is wrong with it."""
    return Overrides(where=where, **read(text, where))


def _types(book: PriceBook, cloud: str) -> Mapping[str, Machine]:
    return {offer.machine.name: offer.machine for offer in book.every_offer() if offer.machine.cloud == cloud}


def _regions(book: PriceBook, cloud: str) -> frozenset[str]:
    """Also those that only services know: `tier1`, `global`."""
    return frozenset((*book.regions(cloud), *(price.region for price in book.services if price.cloud == cloud)))


def _unit(rate: ServiceRate, book: PriceBook) -> str:
    """As the book bills the item, here or in another region, or as plans have it; `` where neither knows it."""
    named = (rate.at.cloud, rate.service, rate.item)
    units = {price.region: price.unit for price in book.services if (price.cloud, price.service, price.item) == named}
    known = units.get(rate.at.region) or units.get(ANY_REGION) or next(iter(units.values()), "")
    return known or billed_unit(*named, _types(book, rate.at.cloud))


def _unknown(at: Written, what: str, name: str, known: Mapping[str, Machine] | list[str]) -> Finding:
    near = nearest(name, known)
    fix = f"did you mean {near}?" if near else "mlship prices coverage shows what it knows"
    return Finding(what, at.where, fix, code="unknown-price")


def _less(dated: Dated, discount: float) -> Dated:
    """The day stays that of the list price: a discount makes no price younger."""
    return Dated(f"{OWN}: {discount * 100:.4g} % off {dated.source}".rstrip(), dated.day) if discount else dated
