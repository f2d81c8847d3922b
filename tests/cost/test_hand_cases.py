"""Estimates against figures that were computed by hand from the price tables, stated without a file or a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlship.cli.payloads import cost_plan
from mlship.flows.context import Context, Where
from mlship.flows.cost_estimate import cost_estimate
from mlship.flows.costing.asked import Asked
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import LocalRunner

TODAY = 1_795_305_600.0  # 2026-11-22
CASES = Path(__file__).parent.parent / "cases" / "cost"
NAMED = [(file.stem, case) for file in sorted(CASES.glob("*.yaml")) for case in yaml.safe_load(file.read_text())]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Home(tmp_path / "home"), LocalRunner(), Silent(), {}, tmp_path, lambda: TODAY, "anna@test pid 1")


@pytest.mark.parametrize("case", [case for _, case in NAMED], ids=[f"{stem}: {case['name']}" for stem, case in NAMED])
def test_a_plan_costs_what_a_hand_computes(case: dict[str, Any], context: Context) -> None:
    plan = cost_plan(cost_estimate(context, Where(), asked(case, context.cwd)).plans[0])
    for key, wanted in case["expect"].items():
        assert plan[key] == (wanted if isinstance(wanted, list | str | bool | None) else pytest.approx(wanted, rel=1e-4)), key


def asked(case: dict[str, Any], folder: Path) -> Asked:
    if "profile" not in case:
        return Asked(**case["asked"])
    table = folder / "hours.csv"
    table.write_text("\n".join(str(rate) for rate in case["profile"]))
    return Asked(**case["asked"], profile=table)
