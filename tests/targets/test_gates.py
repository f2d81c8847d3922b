"""Gates pass, fail or cannot tell; what callers measured decides, and only that."""

from __future__ import annotations

import json
import math

import pytest

from mlship.config.gates import parse
from mlship.targets.base import Measures
from mlship.targets.gates import (
    Judgement,
    between,
    judge,
    judge_change,
    measures_from_plain,
    measures_to_plain,
    quantile_s,
)

INF = math.inf
BUCKETS = {0.01: 50.0, 0.02: 90.0, 0.05: 99.0, INF: 100.0}
SEEN = Measures(100, 1, BUCKETS, seconds=1.5)


def verdict(gate: str, seen: Measures = SEEN, min_requests: int = 100) -> str:
    return judge([parse(gate)], seen, min_requests).verdict


@pytest.mark.parametrize(
    ("share", "seconds"), [(0.5, 0.01), (0.25, 0.005), (0.9, 0.02), (0.95, 0.02 + 0.03 * 5 / 9), (0.99, 0.05), (0.995, INF)]
)
def test_latencies_are_read_from_buckets_as_prometheus_does(share: float, seconds: float) -> None:
    assert quantile_s(BUCKETS, share) == pytest.approx(seconds)


def test_where_nothing_was_counted_there_is_no_latency() -> None:
    assert math.isnan(quantile_s({}, 0.5))
    assert math.isnan(quantile_s({0.1: 0.0, INF: 0.0}, 0.5))


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("p50_ms < 40", "pass"),
        ("p95_ms < 40", "pass"),
        ("p95_ms < 36", "fail"),
        ("p99_ms <= 50", "pass"),
        ("p99_ms < 50", "fail"),
        ("mean_ms < 20", "pass"),
        ("mean_ms < 15", "fail"),
        ("error_rate < 2%", "pass"),
        ("error_rate <= 1%", "pass"),
        ("error_rate < 1%", "fail"),
        ("requests >= 100", "pass"),
        ("requests >= 101", "inconclusive"),
        ("requests < 100", "fail"),
    ],
)
def test_enough_requests_give_a_verdict(gate: str, said: str) -> None:
    assert verdict(gate) == said


@pytest.mark.parametrize("gate", ["p95_ms < 40", "p95_ms < 1", "mean_ms < 1", "error_rate < 2%"])
def test_below_the_wanted_number_of_requests_nobody_can_tell(gate: str) -> None:
    judged = judge([parse(gate)], SEEN, 101)
    assert judged.verdict == "inconclusive"
    assert judged.why == "100 of the 101 requests that it takes to judge"


def test_not_one_request_proves_nothing_even_when_none_is_wanted() -> None:
    assert verdict("p95_ms < 40", Measures(), 0) == "inconclusive"
    assert verdict("error_rate < 1%", Measures(), 0) == "inconclusive"


def test_errors_that_no_good_answer_could_make_up_for_fail_at_once() -> None:
    assert verdict("error_rate < 1%", Measures(2, 1), 200) == "inconclusive"
    assert verdict("error_rate < 1%", Measures(2, 2), 200) == "fail"


def test_latencies_above_every_bucket_are_named_as_such() -> None:
    slow = Measures(100, 0, {0.01: 0.0, 10.0: 10.0, INF: 100.0})
    judged = judge([parse("p95_ms < 40")], slow, 100)
    assert judged.verdict == "fail"
    assert judged.why == "p95_ms is over 10000 ms, wanted < 40"


def test_a_mean_is_not_guessed_where_the_target_does_not_tell_it() -> None:
    assert verdict("mean_ms < 40", Measures(100, 0, BUCKETS)) == "inconclusive"


def test_one_gate_that_fails_outweighs_those_that_cannot_tell() -> None:
    judged = judge([parse("p95_ms < 40"), parse("error_rate < 1%")], Measures(5, 5), 200)
    assert judged.verdict == "fail"
    assert judged.text == "p95 of 0 requests   errors 5/5 < 1 %  fail"
    assert judged.why == "error_rate is 100 % (5 of 5), wanted < 1 %"


def test_no_gates_pass() -> None:
    assert judge([], Measures(), 200) == Judgement()
    assert Judgement().verdict == "pass"
    assert Judgement().text == "no gates"


@pytest.mark.parametrize(("change", "said"), [(0.05, "pass"), (0.1, "fail"), (None, "inconclusive")])
def test_predictions_are_judged_apart_from_what_callers_measured(change: float | None, said: str) -> None:
    gates = [parse("prediction_change < 10%"), parse("p95_ms < 1")]
    assert judge_change(gates, change).verdict == said
    assert len(judge_change(gates, change).parts) == len(judge(gates, SEEN, 1).parts) == 1


def test_what_was_counted_before_the_step_does_not_count() -> None:
    later = Measures(150, 1, {0.01: 50.0, 0.02: 90.0, 0.05: 99.0, INF: 150.0}, seconds=6.5)
    assert between(SEEN, later) == Measures(50, 0, {0.01: 0.0, 0.02: 0.0, 0.05: 0.0, INF: 50.0}, seconds=5.0)
    assert between(Measures(), SEEN) == SEEN


def test_counters_that_began_anew_are_taken_as_they_are() -> None:
    fresh = Measures(3, 0, {0.01: 3.0, INF: 3.0}, seconds=0.01)
    assert between(SEEN, fresh) == fresh


def test_measures_survive_the_records() -> None:
    plain = json.loads(json.dumps(measures_to_plain({"r1": SEEN})))
    assert measures_from_plain(plain, "r1") == SEEN
    assert measures_from_plain(plain, "r2") == Measures()
