"""The cost line of a plan: the same prices, speeds and day as those of cost-estimate."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.config.load import load_project
from mlship.errors import MlshipError
from mlship.flows.context import Context
from mlship.flows.costing.change import cost_change
from mlship.flows.results import CostChange
from mlship.home import Home
from mlship.progress import Silent
from mlship.releases.release import Release, Served
from mlship.runner import LocalRunner
from mlship.targets.base import Deployment
from mlship.targets.fake import WORLD, FakeTarget

YAML = "name: churn\nmodel: m.joblib\ntarget: fake\n"
PRICES = "as_of: 2026-11-01\ninstances: {aws/us-east-1/m7g.medium: {on_demand: 0.10}}\n"
TODAY = 1_795_305_600.0  # 2026-11-22
JULY_2025 = 1_752_105_600.0  # twelve days after the day of the spot price


def change(
    folder: Path, more: str = "", service: str = "memory", now: float = TODAY, replicas: tuple[int, int] = (2, 2)
) -> CostChange:
    (folder / "mlship.yaml").write_text(YAML + more)
    context = Context(Home(folder / "home"), LocalRunner(), Silent(), {}, folder, lambda: now, "anna@test pid 1")
    project = load_project(folder / "mlship.yaml", needs_model=False)
    wanted = Deployment("churn", "", "fake", service, Release(0, Served("", ()), 0.0), {}, {}, replicas=replicas)
    return cost_change(context, project, FakeTarget("churn", "", WORLD), None, wanted)


def test_prices_of_ones_own_go_before_the_books(tmp_path: Path) -> None:
    assert change(tmp_path).prices["usd_month"] == pytest.approx(2 * 730 * 0.0408)
    (tmp_path / "prices.yaml").write_text(PRICES)
    assert change(tmp_path, "cost: {price_overrides: prices.yaml}\n").prices["usd_month"] == pytest.approx(2 * 730 * 0.10)


def test_what_sleeps_costs_nothing_only_while_nobody_calls(tmp_path: Path) -> None:
    assert "a month while nobody calls (prices of" in change(tmp_path, replicas=(0, 2)).text
    assert "nobody calls" not in change(tmp_path, "cost: {traffic: {rps: 20}}\n", replicas=(0, 2)).text
    assert "nobody calls" not in change(tmp_path).text


def test_prices_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match=r"prices\.yaml cannot be read"):
        change(tmp_path, "cost: {price_overrides: prices.yaml}\n")


def test_a_measured_speed_counts(tmp_path: Path) -> None:
    told = change(tmp_path, "cost: {service_time: 10ms, speeds: {memory: 0.5}, traffic: {rps: 20}}\n").prices["assumptions"]
    assert any("measured speed 0.5 (memory)" in line for line in told)


def test_spot_prices_are_as_old_as_the_day_makes_them(tmp_path: Path) -> None:
    spot = "cost: {profile: spot, on_demand_base: 0}\n"
    assert " to " in change(tmp_path, spot, "vm").text
    assert " to " not in change(tmp_path, spot, "vm", now=JULY_2025).text
