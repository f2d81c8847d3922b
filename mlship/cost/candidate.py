"""One way to serve it, and what that comes to: the values between the estimate, the optimiser and those who print. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from mlship.cost.workload import Unit, Workload
from mlship.targets.base import Resource

PurchaseName = Literal[
    "on-demand", "fixed", "reserved", "reserved+on-demand", "on-demand+spot", "reserved+spot", "per-request", "managed"
]
PURCHASES: tuple[PurchaseName, ...] = get_args(PurchaseName)


@dataclass(frozen=True)
class Purchase:
    """How capacity is bought.

    on-demand: what the autoscaler wants, by the hour. fixed: the peak, all month, on demand. reserved: the peak, committed.
    A name with + has a base of the first kind and the rest of the second. base: so many replicas; None: what costs least
    (reserved) or the least number of replicas (on-demand). on_demand_share: above an on-demand base, this share of the replicas
    is not spot either ([0, 1], AWS' percentage above base). term: of a commitment. upfront: what of it is paid at once; the book
    knows prices with nothing upfront only.
    """

    name: PurchaseName = "on-demand"
    base: int | None = None
    on_demand_share: float = 0.0
    term: Literal["1y", "3y"] = "1y"
    upfront: Literal["none", "partial", "all"] = "none"


@dataclass(frozen=True)
class Candidate:
    """resources: what the target would create, with where its prices stand. arch: `x86_64`, `arm64`. instance: `` for none.

    size: for people, of a service without instances: `1 vCPU 2 GiB`. can_deploy: mlship can deploy to it (a plain machine: by
    hand). excluded: what is not in the resources though it will be billed, for people.
    """

    target: str
    service: str
    region: str
    purchase: Purchase
    unit: Unit
    resources: tuple[Resource, ...]
    instance: str = ""
    arch: str = "x86_64"
    size: str = ""
    can_deploy: bool = True
    excluded: tuple[str, ...] = ()

    def workload(self, asked: Workload) -> Workload:
        """As it is served here: what bills by the request keeps no replica waiting where nobody asks for one.

        A function takes one request at a time, whatever others take (docs.aws.amazon.com/lambda, "Understanding concurrency").
        """
        if self.service == "lambda":
            asked = replace(asked, concurrency=1.0)
        if self.purchase.name != "per-request" or asked.is_least_said:
            return asked
        return replace(asked, replicas=(0, asked.replicas[1]))


@dataclass(frozen=True)
class Line:
    """One item of a month's bill. quantity: of unit. usd: None where the price is unknown. dated: of the price, `2026-03`."""

    kind: str
    name: str
    quantity: float
    unit: str
    usd: float | None
    dated: str = ""


@dataclass(frozen=True)
class Replicas:
    """min: at the quietest time. average: over the month. peak: at the busiest."""

    min: int
    average: float
    peak: int


@dataclass(frozen=True)
class CostPlan:
    """What one candidate costs. usd_month: at least so much where it is not `complete`; None where nothing of it is known.

    usd_per_million: of requests; None without traffic. idle_usd_month: without a single request; None where a price is unknown.
    interruptions_month: expected ends of spot machines, 0 where none is spot, None where nobody tells. p50_ms, p99_ms: at the
    busiest time; None where the service time is unknown or the rate is more than the replicas carry (`is_overloaded`).
    price_dates: the days of the prices used, ascending. spot_range: USD a month with the spot prices as far down and up as they may
    have moved since; None where they are young or none is used. neighbours: what an unknown price is elsewhere, for people:
    `load balancer like us-east-1, unverified: $16.43`; never counted.
    """

    candidate: Candidate
    replicas: Replicas
    usd_month: float | None
    usd_hour: float | None
    usd_per_million: float | None = None
    idle_usd_month: float | None = None
    interruptions_month: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    is_overloaded: bool = False
    price_dates: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    unknowns: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    spot_range: tuple[float, float] | None = None
    neighbours: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        return not self.unknowns

    @property
    def bill(self) -> Mapping[str, float | None]:
        """US dollars a month by the items' names, in the order of the lines; None where one of that name is unknown."""
        found: dict[str, float | None] = {}
        for line in self.lines:
            sofar = found.get(line.name, 0.0)
            found[line.name] = None if sofar is None or line.usd is None else sofar + line.usd
        return found
