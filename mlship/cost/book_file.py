"""The shipped form of a book of prices: gzip over JSON, each type of instance and each source once, an offer a short row.

Whole numbers, texts and doubles come back as they were: JSON's digits are those of the tables.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Hashable, Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct

from mlship.cost.book import Machine, Offer, PriceBook, ServicePrice, Sources
from mlship.errors import MlshipError

Value = TypeVar("Value", bound=Hashable)

SCHEMA = 1
LARGEST = 64 * 2**20  # bytes of a book, unpacked


class _Row(Struct, array_like=True, frozen=True):
    """An offer. machine, sources: places in the document's lists. The rest as in Offer."""

    machine: int
    sources: int
    on_demand: float | None
    spot: float | None
    spot_is_listed: bool
    reserved_1y: float | None
    reserved_3y: float | None
    sustained: float | None
    interruption: str


class _Place(Struct, array_like=True, frozen=True):
    cloud: str
    region: str
    rows: list[_Row]


class _Document(Struct, frozen=True):
    schema: int
    as_of: str
    machines: list[Machine]
    sources: list[Sources]
    places: list[_Place]
    services: list[ServicePrice]


def to_bytes(book: PriceBook) -> bytes:
    """Equal books give equal bytes, whatever order they came in."""
    machines = sorted({offer.machine for offer in book.every_offer()}, key=lambda machine: (machine.cloud, machine.name))
    sources = sorted({offer.sources for offer in book.every_offer()}, key=msgspec.json.encode)
    at, of = _numbered(machines), _numbered(sources)
    places = [
        _Place(*place, [_row(named[name], at, of) for name in sorted(named)]) for place, named in sorted(book.offers.items())
    ]
    services = sorted(book.services, key=lambda price: (price.cloud, price.service, price.region, price.item, price.above))
    document = _Document(SCHEMA, book.as_of, machines, sources, places, services)
    return gzip.compress(msgspec.json.encode(document), 9, mtime=0)


def from_bytes(content: bytes, where: str = "") -> PriceBook:
    """Raises MlshipError where it is no book, or one of a newer mlship."""
    try:
        unpacked = zlib.decompressobj(wbits=31).decompress(content, LARGEST)
        document = msgspec.json.decode(unpacked, type=_Document)
        newer = document.schema > SCHEMA
        offers = {(place.cloud, place.region): _offers(document, place) for place in document.places}
    except (zlib.error, msgspec.MsgspecError, IndexError) as error:
        raise MlshipError(f"this is no book of prices ({error})", where, "mlship prices refresh", code="bad-prices") from None
    if newer:
        raise MlshipError("this book of prices was written by a newer mlship", where, "upgrade mlship", code="newer-schema")
    return PriceBook(document.as_of, offers, tuple(document.services))


def _numbered(values: list[Value]) -> Mapping[Value, int]:
    return {value: at for at, value in enumerate(values)}


def _row(offer: Offer, at: Mapping[Machine, int], of: Mapping[Sources, int]) -> _Row:
    return _Row(
        at[offer.machine],
        of[offer.sources],
        offer.on_demand,
        offer.spot,
        offer.spot_is_listed,
        offer.reserved_1y,
        offer.reserved_3y,
        offer.sustained,
        offer.interruption,
    )


def _offers(document: _Document, place: _Place) -> dict[str, Offer]:
    machines, sources = document.machines, document.sources
    offers = (
        Offer(
            machines[row.machine],
            place.region,
            row.on_demand,
            row.spot,
            row.spot_is_listed,
            row.reserved_1y,
            row.reserved_3y,
            row.sustained,
            row.interruption,
            sources[row.sources],
        )
        for row in place.rows
    )
    return {offer.machine.name: offer for offer in offers}
