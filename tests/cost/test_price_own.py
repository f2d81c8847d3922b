"""The user's own prices go before the shipped ones, one by one."""

from __future__ import annotations

from msgspec.structs import replace

from mlship.cost.book import Dated, Machine, Offer, ServicePrice, Sources, book_of
from mlship.cost.own import laid_over

MACHINE = Machine("aws", "m7g.large", "m7g", "general", "arm64", 2.0, 8.0)
OLD, NEW = Dated("old", "2026-01-01"), Dated("new", "2026-11-22")
SHIPPED = Offer(MACHINE, "r", 0.10, 0.03, False, 0.07, 0.05, 0.08, "5-10%", Sources(OLD, OLD, OLD, OLD))
BARE = Offer(MACHINE, "r")


def over(own, shipped=SHIPPED):
    return laid_over(book_of("2026-01-01", [shipped]), book_of("2026-11-22", [own])).offer("aws", "r", "m7g.large")


def test_what_the_own_book_does_not_tell_the_shipped_one_does():
    assert over(BARE) == SHIPPED
    found = over(replace(BARE, spot=0.02, spot_is_listed=True, sources=Sources(spot=NEW)))
    assert (found.spot, found.spot_is_listed, found.sources.spot) == (0.02, True, NEW)
    assert (found.on_demand, found.reserved_1y, found.sustained, found.sources.on_demand) == (0.10, 0.07, 0.08, OLD)


def test_commitments_were_quoted_against_the_price_on_demand_and_fall_with_it():
    found = over(replace(BARE, on_demand=0.09, sources=Sources(on_demand=NEW)))
    assert (found.on_demand, found.reserved_1y, found.reserved_3y, found.sustained) == (0.09, None, None, None)
    assert (found.spot, found.interruption, found.sources.spot, found.sources.on_demand) == (0.03, "5-10%", OLD, NEW)
    same = over(replace(BARE, on_demand=0.10, sources=Sources(on_demand=NEW)))
    assert (same.reserved_1y, same.reserved_3y, same.sustained, same.sources.on_demand) == (0.07, 0.05, 0.08, NEW)


def test_own_commitments_are_not_mixed_with_shipped_ones():
    found = over(replace(BARE, reserved_1y=0.06, sources=Sources(reserved=NEW)))
    assert (found.reserved_1y, found.reserved_3y, found.sources.reserved) == (0.06, None, NEW)


def test_types_and_services_of_one_book_alone_stay():
    other = Offer(replace(MACHINE, name="own.large"), "r", 1.0)
    fee = ServicePrice("aws", "s", "r", "i", "hour", 1.0)
    book = laid_over(book_of("2026-01-01", [SHIPPED]), book_of("2026-11-22", [other], [fee]))
    assert [offer.machine.name for offer in book.every_offer()] == ["m7g.large", "own.large"]
    assert book.services == (fee,) and book.as_of == "2026-11-22"
