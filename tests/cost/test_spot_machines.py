"""Spot machines: how often they end in a month, and which of their prices are a range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mlship.cost.book import Dated, Machine, Offer, Sources, book_of
from mlship.cost.candidate import Candidate, CostPlan, Purchase
from mlship.cost.candidates import purchases_of
from mlship.cost.estimate import estimate
from mlship.cost.workload import Hour, ServiceTime, Traffic, Unit, Workload
from mlship.targets.base import PriceKey
from mlship.targets.machines import machine

OFTEN = 0.075  # a month, of each machine: the middle of 5-10%


def spot(
    replicas: int, settings: Mapping[str, Any] | None = None, base: int = 0, day: str = "", service: ServiceTime | None = None
) -> CostPlan:
    type_ = Machine("aws", "m7g.4xlarge", "m7g", "general", "arm64", 16.0, 64.0)
    sources = Sources(spot=Dated("x", day))
    offer = Offer(type_, "us-east-1", 0.6, 0.2, interruption="5-10%", sources=sources)
    nodes = machine(PriceKey("aws", "us-east-1", instance="m7g.4xlarge"), "node", settings)
    purchase = Purchase("on-demand+spot", base=base)
    candidate = Candidate("kubernetes", "deployment", "us-east-1", purchase, Unit(1), nodes, "m7g.4xlarge")
    traffic = Traffic((Hour(1.0, 730.0),))
    return estimate(candidate, Workload(traffic, service, replicas=(replicas, replicas)), book_of("2026-11-21", [offer]))


def test_machines_that_run_all_month_end_as_often_as_listed() -> None:
    assert spot(4).interruptions_month == pytest.approx(4 * OFTEN)


def test_replicas_that_share_a_node_end_with_it() -> None:
    assert spot(24, settings={"per_replica": {"cpu": 1.0}}).interruptions_month == pytest.approx(2 * OFTEN)


def test_a_base_of_replicas_is_the_nodes_that_hold_it() -> None:
    plan = spot(24, settings={"per_replica": {"cpu": 1.0}}, base=8)
    assert plan.usd_month == pytest.approx(730 * (0.6 + 0.2)) and plan.interruptions_month == pytest.approx(OFTEN)


def test_what_is_left_of_a_spot_pool_is_what_the_other_nodes_hold() -> None:
    def lost(replicas: int, base: int) -> str:
        plan = spot(replicas, settings={"per_replica": {"cpu": 1.0}}, base=base, service=ServiceTime(0.1))
        return next(line for line in plan.assumptions if line.startswith("if the whole spot pool goes"))

    assert "goes at the peak: 16 replicas serve 100%" in lost(24, 8)  # a base of 8 is a whole node
    assert "goes at the peak: 0 replicas serve 0%" in lost(24, 0)
    assert "goes at the peak: 10 replicas" in lost(10, 4)  # one node holds them all


def test_a_spot_price_of_no_day_is_a_range() -> None:
    assert [spot(4, day=day).spot_range is None for day in ("2026-11-01", "2026-01-01", "2026-Q3", "")] == [True, *[False] * 3]


def test_an_endpoint_of_vertex_is_bought_managed_or_with_spot() -> None:
    assert purchases_of("vertex", {}) == ("managed", "on-demand+spot")
    assert purchases_of("sagemaker", {}) == ("managed",)
