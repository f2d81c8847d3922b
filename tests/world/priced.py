"""What every built example must cost: something known on AWS, counted with the time that its own build measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ASKED = ("cost-estimate", "--target", "aws", "--service", "ecs", "--rps", "5", "--slo", "1s")


def assert_priced(estimate: Mapping[str, Any]) -> None:
    """estimate: what `mlship cost-estimate` of ASKED says with --json, in a project that is built."""
    [plan] = [plan for plan in estimate["plans"] if (plan["target"], plan["service"]) == ("aws", "ecs")]
    assert plan["complete"] and 50 < plan["usd_month"] < 500, plan
    assert plan["replicas"]["peak"] >= 1 and 0 < plan["p99_ms"] <= 1000, plan
    assert any("of a core (build, the model alone" in said for said in plan["assumptions"]), plan["assumptions"]
