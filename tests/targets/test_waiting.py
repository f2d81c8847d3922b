"""Looking again until something is so, by a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlship.errors import Exit, MlshipError
from mlship.targets.waiting import AWAY_S, Waiting

AWAY = MlshipError("no connection", exit=Exit.UNREACHABLE)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def until(self, look: Callable[[], str | None], seconds: float) -> str | None:
        return Waiting(self, self.sleep, every_s=10.0).until(look, seconds)


def test_a_moment_away_ends_nothing_and_a_long_one_is_told() -> None:
    clock = Clock()

    def back_at(when: float) -> str | None:
        if clock.now < when:
            raise AWAY
        return "there"

    assert clock.until(lambda: back_at(AWAY_S - 10), 3600) == "there"
    began = clock.now
    with pytest.raises(MlshipError, match="no connection"):
        clock.until(lambda: back_at(began + 3600), 3600)
    assert clock.now - began == AWAY_S, "nobody waits an hour for a network that is not there"


def test_moments_away_do_not_add_up() -> None:
    clock, looks = Clock(), 0

    def every_other() -> str | None:
        nonlocal looks
        looks += 1
        if looks % 2:
            raise AWAY
        return None

    assert clock.until(every_other, 1000 - 10) is None and looks == 100


def test_the_last_look_says_why_and_another_no_ends_it_at_once() -> None:
    clock = Clock()

    def refused(error: MlshipError) -> str | None:
        raise error

    with pytest.raises(MlshipError, match="no connection"):
        clock.until(lambda: refused(AWAY), 20)
    assert clock.now == 20
    with pytest.raises(MlshipError, match="may not"):
        clock.until(lambda: refused(MlshipError("you may not", exit=Exit.DENIED)), 20)
    assert clock.now == 20
