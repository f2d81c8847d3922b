"""Hours of each replica of a month, from what each hour needs and how long replicas stay."""

from __future__ import annotations

import random

import pytest

from mlship.cost.fleet import Fleet, by_rate
from mlship.cost.workload import Hour


def fleet(counts: list[int], minutes: float = 0.0, cycles: float = 30.0) -> Fleet:
    """Steps of one hour in a cycle."""
    return Fleet(tuple(Hour(float(count), cycles) for count in counts), tuple(counts), cycles, minutes * 60)


def test_each_replica_runs_in_the_hours_that_need_it() -> None:
    assert fleet([1, 3, 2, 0]).level_hours == (90.0, 60.0, 30.0)
    assert fleet([1, 3, 2, 0]).replicas.average == pytest.approx(1.5)


def test_a_replica_stays_after_each_fall() -> None:
    assert fleet([1, 3, 2, 0], minutes=6).level_hours == pytest.approx((93.0, 63.0, 33.0))


def test_a_replica_that_is_needed_again_stays_only_until_then() -> None:
    assert fleet([1, 0, 1, 0], minutes=600).level_hours == pytest.approx((120.0,))
    assert fleet([2, 1, 2, 0], minutes=90).level_hours == pytest.approx((120.0, 120.0))
    assert fleet([2, 1, 1, 1], minutes=90).level_hours == pytest.approx((120.0, 75.0))


def walked(counts: list[int], minutes: int) -> list[float]:
    """By the minute: a level runs while it is needed, and for so many minutes after."""
    needed = [count for count in counts for _ in range(60)]
    size = len(needed)
    return [
        sum(
            any(needed[(minute - back) % size] >= level for back in range(min(minutes, size - 1) + 1)) for minute in range(size)
        )
        / 60
        for level in range(1, max(counts) + 1)
    ]


@pytest.mark.parametrize("seed", range(25))
def test_hours_are_those_of_a_walk_through_the_day(seed: int) -> None:
    drawn = random.Random(seed)
    counts = [drawn.randint(0, 4) for _ in range(drawn.choice([1, 3, 6]))]
    counts[drawn.randrange(len(counts))] = 5
    minutes = drawn.choice([0, 1, 30, 60, 61, 150, 400])
    assert fleet(counts, minutes, cycles=1.0).level_hours == pytest.approx(walked(counts, minutes))


def test_rates_between_two_that_need_the_same_are_not_computed() -> None:
    asked: list[float] = []

    def need(rate: float) -> int:
        asked.append(rate)
        return int(rate // 50)

    rates = {float(rate) for rate in range(200)}
    assert by_rate(need, rates) == {rate: int(rate // 50) for rate in rates}
    assert len(asked) < 40
