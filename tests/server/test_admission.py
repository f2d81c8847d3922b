"""How much work may wait: bounded by time, by what callers still wait for."""

from __future__ import annotations

import pytest

from mlship.server.batching.admission import (
    CAUTION,
    LONGEST_RETRY_S,
    WORST,
    Backlog,
    Correction,
    allowed_s,
    retry_after_s,
    timeout_s,
)


@pytest.mark.parametrize(
    ("backlog", "left_s", "service_s", "retry"),
    [
        (Backlog(0, 0.0), 2.0, 0.02, None),
        (Backlog(10, 0.7), 2.0, 0.02, None),
        (Backlog(10, 0.79), 2.0, 0.02, None),
        (Backlog(10, 0.8), 2.0, 0.02, 1),
        (Backlog(100, 3.5), 2.0, 0.02, 3),
        (Backlog(10, 0.2), 0.1, 0.02, 1),  # this caller waits for 100 ms only
        (Backlog(1, 0.02), 0.1, 0.02, None),
        (Backlog(1, 0.001), 2.0, 5.0, 1),  # behind others there is no time for a call that costs more than the deadline
        (Backlog(10_000, 1e9), 2.0, 0.02, LONGEST_RETRY_S),
        (Backlog(1, float("inf")), 2.0, float("inf"), LONGEST_RETRY_S),
    ],
)
def test_as_much_work_may_wait_as_four_fifths_of_half_of_the_time_that_is_left(
    backlog: Backlog, left_s: float, service_s: float, retry: int | None
) -> None:
    assert retry_after_s(backlog, left_s, service_s) == retry


def test_waits_that_were_longer_than_expected_make_the_next_ones_be_expected_longer() -> None:
    correction = Correction()
    for _ in range(20):
        correction.learn(0.5, 1.0)
    assert correction.factor == pytest.approx(2.0)
    correction.learn(0.5, 100.0)  # the machine stood still
    assert correction.factor < 2.5
    for _ in range(200):
        correction.learn(0.5, 100.0)
    assert correction.factor == pytest.approx(WORST)
    for _ in range(200):
        correction.learn(0.5, 0.1)  # shorter than expected: the caution stays
    assert correction.factor == 1.0


def test_who_has_nothing_to_do_refuses_nothing() -> None:
    assert retry_after_s(Backlog(0, 0.0), left_s=0.001, service_s=60.0) is None


def test_in_requests_it_is_capacity_times_the_time_left_over_two() -> None:
    service_s, left_s = 0.02, 2.0
    waiting = allowed_s(left_s, service_s) / service_s
    assert waiting == pytest.approx(CAUTION * (1 / service_s) * (left_s - service_s) / 2)


@pytest.mark.parametrize(
    ("given", "seconds"), [(None, 2.0), ("1", 0.001), ("500", 0.5), ("2000", 2.0), ("60000", 2.0), ("0500", 0.5)]
)
def test_a_caller_may_wait_for_less_than_the_configured_time_never_longer(given: str | None, seconds: float) -> None:
    assert timeout_s(given, 2.0) == seconds


@pytest.mark.parametrize("given", ["", "0", "-5", "+5", "1_0", "1.5", "1e3", "inf", "٣", " 5", "9" * 11])
def test_a_time_that_cannot_be_read_is_named(given: str) -> None:
    with pytest.raises(ValueError, match=r"^X-Request-Timeout-Ms is .*; write whole milliseconds, at least 1$"):
        timeout_s(given, 2.0)
