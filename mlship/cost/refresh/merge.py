"""What was read, into the user's own book. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from mlship.cost.book import UNDATED, Offer, PriceBook, book_of
from mlship.cost.refresh.base import Part, Priced


def merged(own: PriceBook, parts: Iterable[Part], as_of: str) -> PriceBook:
    """The user's own book with these prices in it. What a vendor did not tell of a type stays as it is, with its day."""
    parts = tuple(parts)
    offers = [_offer(own, priced, part) for part in parts for priced in part.machines]
    return own.overridden(book_of(as_of, offers, (price for part in parts for price in part.services)))


def _offer(own: PriceBook, priced: Priced, part: Part) -> Offer:
    before = own.offer(priced.machine.cloud, priced.region, priced.machine.name) or Offer(priced.machine, priced.region)
    return replace(before, **dict(_changes(before, priced, part)))


def _changes(before: Offer, priced: Priced, part: Part) -> Iterator[tuple[str, object]]:
    sources = before.sources
    moved = priced.on_demand is not None and priced.on_demand != before.on_demand
    if priced.on_demand is not None:
        sources = replace(sources, on_demand=part.dated)
        yield "on_demand", priced.on_demand
        yield "sustained", priced.sustained
    if priced.spot is not None:
        sources = replace(sources, spot=part.dated)
        yield "spot", priced.spot
        yield "spot_is_listed", True
    if priced.reserved_1y is not None or priced.reserved_3y is not None:
        sources = replace(sources, reserved=part.dated)
        yield "reserved_1y", priced.reserved_1y
        yield "reserved_3y", priced.reserved_3y
    elif moved:  # it was quoted against another price
        sources = replace(sources, reserved=UNDATED)
        yield "reserved_1y", None
        yield "reserved_3y", None
    yield "sources", sources
