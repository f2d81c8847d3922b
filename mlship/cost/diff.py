"""What a change costs: one plan before, one after. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlship.cost.candidate import CostPlan
from mlship.cost.figures import (
    HALF_A_CENT,
    milliseconds,
    month_text,
    number,
    per_million_text,
    purchase_text,
    replicas_text,
    subject,
    usd,
)


@dataclass(frozen=True)
class Row:
    """before, after: as people read them. delta: `` where nothing changed or nobody can tell."""

    name: str
    before: str
    after: str
    delta: str = ""

    @property
    def is_changed(self) -> bool:
        return self.before != self.after or bool(self.delta)


@dataclass(frozen=True)
class Diff:
    """usd_month: US dollars that the plan after costs more (negative: less); None where a price of either is unknown.

    usd_per_million: the same for a million requests.
    """

    before: CostPlan
    after: CostPlan
    usd_month: float | None
    usd_per_million: float | None
    rows: tuple[Row, ...]


def diff(before: CostPlan, after: CostPlan) -> Diff:
    """rows: what it is, what it costs, and every item of the bill that changed."""
    month = _delta(before.usd_month, after.usd_month) if before.is_complete and after.is_complete else None
    million = _delta(before.usd_per_million, after.usd_per_million) if month is not None else None
    return Diff(before, after, month, million, tuple(_rows(before, after, month, million)))


def change_text(found: Diff) -> str:
    """`+$12.40 a month (+15 %)`, `no change`, `unknown: a price is missing`."""
    if found.usd_month is None:
        return "unknown: a price is missing"
    if abs(found.usd_month) < HALF_A_CENT:
        return "no change"
    share = f" ({found.usd_month / found.before.usd_month:+.0%})".replace("%", " %") if found.before.usd_month else ""
    return f"{signed(found.usd_month)} a month{share}"


def signed(amount: float) -> str:
    """`+$12.40`, `-$3.00`, `$0`."""
    return f"+{usd(amount)}" if amount >= HALF_A_CENT else usd(amount) if amount <= -HALF_A_CENT else "$0"


def _rows(before: CostPlan, after: CostPlan, month: float | None, million: float | None) -> Iterator[Row]:
    yield Row("what", subject(before), subject(after))
    yield Row("region", before.candidate.region, after.candidate.region)
    yield Row("purchase", purchase_text(before.candidate.purchase), purchase_text(after.candidate.purchase))
    yield Row("replicas", replicas_text(before.replicas), replicas_text(after.replicas), _replicas_delta(before, after))
    yield Row("a month", month_text(before), month_text(after), _money_delta(month))
    yield Row("a million requests", per_million_text(before), per_million_text(after), _money_delta(million))
    yield Row("p99", milliseconds(before.p99_ms), milliseconds(after.p99_ms), _time_delta(before.p99_ms, after.p99_ms))
    yield from _items(before, after)


def _items(before: CostPlan, after: CostPlan) -> Iterator[Row]:
    """Items of the bill by name, in the order in which they are met; those that cost the same are left out."""
    was, now = before.bill, after.bill
    for name in dict.fromkeys((*was, *now)):
        old, new = was.get(name, 0.0), now.get(name, 0.0)
        delta = _delta(old, new)
        if delta is None or abs(delta) >= HALF_A_CENT:
            yield Row(name, _item(name, was), _item(name, now), _money_delta(delta))


def _item(name: str, bill: Mapping[str, float | None]) -> str:
    return usd(bill[name]) if name in bill else "-"


def _delta(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _money_delta(delta: float | None) -> str:
    return "" if delta is None or abs(delta) < HALF_A_CENT else signed(delta)


def _replicas_delta(before: CostPlan, after: CostPlan) -> str:
    delta = after.replicas.average - before.replicas.average
    return "" if abs(delta) < 0.05 else ("+" if delta > 0 else "") + number(delta)


def _time_delta(before: float | None, after: float | None) -> str:
    delta = _delta(before, after)
    return "" if delta is None or abs(delta) < 0.05 else ("+" if delta > 0 else "-") + milliseconds(abs(delta))
