"""A log that is followed by looking again, by a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from mlship.errors import Exit, MlshipError
from mlship.targets.log_stream import followed
from mlship.targets.waiting import AWAY_S, Waiting

Event = tuple[str, int]


class Log:
    """Events by the moment at which they can be read; away: moments at which the platform does not answer."""

    def __init__(self, handed_in: dict[int, list[Event]], away: range = range(0)) -> None:
        self.now, self.handed_in, self.away = 0, handed_in, away
        self.looks: list[int] = []

    def look(self, since: int) -> Iterator[Event]:
        self.looks.append(since)
        if self.now in self.away:
            raise MlshipError("no connection", exit=Exit.UNREACHABLE)
        events = (event for moment, events in self.handed_in.items() if moment <= self.now for event in events)
        yield from sorted((event for event in events if event[1] >= since), key=lambda event: event[1])

    def follow(self, told: list[Event], many: int, late: int = 0) -> list[str]:
        waiting = Waiting(lambda: self.now, self.sleep, every_s=2.0)
        found = followed(told, self.look, lambda event: event, 0, waiting, late)
        return [name for name, _ in islice(found, many)]

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds)


def test_every_line_comes_once_also_those_of_one_moment() -> None:
    log = Log({0: [("a", 1)], 3: [("b", 3), ("c", 3)], 5: [("d", 3)], 9: [("e", 9)]})
    assert log.follow([("a", 1)], 4) == ["b", "c", "d", "e"]
    assert log.looks == [1, 1, 3, 3, 3]


def test_a_moment_away_ends_nothing_and_loses_nothing() -> None:
    log = Log({3: [("b", 3)], 20: [("c", 20)], 22: [("d", 22)]}, away=range(5, 60))
    assert log.follow([("a", 1)], 3) == ["b", "c", "d"]
    assert log.now == 60


def test_whoever_follows_is_told_that_the_platform_stays_away() -> None:
    log = Log({}, away=range(3, 3600))
    with pytest.raises(MlshipError, match="no connection"):
        log.follow([], 1)
    assert log.now < AWAY_S + 10


def test_a_copy_that_hands_its_lines_in_late_is_heard_and_what_was_before_is_not() -> None:
    log = Log({0: [("old", 2), ("a", 5)], 8: [("b", 8)], 12: [("slow", 7), ("c", 12)]})
    assert log.follow([("a", 5)], 3, late=10) == ["b", "slow", "c"]
