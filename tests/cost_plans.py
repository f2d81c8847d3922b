"""Plans with figures of a round kind, for what prints them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlship.cost.candidate import Candidate, CostPlan, Line, Purchase, Replicas
from mlship.cost.workload import Hour, ServiceTime, Traffic, Unit, Workload

MACHINE = Candidate("aws", "vm", "us-east-1", Purchase(), Unit(2), (), "m7g.large", "arm64", excluded=("disk", "taxes"))
TASK = Candidate("aws", "ecs", "us-east-1", Purchase(), Unit(1), (), size="1 vCPU 2 GiB", arch="arm64", excluded=("LCU",))
FUNCTION = Candidate("aws", "lambda", "us-east-1", Purchase("per-request"), Unit(1), (), size="2 GiB")
LINES = (
    Line("task", "Fargate", 1460, "hour", 57.67, "2026-03"),
    Line("front", "load balancer", 730, "hour", 16.43, "2026-10"),
    Line("address", "public IPv4", 1460, "hour", 7.3, "2026-10"),
)
OWN = CostPlan(
    TASK,
    Replicas(2, 2.25, 6),
    81.4,
    81.4 / 730,
    usd_per_million=1.5487,
    idle_usd_month=81.4,
    interruptions_month=0.0,
    p50_ms=7.2,
    p99_ms=18.4,
    price_dates=("2026-03", "2026-10"),
    assumptions=("a month has 730 hours", "ecs arm64: 1 vCPU, whole cores (assumed)"),
    lines=LINES,
)
SERVERLESS = replace(
    OWN,
    candidate=FUNCTION,
    replicas=Replicas(0, 0.2, 1),
    usd_month=21.024,
    usd_hour=0.0288,
    usd_per_million=0.4,
    idle_usd_month=0.0,
    p99_ms=31.0,
    assumptions=("a month has 730 hours", "each request finds a replica of its own"),
    lines=(Line("function", "Lambda", 315360, "GB-second", 21.024, "2026-10"),),
)
INCOMPLETE = replace(
    OWN,
    candidate=replace(TASK, purchase=Purchase("on-demand+spot", base=2)),
    unknowns=("aws us-east-1 fargate_spot vcpu_arm64",),
    interruptions_month=None,
)
SPOT = replace(
    OWN,
    candidate=replace(MACHINE, region="us-west-2", purchase=Purchase("reserved+spot", base=2)),
    usd_month=107.8,
    spot_range=(83.7, 123.9),
    interruptions_month=0.28,
    lines=(Line("instance", "m7g.large committed 1y", 1460, "hour", 59.5, "2025-04-05"),
           Line("instance", "m7g.large spot", 1642, "hour", 48.3, "2025-06-28")),
)  # fmt: skip
UNPRICED = replace(OWN, usd_month=None, usd_hour=None, usd_per_million=None, idle_usd_month=None, unknowns=("aws x",), lines=())
TRAFFIC = Traffic((Hour(5.0, 547.5), Hour(65.0, 182.5)), source="mlship.yaml:31")
WORKLOAD = Workload(TRAFFIC, ServiceTime(0.006, source="build"), p99_s=0.1)


def changed(plan: CostPlan, **values: Any) -> CostPlan:
    """With other values of its candidate."""
    return replace(plan, candidate=replace(plan.candidate, **values))
