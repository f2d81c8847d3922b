"""What bench measured of an image says how many requests a copy on Cloud Run is given at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fake_project import made_context

from mlship.bench.machine import Processor
from mlship.bench.records import Benches, Measured
from mlship.flows.context import Context
from mlship.flows.measured_concurrency import with_measured
from mlship.releases.history import History
from mlship.releases.release import Release, Served
from mlship.targets.base import Deployment

CONTENT = "sha256:" + "a" * 64
RELEASE = Release(1, Served(CONTENT, ()), 0.0)
DEPLOYMENT = Deployment("churn", "", "gcp", "cloud-run", RELEASE, {}, {"replicas": {"min": 1, "max": 3}})
NOTHING = History("churn", "", "gcp")


def bench(context: Context, rate: float | None) -> None:
    measured = Measured("churn", "this machine", 0.0, "0.1.0", Processor("Xeon", 2), 1, 1, 500, 0.005, (0.005,) * 400, 180.0)
    Benches(context.home.images).write(CONTENT, replace(measured, slo_p99_s=0.1, highest_rate=rate))


def test_no_more_than_are_under_way_at_the_highest_rate_that_keeps_the_promise(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    assert with_measured(context, DEPLOYMENT, NOTHING) == DEPLOYMENT, "nothing was measured"
    bench(context, 152.0)
    assert with_measured(context, DEPLOYMENT, NOTHING).operating["concurrency"] == 16
    said = replace(DEPLOYMENT, operating={"scale": {"metric": "concurrency", "per_replica": 4}})
    assert with_measured(context, said, NOTHING) == said, "mlship.yaml says it"
    docker = replace(DEPLOYMENT, target="docker", service="haproxy")
    assert with_measured(context, docker, NOTHING) == docker
    bench(context, None)
    assert with_measured(context, DEPLOYMENT, NOTHING) == DEPLOYMENT, "no rate keeps it"


def test_a_later_bench_changes_nothing_of_what_is_live(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    live = History("churn", "", "gcp", 1, RELEASE.id, (RELEASE,), operating={"concurrency": 12})
    bench(context, 152.0)
    assert with_measured(context, DEPLOYMENT, live).operating["concurrency"] == 12
    assert "concurrency" not in with_measured(context, DEPLOYMENT, replace(live, operating={})).operating
