"""A log that is followed by looking again, by a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from mlship.errors import Exit, MlshipError
from mlship.targets.log_stream import FAR_EVERY_S, FAR_S, KNOWN, NEAR_S, Shown, followed
from mlship.targets.waiting import AWAY_S, Waiting

Event = tuple[str, float]
NOW = 1_000.0  # when following begins


class Log:
    """Events by the moment at which they can be read; away: moments at which the platform does not answer."""

    def __init__(self, handed_in: dict[float, list[Event]], away: range = range(0)) -> None:
        self.now, self.handed_in, self.away = NOW, handed_in, away
        self.looks: list[float] = []

    def look(self, since: float) -> Iterator[Event]:
        self.looks.append(since)
        if self.now in self.away:
            raise MlshipError("no connection", exit=Exit.UNREACHABLE)
        events = (event for moment, events in self.handed_in.items() if moment <= self.now for event in events)
        yield from sorted((event for event in events if event[1] >= since), key=lambda event: event[1])

    def follow(self, told: list[Event], many: int, since: float = 0.0) -> list[str]:
        waiting = Waiting(lambda: self.now, self.sleep, every_s=2.0)
        return [name for name, _ in islice(followed(told, self.look, lambda event: event, since, waiting), many)]

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def after(log: Log, seconds: float) -> None:
    """Nothing more came by then: the next line is the one that is handed in at the end."""
    log.handed_in[NOW + seconds] = [*log.handed_in.get(NOW + seconds, []), ("end", NOW + seconds)]


def test_every_line_comes_once_also_those_of_one_moment() -> None:
    log = Log({1003: [("b", 1003), ("c", 1003)], 1005: [("d", 1003)], 1009: [("e", 1009)]})
    assert log.follow([("a", 999)], 4) == ["b", "c", "d", "e"]
    assert log.looks == [989, 989, 993, 993, 993]


def test_a_moment_away_ends_nothing_and_loses_nothing() -> None:
    log = Log({1003: [("b", 1003)], 1020: [("c", 1020)], 1022: [("d", 1022)]}, away=range(1005, 1060))
    assert log.follow([("a", 1001)], 3) == ["b", "c", "d"]
    assert log.now == 1060


def test_whoever_follows_is_told_that_the_platform_stays_away() -> None:
    log = Log({}, away=range(1003, 4600))
    with pytest.raises(MlshipError, match="no connection"):
        log.follow([], 1)
    assert log.now < NOW + AWAY_S + 10


def test_a_line_that_is_handed_in_late_comes_once_also_where_it_is_older_than_what_was_there_at_first() -> None:
    log = Log({0: [("a", 998)], 1004: [("slow", 995)], 1008: [("b", 1008)], 1012: [("slower", 999), ("c", 1012)]})
    after(log, 200)
    assert log.follow([("a", 998)], 5, since=940) == ["slow", "b", "slower", "c", "end"]


def test_what_was_there_and_was_not_among_the_last_lines_is_not_told_as_new() -> None:
    log = Log({0: [("first", 930), ("old", 960), ("a", 998)], 1004: [("b", 1004)]})
    after(log, 200)
    assert log.follow([("old", 960), ("a", 998)], 2, since=940) == ["b", "end"], "what is older than `since` is not known"


@pytest.mark.parametrize("late_s", [NEAR_S + 30, FAR_S - 100])
def test_a_line_that_is_minutes_late_comes_within_a_minute(late_s: float) -> None:
    handed_in = NOW + FAR_S + 4
    log = Log({NOW + second: [(f"{second}", NOW + second)] for second in range(0, 1000, 20)})
    log.handed_in[handed_in] = [*log.handed_in.get(handed_in, []), ("late", handed_in - late_s)]
    told = log.follow([], 45)
    assert told.count("late") == 1 and len(set(told)) == len(told)
    assert int(told[told.index("late") - 1]) <= FAR_S + 4 + FAR_EVERY_S


def test_a_copy_whose_clock_is_ahead_hides_nothing_of_the_others() -> None:
    log = Log({1003: [("ahead", 4600)], 1020: [("b", 1018)], 1040: [("c", 1039)]})
    after(log, 200)
    assert log.follow([("a", 999)], 4) == ["ahead", "b", "c", "end"]


def test_what_is_remembered_has_a_bound_and_what_is_forgotten_is_not_told_again() -> None:
    shown = Shown(0.0)
    lines = [(number, 1000.0 + number // 2) for number in range(KNOWN + 500)]
    assert all(shown.add(line) for line in lines)
    shown.forget(900.0)
    assert len(shown) <= KNOWN
    assert not any(shown.add(line) for line in lines)
    assert shown.add((-1, 1000.0 + KNOWN // 2)), "late, and younger than what is forgotten"
    shown.forget(1000.0 + KNOWN)
    assert len(shown) == 0 and not shown.add((-2, 1000.0 + KNOWN // 2))
