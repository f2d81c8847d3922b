"""What people read of prices."""

from __future__ import annotations

from pathlib import Path

from test_price_tables import INSTANCES, MANAGED

from mlship.cli.payloads import price_coverage, price_offer, prices_refreshed
from mlship.cli.views.prices import coverage_text, offer_text, refreshed_text
from mlship.cost.book import is_old_spot
from mlship.cost.coverage import coverage
from mlship.cost.refresh.base import Missing
from mlship.cost.tables import book_from
from mlship.errors import Exit
from mlship.flows.prices_refresh import Refreshed

BOOK = book_from("2026-11-21", INSTANCES, MANAGED)
MISSING = Missing("aws", "us-east-1 AmazonEC2", "it answers 503", "try again later")
SKIPPED = Missing("gcp", "all", "a key is needed", "set GOOGLE_API_KEY", Exit.DENIED)


def test_all_prices_of_a_type_are_shown_with_source_and_day():
    offer = BOOK.offer("aws", "us-east-1", "c7g.large")
    assert offer_text(offer).splitlines() == [
        "aws us-east-1 c7g.large: 2 vCPU (whole cores), 4 GiB, arm64",
        "                 USD/hour  of          source",
        "  on demand      0.0725    2026-07-20  KA",
        "  sustained use  unknown   -           -",
        "  spot           0.0309    2026-09-06  CP",
        "  1 year         0.0457    2025-04-05  ES",
        "  3 years        0.0313    2025-04-05  ES",
        "interrupted in a month: 5-10% (2025-06-28)",
    ]
    told = price_offer(offer)["offer"]
    assert (told["machine"]["name"], told["spot"], told["sources"]["spot"]["day"]) == ("c7g.large", 0.0309, "2026-09-06")


def test_what_is_not_known_of_a_type_is_said_so():
    text = offer_text(BOOK.offer("gcp", "us-east1", "g2-standard-4"))
    assert text.startswith("gcp us-east1 g2-standard-4: 4 vCPU (hyper-threads), memory unknown, x86_64, 1 x L4\n")
    assert "spot           unknown" in text


def test_the_users_own_book_stands_above_the_whole():
    found = coverage(BOOK, own=BOOK, today="2026-11-22")
    assert coverage_text(found).splitlines()[1:3] == [
        "your own book, as of 2026-11-21: 2 prices of machines and 6 of services (GC, IC, KA)",
        "1 of its 1 spot prices are older than 30 days",
    ]
    assert price_coverage(found)["coverage"]["own"]["old_spot"] == 1
    assert "your own book" not in coverage_text(coverage(BOOK))


def test_a_spot_price_is_old_after_30_days_and_where_its_day_is_not_known():
    days = ("2026-10-23", "2026-10-22", "2026-10", "2026", "", "2026-13-45", "2026-Q3", "May")
    assert [is_old_spot(day, "2026-11-22") for day in days] == [False, *[True] * 7]


def test_what_was_read_missing_and_skipped_is_told():
    done = Refreshed(
        Path("/home/prices.book"), "2026-11-22", 402, 7, ("aws eu-west-1 AmazonEC2",), (MISSING,), (SKIPPED,), ("odd",)
    )
    assert refreshed_text(done).splitlines() == [
        "Wrote /home/prices.book: 402 prices of machines and 7 of services, as of 2026-11-22",
        "missing: aws us-east-1 AmazonEC2: it answers 503; try again later",
        "skipped: gcp all: a key is needed; set GOOGLE_API_KEY",
        "note: odd",
        "Next: mlship prices coverage",
    ]
    told = prices_refreshed(done)
    assert (done.exit, told["error"]["message"]) == (Exit.UNREACHABLE, "1 of 2 price lists could not be read")
    assert (told["missing"][0]["exit"], told["prices_as_of"]) == (13, "2026-11-22")
