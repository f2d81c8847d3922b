"""The last lines of a log that has millions of them."""

from __future__ import annotations

from itertools import islice
from typing import Any

from aws_door import FakeDoor

from mlship.targets.aws.ecs.logs import lines_of
from mlship.targets.aws.sagemaker.logs import lines_of as lines_of_endpoint
from mlship.targets.aws.sagemaker.names import Names
from mlship.targets.aws.scope import Scope
from mlship.targets.waiting import Waiting

NOW = 1_795_000_000.0
WAITING = Waiting(lambda: NOW, lambda seconds: None)


def told(ages_s: list[float], lines: int) -> tuple[list[str], list[int]]:
    """The lines, and how many events each question was answered with."""
    answered: list[int] = []

    def answer(**said: Any) -> Any:
        events = [
            {
                "timestamp": int((NOW - age) * 1000),
                "logStreamName": "r1-7f3a9c/server/4f2a91c0",
                "message": f"{age:g}",
                "eventId": str(age),
            }
            for age in ages_s
            if (NOW - age) * 1000 >= said.get("startTime", 0)
        ]
        answered.append(len(events))
        return {"events": events}

    door = FakeDoor({"logs filter_log_events": answer})
    found = lines_of(door, Scope("churn"), "", lines, False, WAITING)
    return [line.text for line in found], answered


def test_of_a_busy_log_only_the_last_minute_is_read() -> None:
    ages = [float(age) for age in range(1, 100_000, 10)]
    assert told(ages, 3) == (["21", "11", "1"], [6])


def test_of_a_quiet_log_lines_of_weeks_ago_are_found() -> None:
    assert told([2_000_000.0, 5_000.0], 2) == (["2e+06", "5000"], [0, 0, 1, 1, 2])
    assert told([5_000.0], 0) == ([], [0])


def test_whoever_follows_a_few_lines_is_told_what_comes_late_and_not_what_was_there() -> None:
    """Two lines of the last minute are asked for; the third was there, and a task hands in a fourth that is older than all of them."""
    now = [NOW]
    there = [(NOW - 50, 0.0), (NOW - 30, 0.0), (NOW - 3, 0.0), (NOW - 40, NOW + 4), (NOW + 3, NOW + 6), (NOW + 90, NOW + 90)]

    def answer(**said: Any) -> Any:
        assert "startTime" in said, "never the whole log"
        events = [
            {
                "timestamp": int(when * 1000),
                "logStreamName": "r1-7f3a9c/server/4f2a91c0",
                "message": f"{when - NOW:g}",
                "eventId": f"{when}",
            }
            for when, handed_in in there
            if handed_in <= now[0] and when * 1000 >= said["startTime"]
        ]
        return {"events": events}

    def sleep(seconds: float) -> None:
        now[0] += seconds

    door = FakeDoor({"logs filter_log_events": answer})
    lines = lines_of(door, Scope("churn"), "", 2, True, Waiting(lambda: now[0], sleep))
    assert [line.text for line in islice(lines, 5)] == ["-30", "-3", "3", "-40", "90"]


def test_of_an_endpoint_s_machines_only_those_of_late_are_asked_whose_release_they_had() -> None:
    """A month of machines, each with a stream: what nobody wrote to for hours is not looked at, and no log is searched."""
    hour_ms, now_ms = 3_600_000, int(NOW * 1000)
    streams = [{"logStreamName": f"a/i-{age}", "lastEventTimestamp": now_ms - age * hour_ms} for age in range(500)]
    heads = {"a/i-0": "ready as r2-aaaaaa", "a/i-1": "ready as r1-bbbbbb"}

    def page(**said: Any) -> Any:
        begin = int(said.get("nextToken", 0))
        here = streams[begin : begin + 50] if said["logGroupName"].endswith("/mlship-churn") else []
        return {"logStreams": here, **({"nextToken": str(begin + 50)} if here else {})}

    def head(**said: Any) -> Any:
        return {"events": [{"message": heads[said["logStreamName"]]}]}

    def search(**said: Any) -> Any:
        assert said["logStreamNames"] == ["a/i-0"]
        return {"events": [{"timestamp": now_ms, "logStreamName": "a/i-0", "message": "hello", "eventId": "1"}]}

    answers = {"logs describe_log_streams": page, "logs get_log_events": head, "logs filter_log_events": search}
    door = FakeDoor(answers)
    found = list(lines_of_endpoint(door, Names(Scope("churn")), "r2-aaaaaa", 1, False, WAITING))
    assert [(line.replica, line.text) for line in found] == [("a/i-0", "hello")]
    assert [name for name, _ in door.asked].count("logs describe_log_streams") == 2, "one page of each of the two logs"
