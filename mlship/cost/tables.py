"""Tables of prices -> a book: `instances.csv` and `managed.csv`, in the columns that docs/guide.md names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from functools import cache

from mlship.cost.book import CLOUDS, UNDATED, Dated, Machine, Offer, PriceBook, ServicePrice, Sources, book_of
from mlship.errors import MlshipError

INSTANCES, MANAGED = "instances.csv", "managed.csv"
_TB = 1024.0  # GB: vendors count the tiers of their traffic so
_NEEDED = {
    INSTANCES: ("cloud", "region", "instance_type", "arch", "vcpus", "memory_gib", "on_demand_usd_hour"),
    MANAGED: ("cloud", "service", "region", "item", "unit", "price_usd"),
}


def book_from(as_of: str, instances: str = "", managed: str = "") -> PriceBook:
    """instances, managed: the texts of the two tables; `` is no such table. as_of: the day on which they were put together.

    Raises MlshipError, which names table, line and column.
    """
    offers = [_offer(row) for row in _rows(INSTANCES, instances)]
    return book_of(as_of, offers, [_service_price(row) for row in _rows(MANAGED, managed)])


class _Row:
    """One line of a table; what is wrong with it is told with its place."""

    def __init__(self, table: str, line: int, cells: Mapping[str, str]) -> None:
        self._table = table
        self._line = line
        self._cells = cells

    def text(self, column: str) -> str:
        return (self._cells.get(column) or "").strip()

    def number(self, column: str) -> float | None:
        """None where the cell is empty."""
        said = self.text(column)
        if not said:
            return None
        try:
            number = float(said)
        except ValueError:
            raise self.wrong(column, "is no number") from None
        if not 0 <= number < 1e15:
            raise self.wrong(column, "is not a number from 0 on")
        return number

    def wrong(self, column: str, what: str) -> MlshipError:
        return MlshipError(
            f"{column} {self.text(column)[:40]!r} {what}", f"{self._table}:{self._line}", "correct the line", code="bad-prices"
        )


def _rows(table: str, text: str) -> Iterator[_Row]:
    if not text:
        return
    reader = csv.DictReader(io.StringIO(text))
    lacking = [column for column in _NEEDED[table] if column not in (reader.fieldnames or ())]
    if lacking:
        raise MlshipError(f"the table has no column {', '.join(lacking)}", f"{table}:1", "add it", code="bad-prices")
    for cells in reader:
        row = _Row(table, reader.line_num, cells)
        if row.text("cloud") not in CLOUDS:
            raise row.wrong("cloud", f"is none of {', '.join(CLOUDS)}")
        yield row


def _offer(row: _Row) -> Offer:
    basis = row.text("spot_basis")
    return Offer(
        _machine(row),
        row.text("region"),
        row.number("on_demand_usd_hour"),
        row.number("spot_usd_hour"),
        basis == "snapshot",
        row.number("reserved_1y_usd_hour"),
        row.number("reserved_3y_usd_hour"),
        row.number("sustained_use_usd_hour"),
        row.text("interruption_bucket"),
        sources_from(row.text("source"), row.text("as_of"), is_listed=basis == "snapshot"),
    )


def _machine(row: _Row) -> Machine:
    vcpus = row.number("vcpus")
    if not vcpus:
        raise row.wrong("vcpus", "is not a number of processors")
    return Machine(
        row.text("cloud"),
        row.text("instance_type"),
        row.text("family"),
        row.text("category"),
        row.text("arch"),
        vcpus,
        row.number("memory_gib"),
        row.text("accelerator"),
        int(row.number("accelerator_count") or 0),
        row.text("vcpu_is_physical_core") == "1",
    )


@cache
def sources_from(source: str, as_of: str, *, is_listed: bool) -> Sources:
    """`KA + ES(reserved) + SA(spot,bucket)` with `2026-07-20 / 2025-04-05 / 2025-06-28`: which price is whose, and of which day.

    A source without parentheses tells all that no other one tells. is_listed: of several that tell the spot price the last one
    listed it, else the first one's discount was taken.
    """
    codes = [re.fullmatch(r"([^()]+)(?:\(([^()]*)\))?", code.strip()) for code in source.split(" + ")]
    days = [day.strip() for day in as_of.split(" / ")]
    whole, named = UNDATED, dict[str, Dated]()
    for code, day in zip(codes, days, strict=False):
        if code is None:
            continue
        dated = Dated(code[1].strip(), day)
        if code[2] is None:
            whole = whole if whole is not UNDATED else dated
            continue
        for kind in code[2].split(","):
            if is_listed or kind not in named:
                named[kind] = dated
    return Sources(whole, named.get("spot", whole), named.get("reserved", whole), named.get("bucket", whole))


def _service_price(row: _Row) -> ServicePrice:
    above, upto = _tier(row)
    return ServicePrice(
        row.text("cloud"),
        row.text("service"),
        row.text("region"),
        row.text("item"),
        row.text("unit"),
        row.number("price_usd"),
        above,
        upto,
        Dated(row.text("source"), row.text("as_of")),
        row.text("note"),
    )


def _tier(row: _Row) -> tuple[float, float | None]:
    """`100` and `10240` in the price's own unit; `1-10` and `10n` (from 10 on) in TB."""
    span = re.fullmatch(r"(\d+)(?:-(\d+)|n)", row.text("tier_from"))
    if span:
        return int(span[1]) * _TB, int(span[2]) * _TB if span[2] else None
    return row.number("tier_from") or 0.0, row.number("tier_to")
