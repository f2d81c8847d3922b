"""How many replicas: a constant load never makes the number swing, and it never leaves what it may be."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlship.keeper.scaling import METRICS, PER_REPLICA, STRETCHES, Policy, Sample, decide, needed, remembered

EIGHT = Policy(1, 4, down_after_s=60.0)
PLENTY = 100
PERIOD_S = 2.0

policies = st.builds(
    lambda low, more, metric, per_replica, down_after_s, cores: Policy(
        low, low + more, metric, per_replica, down_after_s, cores
    ),
    st.integers(1, 5),
    st.integers(0, 15),
    st.sampled_from(METRICS),
    st.floats(0.1, 500),
    st.floats(0, 60),
    st.floats(0.1, 4),
)
loads = st.floats(0, 5000)


def samples(*load: float, period_s: float = PERIOD_S) -> tuple[Sample, ...]:
    return tuple(Sample(number * period_s, value) for number, value in enumerate(load))


def run(policy: Policy, load: list[float], current: int, room: int = PLENTY) -> list[int]:
    """The numbers of replicas over time, when every decision is carried out before the next sample."""
    known: tuple[Sample, ...] = ()
    counts = []
    for number, value in enumerate(load):
        known = remembered(known, Sample(number * PERIOD_S, value), policy)
        current = decide(known, current, policy, room).count
        counts.append(current)
    return counts


def test_two_samples_above_the_target_bring_another_replica() -> None:
    decision = decide(samples(9, 9), 1, EIGHT, PLENTY)
    assert (decision.count, decision.reason) == (2, "concurrency 9.0, 8 a replica, more than 1 should carry")


def test_one_burst_brings_none() -> None:
    assert decide(samples(0, 40), 1, EIGHT, PLENTY).count == 1
    assert decide(samples(40, 0), 1, EIGHT, PLENTY).count == 1
    assert decide(samples(40), 1, EIGHT, PLENTY).count == 1


def test_a_tenth_above_the_target_is_not_yet_too_much() -> None:
    assert decide(samples(8.8, 8.8), 1, EIGHT, PLENTY).count == 1
    assert decide(samples(8.81, 8.81), 1, EIGHT, PLENTY).count == 2


def test_the_number_at_most_doubles_at_once() -> None:
    assert run(Policy(1, 16), [128.0] * 6, 1) == [1, 2, 4, 8, 16, 16]


def test_the_calmer_of_the_two_samples_says_how_many() -> None:
    assert decide(samples(24, 80), 2, replace(EIGHT, high=9), PLENTY).count == 3


def test_free_memory_limits_the_way_up_and_is_said() -> None:
    decision = decide(samples(32, 32), 2, EIGHT, 1)
    assert decision.count == 3
    assert decision.reason.endswith("; 4 wanted, free memory is enough for 3")
    assert decide(samples(32, 32), 2, EIGHT, 0).count == 2
    assert decide(samples(32, 32), 2, EIGHT, -3).count == 2, "what runs is not taken away for want of memory"


def test_fewer_only_after_the_whole_window_was_quiet() -> None:
    counts = run(EIGHT, [30.0] * 3 + [1.0] * 40, 1)
    assert counts[:4] == [1, 2, 4, 4]
    assert counts.index(1, 4) == 3 + 30, "60 s after the last sample that needed four"


def test_the_most_that_the_window_needed_stays() -> None:
    assert run(EIGHT, [30.0] * 3 + [1.0] * 10 + [15.0] + [1.0] * 24, 4)[-1] == 2


def test_after_a_gap_quiet_is_counted_anew() -> None:
    known: tuple[Sample, ...] = ()
    for at in (*range(0, 60, 2), 100, *range(102, 158, 2)):
        known = remembered(known, Sample(float(at), 0.0), EIGHT)
        assert decide(known, 3, EIGHT, PLENTY).count == 3
    assert known[0].at == 100
    known = remembered(remembered(known, Sample(158.0, 0.0), EIGHT), Sample(160.0, 0.0), EIGHT)
    assert decide(known, 3, EIGHT, PLENTY).reason == "1 would have been enough for 60 s"


def test_a_changed_range_counts_at_once() -> None:
    low, high = decide((), 1, replace(EIGHT, low=3), PLENTY), decide((), 9, EIGHT, PLENTY)
    assert (low.count, low.reason) == (3, "1 serve, at least 3 should")
    assert (high.count, high.reason) == (4, "9 serve, at most 4 should")
    assert decide((), 0, EIGHT, PLENTY).count == 1
    assert decide((), 0, EIGHT, 0).count == 0


def test_waiting_requests_are_those_beyond_what_the_cores_work_on() -> None:
    queue = Policy(1, 9, "queue", per_replica=4, cores=1.5)
    assert [needed(load, queue) for load in (0, 6, 7, 12, 13)] == [1, 1, 2, 2, 3]


def test_every_metric_has_a_default() -> None:
    assert set(PER_REPLICA) == set(METRICS)


def test_a_long_window_needs_no_more_memory_than_a_short_one() -> None:
    hours = Policy(1, 4, down_after_s=4 * 3600)
    known: tuple[Sample, ...] = ()
    for number in range(4 * 360 + 20):
        known = remembered(known, Sample(number * 10.0, 20.0 if number == 30 else 0.0), hours)
    assert len(known) <= STRETCHES + 4
    assert decide(known, 4, hours, PLENTY).count == 3


@given(policies, loads, st.integers(1, 30))
def test_a_constant_load_never_makes_the_number_swing(policy: Policy, load: float, current: int) -> None:
    counts = [max(policy.low, min(policy.high, current)), *run(policy, [load] * 80, current)]
    changes = [after - before for before, after in pairwise(counts) if after != before]
    assert all(change > 0 for change in changes) or len(changes) == 1, counts
    if policy.low <= counts[-1] < policy.high:
        assert load <= counts[-1] * policy.target * 1.1 + 1e-6, "what is there carries it"


@given(policies, st.lists(loads, min_size=1, max_size=60), st.integers(1, 30), st.integers(0, 20))
def test_the_number_never_leaves_range_room_and_doubling(policy: Policy, load: list[float], current: int, room: int) -> None:
    current = max(policy.low, min(policy.high, current))
    before = current
    for count in run(policy, load, current, room):
        assert policy.low <= count <= policy.high
        assert count <= before + room
        assert count <= max(2 * before, policy.low)
        before = count


@given(policies, st.lists(loads, min_size=2, max_size=60))
def test_no_replica_goes_that_the_window_needed(policy: Policy, load: list[float]) -> None:
    counts = run(policy, load, policy.high)
    before = policy.high
    for number, count in enumerate(counts):
        if count < before:
            since = number * PERIOD_S - policy.down_after_s
            recent = [value for index, value in enumerate(load[: number + 1]) if index * PERIOD_S >= since]
            assert count >= max(needed(value, policy) for value in recent)
            assert number * PERIOD_S >= policy.down_after_s
        before = count


@pytest.mark.parametrize("load", [8.1, 15.9, 16.5, 17.5, 24.3])
def test_noise_of_a_twentieth_around_a_load_moves_nothing_for_long(load: float) -> None:
    noisy = [load * (1 + 0.05 * (-1) ** number) for number in range(600)]
    counts = run(Policy(1, 8, down_after_s=60), noisy, 1)
    assert len(set(counts[40:])) == 1, counts
