"""The values between those who read prices and the book they go into. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlship.cost.book import Cloud, Dated, Machine, PriceBook, ServicePrice
from mlship.errors import Exit

VM = "vm"  # the machines, among the names of services


@dataclass(frozen=True)
class Priced:
    """What an interface says of one type of instance in one region: US dollars an hour, None where it says nothing."""

    machine: Machine
    region: str
    on_demand: float | None = None
    spot: float | None = None
    reserved_1y: float | None = None
    reserved_3y: float | None = None
    sustained: float | None = None


@dataclass(frozen=True)
class Part:
    """What one question brought, taken whole or not at all. dated: of all its prices. remarks: for people."""

    cloud: Cloud
    what: str
    dated: Dated
    machines: tuple[Priced, ...] = ()
    services: tuple[ServicePrice, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Missing:
    """What could not be read. what: `aws us-east-1 machines`. exit: 8 without permission, else 13."""

    cloud: Cloud
    what: str
    why: str
    fix: str = ""
    exit: Exit = Exit.UNREACHABLE


@dataclass(frozen=True)
class Machines:
    """What is known of types of instances besides their prices: the interfaces tell little of it, or nothing."""

    book: PriceBook

    @cached_property
    def _named(self) -> Mapping[tuple[str, str], Machine]:
        return {(offer.machine.cloud, offer.machine.name): offer.machine for offer in self.book.every_offer()}

    @cached_property
    def _families(self) -> Mapping[tuple[str, str], Machine]:
        return {(machine.cloud, machine.family): machine for machine in self._named.values()}

    def named(self, cloud: str, name: str) -> Machine | None:
        return self._named.get((cloud, name))

    def sibling(self, cloud: str, family: str) -> Machine | None:
        """Another type of the family: it has the same processor."""
        return self._families.get((cloud, family))

    def of(self, cloud: str) -> Iterator[Machine]:
        return (machine for (named, _), machine in self._named.items() if named == cloud)


def tiers(
    row: ServicePrice, listed: Iterable[tuple[float, float]], *, free_upto: float = 0.0, note: str = ""
) -> tuple[ServicePrice, ...]:
    """One row for each (from, price), ascending. row: all else. free_upto: units that cost nothing, before the first price.

    note: of tiers that cost nothing: `free tier` where they count only when asked for.
    """
    found = dict(sorted(listed))
    if free_upto and found.get(0.0):
        first = found.pop(0.0)
        found = {0.0: 0.0, free_upto: first, **{start: price for start, price in found.items() if start > free_upto}}
    starts = [*found]
    return tuple(
        ServicePrice(
            *(row.cloud, row.service, row.region, row.item, row.unit, price, start),
            upto,
            row.dated,
            note if price == 0 and len(found) > 1 else row.note,
        )
        for (start, price), upto in zip(found.items(), [*starts[1:], None], strict=True)
    )


def number(said: Any) -> float | None:
    """A price or an amount; None for what is none."""
    try:
        value = float(said)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) and 0 <= value < 1e12 and not isinstance(said, bool) else None
