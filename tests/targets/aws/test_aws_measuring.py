"""What the balancer's metrics tell of each release."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_door import FakeDoor

from mlship.targets.aws.ecs.measuring import BOUNDS, LONGEST_S, measures
from mlship.targets.aws.ecs.seen import Seen
from mlship.targets.aws.ecs.slots import Slot
from mlship.targets.gates import quantile_s

NOW = 1_800_000_000.0
OUTPUTS = {"Balancer": "app/ml/1", "GroupA": "targetgroup/a/1", "GroupB": "targetgroup/b/2"}


def slot(name: str, release: str, since: float) -> Slot:
    return Slot(name, f"arn:{name}", release, "definition:1", 1, 1, "COMPLETED", since=since)


def entry(id: str, *values: float, ago: float = 60.0) -> dict[str, Any]:
    times = [datetime.fromtimestamp(NOW - ago * (len(values) - number), UTC) for number in range(len(values))]
    return {"Id": id, "Timestamps": times, "Values": list(values)}


def door(*results: dict[str, Any]) -> FakeDoor:
    return FakeDoor({"cloudwatch get_metric_data": {"MetricDataResults": list(results)}})


def test_counts_of_both_slots_are_told_apart_and_pages_added_up() -> None:
    seen = Seen(
        OUTPUTS, {"a": slot("a", "r1-000000", NOW - 600), "b": slot("b", "r2-000000", NOW - 180)}, "", {"a": 95, "b": 5}
    )
    within = {bound: entry(f"b_within_{number}", 90.0 if bound >= 0.05 else 10.0) for number, bound in enumerate(BOUNDS)}
    asked = door(
        entry("a_requests", 500.0, 500.0),
        entry("b_requests", 60.0),
        entry("b_requests", 40.0),
        entry("b_failed", 3.0),
        entry("b_unreached", 1.0),
        entry("b_seconds", 5.0),
        entry("b_answered", 100.0),
        *within.values(),
    )
    found = measures(asked, seen, NOW)
    assert (found["r1-000000"].requests, found["r1-000000"].rps) == (1000.0, 1000 / 60)
    second = found["r2-000000"]
    assert (second.requests, second.errors, second.seconds) == (100.0, 4.0, 5.0)
    assert 0.025 < quantile_s(second.buckets, 0.5) < 0.05
    ((_, said),) = asked.asked
    assert said["StartTime"].timestamp() == NOW - 600 // 60 * 60


def test_what_another_release_counted_in_the_slot_before_is_left_out() -> None:
    seen = Seen(OUTPUTS, {"a": slot("a", "r1-000000", NOW - 90)}, "", {"a": 100, "b": 0})
    told = measures(door(entry("a_requests", 7.0, 5.0, ago=120.0)), seen, NOW)
    assert told["r1-000000"].requests == 5.0


def test_a_day_is_the_longest_that_is_asked_for_and_slots_without_callers_are_not() -> None:
    seen = Seen(OUTPUTS, {"a": slot("a", "r1-000000", 0.0), "b": slot("b", "r2-000000", NOW)}, "", {"a": 100, "b": 0})
    asked = door()
    assert list(measures(asked, seen, NOW)) == ["r1-000000"]
    ((_, said),) = asked.asked
    assert said["EndTime"].timestamp() - said["StartTime"].timestamp() == LONGEST_S
    assert {query["Id"][0] for query in said["MetricDataQueries"]} == {"a"}
    assert measures(asked, Seen(OUTPUTS), NOW) == {}
