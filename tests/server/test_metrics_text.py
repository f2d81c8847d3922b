"""/metrics as scrapers read it: right, documented, and of a size that no caller can change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from wired import Wire, prediction, request

from mlship.server.app import OF_PROTOCOL
from mlship.targets.scraped import PREDICTIONS, counted

GUIDE = (Path(__file__).parents[2] / "docs/guide.md").read_text()
BASE_UNITS = ("_seconds", "_bytes", "_info", "_total")


def scraped(wire: Wire) -> dict[str, Metric]:
    wire.connect()
    wire.send(request("GET", "/metrics"))
    assert wire.statuses == [200]
    return {family.name: family for family in text_string_to_metric_families(wire.answers[0].body.decode())}


@pytest.fixture
def wire() -> Wire:
    wire = Wire()
    wire.send(prediction(2), prediction(-2), request("GET", "/nowhere"))
    return wire


def value(family: Metric, name: str, **labels: str) -> float:
    [found] = [sample.value for sample in family.samples if sample.name == name and labels.items() <= sample.labels.items()]
    return found


def test_prometheus_own_parser_reads_every_histogram(wire: Wire) -> None:
    families = scraped(wire)
    histograms = {name: family for name, family in families.items() if family.type == "histogram"}
    assert set(histograms) == {
        "mlship_request_seconds", "mlship_model_seconds", "mlship_queue_seconds", "mlship_batch_rows"
    }  # fmt: skip
    for name, family in histograms.items():
        by_labels: dict[tuple[str, ...], list[tuple[float, float]]] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                series = tuple(text for label, text in sorted(sample.labels.items()) if label != "le")
                by_labels.setdefault(series, []).append((float(sample.labels["le"]), sample.value))
        for buckets in by_labels.values():
            assert buckets == sorted(buckets) and [count for _, count in buckets] == sorted(count for _, count in buckets), name
            assert buckets[-1][0] == float("inf")
    requests = families["mlship_requests"]
    assert value(requests, "mlship_requests_total", route="/predict", status="200") == 1
    assert value(families["mlship_request_seconds"], "mlship_request_seconds_count", route="/predict", status_class="5xx") == 1


def test_names_follow_the_conventions_and_stand_in_the_guide(wire: Wire) -> None:
    for name, family in scraped(wire).items():
        documented = f"{name}_total" if family.type == "counter" else name
        assert f"`{documented}`" in GUIDE, documented
        assert family.documentation and re.fullmatch(r"[a-z][a-z_]*[a-z]", name)
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)\b", name)


def test_the_targets_read_their_measures_from_it(wire: Wire) -> None:
    wire.connect()
    wire.send(request("GET", "/metrics"))
    measures = counted(wire.answers[0].body.decode())
    assert (measures.requests, measures.errors) == (2, 1)
    assert measures.buckets[float("inf")] == 2 and measures.seconds > 0


@pytest.mark.parametrize(
    ("sent", "reason"),
    [(b"GET / HTTP/1.1\r\n\r\n", "malformed"), (request("POST", "/predict", "Content-Length: 5000"), "limit")],
)
def test_a_refusal_is_counted_once_by_its_reason(sent: bytes, reason: str) -> None:
    wire = Wire()
    wire.send(sent)
    families = scraped(wire)
    counts = {sample.labels["reason"]: sample.value for sample in families["mlship_refusals"].samples}
    assert {name for name, count in counts.items() if count} == {reason} and counts[reason] == 1


def test_the_targets_know_every_route_that_reaches_the_model() -> None:
    asked = {
        label for labels in OF_PROTOCOL.values() for label in labels if re.search(r"predict|infer|invocations|score", label)
    }
    assert set(PREDICTIONS) == asked
    found = counted('mlship_requests_total{route="/predict/{model}",status="200"} 3.0\n')
    assert found.requests == 3


def test_strangers_make_no_new_series(wire: Wire) -> None:
    before = {(sample.name, *sorted(sample.labels.items())) for family in scraped(wire).values() for sample in family.samples}
    for number in range(50):
        wire.connect()
        wire.send(
            request("GET", f"/nowhere/{number}?{number}", f"X-Request-Id: {number}"), request(f"GET{number}"[:3], f"/{number}")
        )
    after = {(sample.name, *sorted(sample.labels.items())) for family in scraped(wire).values() for sample in family.samples}
    assert {series for series in after - before if dict(series[1:]).get("route") != "/metrics"} == set()


def test_nothing_is_counted_where_metrics_are_off() -> None:
    from dataclasses import replace

    from mlship.server.board import Board

    slot = Board(1, 3, counts=False).slot(0)
    slot.count_request(0, 200, 0.1)
    slot.count_batch(1, 1, 0.1, 0.1)
    slot.count_refusal("overload")
    assert (sum(slot.requests(0)), slot.rows(), sum(slot.refusals())) == (0, 0, 0)
    wire = Wire()
    wire.room.service.settings = replace(wire.room.service.settings, metrics=False)
    wire.send(request("GET", "/metrics"))
    assert wire.statuses == [404]
