"""How much work may wait: bounded by time, by what callers still wait for."""

from __future__ import annotations

import pytest

from mlship.server.batching.admission import (
    LONGEST_RETRY_S,
    WORST,
    Backlog,
    Correction,
    allowed_s,
    longest_call_s,
    retry_after_s,
    timeout_s,
)


@pytest.mark.parametrize(
    ("backlog", "left_s", "retry"),
    [
        (Backlog(0, 0.0), 2.0, None),
        (Backlog(10, 0.66), 2.0, None),
        (Backlog(10, 0.67), 2.0, 1),
        (Backlog(10, 0.46, call_s=0.2, alone_s=0.01), 2.0, None),
        (Backlog(10, 0.47, call_s=0.2, alone_s=0.01), 2.0, 1),  # its own call is counted, with all that it joins
        (Backlog(10, 0.0, call_s=0.7, alone_s=0.01), 2.0, None),
        (Backlog(10, 0.011, call_s=0.7, alone_s=0.01), 2.0, 1),
        (Backlog(100, 3.2, call_s=0.02, alone_s=0.02), 2.0, 3),
        (Backlog(10, 0.2, call_s=0.02, alone_s=0.02), 0.1, 1),  # this caller waits for 100 ms only
        (Backlog(1, 0.02, call_s=0.02, alone_s=0.02), 0.1, None),
        (Backlog(1, 0.5, call_s=0.5, alone_s=0.5), 2.0, None),  # one may wait while another runs, however heavy they are
        (Backlog(2, 1.0, call_s=0.5, alone_s=0.5), 2.0, 1),
        (Backlog(1, 0.5, call_s=1.2, alone_s=1.2), 2.0, 1),  # not beyond half of what its own call leaves
        (
            Backlog(1, 0.001, call_s=5.0, alone_s=5.0),
            2.0,
            1,
        ),  # behind others there is no time for what takes more than the deadline
        (Backlog(10_000, 1e9, call_s=0.02, alone_s=0.02), 2.0, LONGEST_RETRY_S),
        (Backlog(1, float("inf"), call_s=float("inf"), alone_s=float("inf")), 2.0, LONGEST_RETRY_S),
    ],
)
def test_with_its_own_call_a_request_may_wait_for_two_thirds_of_half_of_its_time(
    backlog: Backlog, left_s: float, retry: int | None
) -> None:
    assert retry_after_s(backlog, left_s) == retry


def test_a_joined_call_takes_no_longer_than_lets_another_run_before_it() -> None:
    longest = longest_call_s(2.0)
    assert allowed_s(2.0, call_s=longest, alone_s=0.01) == pytest.approx(longest)


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
    assert retry_after_s(Backlog(0, 0.0, call_s=60.0, alone_s=60.0), left_s=0.001) is None


def test_in_requests_it_is_never_more_than_capacity_times_the_time_left_over_two() -> None:
    for service_s in (0.001, 0.02, 0.3, 1.0, 1.9):
        waiting = allowed_s(2.0, service_s, service_s) / service_s
        assert 0 < waiting <= (1 / service_s) * (2.0 - service_s) / 2 + 1e-9


@pytest.mark.parametrize(
    ("given", "seconds"), [(None, 2.0), ("1", 0.001), ("500", 0.5), ("2000", 2.0), ("60000", 2.0), ("0500", 0.5)]
)
def test_a_caller_may_wait_for_less_than_the_configured_time_never_longer(given: str | None, seconds: float) -> None:
    assert timeout_s(given, 2.0) == seconds


@pytest.mark.parametrize("given", ["", "0", "-5", "+5", "1_0", "1.5", "1e3", "inf", "٣", " 5", "9" * 11])
def test_a_time_that_cannot_be_read_is_named(given: str) -> None:
    with pytest.raises(ValueError, match=r"^X-Request-Timeout-Ms is .*; write whole milliseconds, at least 1$"):
        timeout_s(given, 2.0)
