"""The shipped form of the prices: small, quick, and exactly what the tables say."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from test_price_tables import INSTANCES, MANAGED

from mlship.cost.book_file import from_bytes, to_bytes
from mlship.cost.coverage import coverage
from mlship.cost.tables import book_from
from mlship.errors import MlshipError
from mlship.flows.prices import SHIPPED

TABLES = Path(__file__).parents[3] / "shared" / "prices"


def test_a_book_comes_back_as_it_was_written():
    book = book_from("2026-11-21", INSTANCES, MANAGED)
    again = from_bytes(to_bytes(book))
    assert (again.as_of, again.offers) == (book.as_of, dict(book.offers))
    assert sorted(again.services, key=repr) == sorted(book.services, key=repr)


def test_equal_prices_give_equal_bytes_in_whatever_order_they_came():
    lines = INSTANCES.splitlines()
    other = "\n".join([lines[0], *reversed(lines[1:])])
    assert to_bytes(book_from("2026-11-21", INSTANCES)) == to_bytes(book_from("2026-11-21", other))


@pytest.mark.parametrize(
    "content", [b"", b"no book", gzip.compress(b"{}"), gzip.compress(b'{"schema": 1, "as_of": 5}'), b"\x1f\x8b\x08"]
)
def test_what_is_no_book_is_refused(content):
    with pytest.raises(MlshipError, match="this is no book of prices"):
        from_bytes(content, "prices.book")


def test_a_newer_book_is_refused():
    newer = gzip.decompress(to_bytes(book_from("2026-11-21", INSTANCES))).replace(b'"schema":1', b'"schema":2')
    with pytest.raises(MlshipError, match="written by a newer mlship"):
        from_bytes(gzip.compress(newer))


def test_the_shipped_book_is_small_and_covers_three_clouds():
    assert SHIPPED.stat().st_size < 500_000
    found = coverage(from_bytes(SHIPPED.read_bytes()))
    assert {cloud: sum(of.types for of in found.machines if of.cloud == cloud) for cloud in ("aws", "gcp", "azure")} == {
        "aws": 4294,
        "gcp": 6569,
        "azure": 8508,
    }
    (serverless,) = [of for of in found.services if of.service == "sagemaker_serverless"]
    assert (serverless.regions, serverless.unknown) == ((), ("compute",))


@pytest.mark.skipif(not TABLES.is_dir(), reason="the tables that the shipped prices come from are not beside the project")
def test_every_shipped_price_is_that_of_its_table():
    shipped = from_bytes(SHIPPED.read_bytes())
    tables = book_from(shipped.as_of, (TABLES / "instances.csv").read_text(), (TABLES / "managed.csv").read_text())
    assert shipped.offers == dict(tables.offers)
    assert set(shipped.services) == set(tables.services)
