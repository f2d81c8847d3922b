"""The last lines of a log that has millions of them."""

from __future__ import annotations

from typing import Any

from aws_door import FakeDoor

from mlship.targets.aws.ecs.logs import lines_of
from mlship.targets.aws.scope import Scope

NOW = 1_795_000_000.0


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
    found = lines_of(door, Scope("churn"), "", lines, False, lambda: NOW, lambda seconds: None)
    return [line.text for line in found], answered


def test_of_a_busy_log_only_the_last_minute_is_read() -> None:
    ages = [float(age) for age in range(1, 100_000, 10)]
    assert told(ages, 3) == (["21", "11", "1"], [6])


def test_of_a_quiet_log_lines_of_weeks_ago_are_found() -> None:
    assert told([2_000_000.0, 5_000.0], 2) == (["2e+06", "5000"], [0, 0, 1, 1, 2])
    assert told([5_000.0], 0) == ([], [0])
