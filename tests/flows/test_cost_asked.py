"""What a file says of its traffic is a rate, or a month's count of requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.config.load import load_project
from mlship.errors import MlshipError
from mlship.flows.costing.asked import Asked
from mlship.flows.costing.measured import Measured
from mlship.flows.costing.sizes import resources_from
from mlship.flows.costing.workload import workload_from


def traffic(folder: Path, said: str):
    file = folder / "mlship.yaml"
    file.write_text(f"cost: {{traffic: {said}}}\n")
    return workload_from(Asked(), load_project(file, needs_model=False), Measured()).traffic


def test_requests_of_a_month_are_a_rate_and_may_have_a_peak(tmp_path: Path):
    flat = traffic(tmp_path, "{requests_month: 5256000}")
    assert (flat.requests, flat.peak, flat.source) == (pytest.approx(5_256_000), pytest.approx(2), "mlship.yaml:1:8")
    hill = traffic(tmp_path, "{requests_month: 5256000, peak: 8}")
    assert (hill.mean, hill.peak) == (pytest.approx(2), pytest.approx(8))
    assert traffic(tmp_path, "{requests_month: 0}") is None


def test_the_most_replicas_of_the_command_line_go_before_those_of_the_file(tmp_path: Path):
    file = tmp_path / "mlship.yaml"
    file.write_text("scale: {replicas: 2..6}\n")
    project = load_project(file, needs_model=False)
    most = [workload_from(Asked(max_replicas=count), project, Measured()).replicas for count in (None, 9, 4, 1)]
    assert most == [(2, 6), (2, 9), (2, 4), (1, 1)]
    assert workload_from(Asked(max_replicas=9), None, Measured()).replicas == (1, 9)
    assert workload_from(Asked(max_replicas=9, optimise=True), project, Measured()).replicas == (2, 6)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked(replicas="²"), "--replicas  ² is no number of replicas; write 3, or 2..10"),
        (Asked(replicas="9" * 5000), f"--replicas  {'9' * 60}... is no number of replicas; write 3, or 2..10"),
        (Asked(gpu="9" * 7), "--gpu  9999999 is no number of GPUs; write 1, or a type such as l4"),
    ],
)
def test_digits_that_are_no_count_are_refused(asked: Asked, told: str):
    with pytest.raises(MlshipError) as caught:
        resources_from(asked, None)
        workload_from(asked, None, Measured())
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("{requests_month: 5, rps: 2}", "rps and requests_month both say what comes; keep one of them"),
        ("{peak: 80}", "the mean is missing; write rps: 20, and peak: 80 beside it"),
        ("{requests_month: 1.0e+300}", "1e+300 is no amount; write a number from 0 on"),
    ],
)
def test_traffic_that_is_none_is_told_with_its_line(tmp_path: Path, said: str, told: str):
    with pytest.raises(MlshipError) as caught:
        traffic(tmp_path, said)
    assert str(caught.value) == f"mlship.yaml:1:8 cost.traffic  {told}"
