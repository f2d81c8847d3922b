"""What an estimate takes from the newest image of the project: time, memory, size."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.bench.machine import Processor
from mlship.bench.records import Benches, Measured
from mlship.flows.context import Context, Where
from mlship.flows.cost_estimate import cost_estimate
from mlship.flows.costing.asked import Asked
from mlship.home import Home
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout
from mlship.progress import Silent
from mlship.runner import LocalRunner

YAML = "name: churn\nmodel: m.joblib\ntarget: aws\ntargets: {aws: {region: us-east-1}}\ncost: {traffic: {rps: 20}}\n"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "mlship.yaml").write_text(YAML)
    return Context(Home(tmp_path / "home"), LocalRunner(), Silent(), {}, tmp_path, lambda: 1_795_305_600.0, "anna@test pid 1")


def built(context: Context) -> tuple[str, int]:
    """Content id, and the bytes of its one layer."""
    layout = Layout(context.home.images)
    layer = write_layer(layout, [Entry("a", content=b"a" * 5_000_000)], role="model", name="a")
    image = layout.write_image([layer], {"Labels": {"mlship.project": "churn"}}, "linux/amd64")
    model = RecordedModel("churn", "sklearn", "Pipeline", "m.joblib", 13, "0" * 64, row_s=0.004, peak_memory=3 * 2**30)
    record = BuildRecord("inputs", image.content, "churn", "linux/amd64", 0.0, "0.1.0", (model,))
    BuildRecords(context.home.images).write(record)
    return image.content, layer.blob.size


def test_the_build_tells_time_memory_and_size(context: Context) -> None:
    _, size = built(context)
    plan = cost_estimate(context, Where(), Asked(target="aws")).plans[0]
    assert "service time 4 ms of a core (build, the model alone, exponential)" in plan.assumptions
    assert "too small: the model needs 3 GiB, a replica has 2 GiB" in plan.assumptions
    [stored] = [line for line in plan.lines if line.kind == "registry"]
    assert stored.quantity == pytest.approx(size / 1e9) and stored.usd == pytest.approx(size / 1e9 * 0.10)


def test_a_bench_goes_before_the_build_and_brings_its_sample(context: Context) -> None:
    content, _ = built(context)
    sample = tuple(0.005 + at * 1e-6 for at in range(500))
    machine = Processor("Xeon", 2)
    bench = Measured("churn", "this machine", 0.0, "0.1.0", machine, 1, 1, 5000, sum(sample) / 500, sample, 180.0)
    Benches(context.home.images).write(content, bench)
    found = cost_estimate(context, Where(), Asked(target="aws"))
    assert found.workload.service_time is not None and found.workload.service_time.sample == sample
    assert "service time 5.25 ms of a core (bench on Xeon, sample of 500)" in found.plans[0].assumptions


def test_without_an_image_nobody_knows_the_time(context: Context) -> None:
    plan = cost_estimate(context, Where(), Asked(target="aws")).plans[0]
    assert not plan.is_complete and plan.unknowns[0].startswith("service time: mlship bench measures it")
