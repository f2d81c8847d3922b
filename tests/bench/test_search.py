"""Peak and highest rate, found on servers that are formulas."""

import math

import pytest

from mlship.bench.search import OUTER, Attempt, Peak, highest_rate, peak, seconds_for


def exponential(capacity: float, rate: float) -> Attempt:
    """An M/M/1 queue: its response times are exponential."""
    if rate >= capacity:
        return Attempt(rate, math.inf, math.inf)
    return Attempt(rate, math.log(2) / (capacity - rate), math.log(100) / (capacity - rate))


@pytest.mark.parametrize("promise", [0.05, 0.1, 0.5, 5.0])
def test_the_highest_rate_is_that_of_the_formula(promise: float) -> None:
    found = highest_rate(lambda rate: exponential(100, rate), promise, 100 * OUTER)
    right = 100 - math.log(100) / promise
    assert found.rate == pytest.approx(right, abs=100 * OUTER / 2**7)
    assert found.rate is not None and exponential(100, found.rate).keeps(promise)


def test_what_no_rate_keeps_is_said() -> None:
    found = highest_rate(lambda rate: exponential(100, rate), 0.04, 100)
    assert found.rate is None
    assert [attempt.rate for attempt in found.attempts] == [2, 2]  # tried twice


def test_what_every_rate_keeps_ends_at_the_most() -> None:
    found = highest_rate(lambda rate: Attempt(rate, 0.001, 0.002), 0.04, 125)
    assert found.rate == 125 and len(found.attempts) == 2


def test_one_disturbance_does_not_halve_the_answer() -> None:
    disturbed = iter([False, True, *([False] * 100)])

    def measure(rate: float) -> Attempt:
        return Attempt(rate, 1, 1) if next(disturbed) else exponential(100, rate)

    found = highest_rate(measure, 0.5, 90.0)
    assert found.rate == 90


def test_wrong_answers_keep_no_promise() -> None:
    assert not Attempt(1, 0.001, 0.001, is_clean=False).keeps(1)
    assert highest_rate(lambda rate: Attempt(rate, 0.001, 0.001, is_clean=False), 1, 10).rate is None


def test_the_peak_needs_as_many_callers_as_it_needs() -> None:
    asked: list[int] = []

    def measure(connections: int) -> Peak:
        asked.append(connections)
        return Peak(min(100.0 * connections, 1000.0), connections)

    assert peak(measure, 2) == Peak(1000.0, 16)
    assert asked == [4, 8, 16, 32]


def test_the_peak_ends_even_where_more_always_gains() -> None:
    assert peak(lambda connections: Peak(connections, connections), 1).connections == 64


def test_a_slow_peak_is_found_with_few_callers() -> None:
    assert peak(lambda connections: Peak(50 - connections, connections), 1) == Peak(48, 2)


def test_slow_rates_last_longer() -> None:
    assert seconds_for(1000, 3, 300, 10) == 3
    assert seconds_for(50, 3, 300, 10) == 6
    assert seconds_for(1, 3, 300, 10) == 30
    assert seconds_for(0, 3, 300, 10) == 30
