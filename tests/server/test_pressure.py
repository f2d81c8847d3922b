"""At three times the peak, on a machine without neighbours: all of the peak, and nobody waits for longer than half of the deadline."""

from __future__ import annotations

import pytest
from crowd import modelled, sums
from pressured import ROWS, TIMEOUT_S, Caller, Machine

from mlship.server.batching.engine import INLINE_S, LEAST
from mlship.server.batching.queue import Job, Queue

MS = 1e-3


@pytest.mark.parametrize(
    ("call_s", "body_s", "noise"),
    [
        (40 * MS, 9 * MS, 0.0),
        (40 * MS, 9 * MS, 0.2),
        (100 * MS, 9 * MS, 0.0),
        (0.0, 20 * MS, 0.0),
        (0.0, 300 * MS, 0.0),
        (2 * MS, 1 * MS, 0.0),
        (1 * MS, 0.5 * MS, 0.1),
    ],
    ids=["a forest", "calls vary", "a dear call", "nothing to gain", "a heavy body", "much to gain", "less than a body's own"],
)
def test_at_three_times_the_peak_the_slowest_answer_takes_half_of_the_deadline(
    monkeypatch: pytest.MonkeyPatch, call_s: float, body_s: float, noise: float
) -> None:
    machine = Machine(monkeypatch, call_s, body_s / ROWS, noise)
    peak = machine.peak(64, 1.0)
    rate = machine.asked(3 * peak, 3.0)
    print(f"peak {peak:.0f}/s, served {rate:.0f}/s, p99 {machine.p99_s():.3f} s, refused {len(machine.refused)}")
    assert rate >= 0.9 * peak
    assert machine.p99_s() <= 0.9 * TIMEOUT_S / 2  # as much again is the machine's own unrest
    assert set(machine.refused) == {503}


def test_one_huge_call_shuts_the_door_only_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 2 * MS, 10 * MS / ROWS)
    machine.asked(20, 0.5)
    machine.stalls(1.5)
    machine.asked(20, 1.5)
    assert 503 in machine.refused
    shut = len(machine.refused)
    machine.asked(20, 1.0)
    assert len(machine.refused) == shut


def test_a_call_in_the_thread_costs_what_it_took_without_the_loop_and_stops_the_loop_for_all_that_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, 2 * MS, 1 * MS / ROWS)
    machine.asked(3 * machine.peak(64, 0.5), 0.5)
    queue = machine.engine.queue(machine.model)
    assert queue.pace.expected_s(ROWS) == pytest.approx(3 * MS, rel=0.1)
    assert queue.takes_s(ROWS) > 3.5 * MS
    assert queue.takes_s(1) > queue.pace.expected_s(1)


def test_a_model_that_waits_while_the_loop_is_busy_is_not_taken_for_one_that_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, 0.0, 1 * MS / ROWS)
    queue = machine.engine.queue(machine.model)
    machine.asked(100, 0.05)
    machine.engine._aside_since, machine.engine._aside_used_s = machine.now, machine.used
    machine.works(1.0)
    assert machine.engine._share_of_the_thread(0.5) == LEAST
    assert queue.takes_s(ROWS) >= 1 * MS


def test_two_models_calls_that_end_in_one_turn_cost_what_they_took(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, groups = handed_over(monkeypatch, models=2)
    machine.now += 50 * MS
    for (queue, jobs), seconds in zip(groups, (30 * MS, 20 * MS), strict=True):
        machine.works(0.1 * MS)
        machine.engine.finish(queue, jobs, ([job.call for job in jobs], machine.now - 50 * MS, seconds))
        assert queue.pace.expected_s(ROWS) == pytest.approx(seconds, rel=0.01)


def test_a_call_costs_what_it_took_when_another_models_is_handed_over_before_its_end_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, ((queue, jobs),) = handed_over(monkeypatch, models=1)
    machine.now += 40 * MS
    machine.model = modelled(sums)
    Caller(machine, machine.now).open()
    machine.engine.flush()
    machine.works(1 * MS)
    machine.engine.finish(queue, jobs, ([job.call for job in jobs], machine.now - 41 * MS, 40 * MS))
    assert queue.pace.expected_s(ROWS) == pytest.approx(40 * MS, rel=0.05)


def handed_over(monkeypatch: pytest.MonkeyPatch, models: int) -> tuple[Machine, list[tuple[Queue, list[Job]]]]:
    """A call of each of so many models that were never called, which the thread has taken."""
    machine = Machine(monkeypatch, 0.0, 0.0)
    for _ in range(models):
        machine.model = modelled(sums)
        Caller(machine, machine.now).open()
    machine.engine.flush()
    groups = [machine.engine.next_group() for _ in range(models)]
    return machine, [group for group in groups if group is not None]


def test_a_model_that_waits_as_long_for_one_row_as_for_many_stays_in_the_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, ((queue, jobs),) = handed_over(monkeypatch, models=1)
    machine.works(60 * MS)
    machine.engine.finish(queue, jobs, ([job.call for job in jobs], machine.now - 50 * MS, 50 * MS))
    assert queue.pace.expected_s(1) == pytest.approx(LEAST * 50 * MS)
    assert queue.takes_s(1) == pytest.approx(50 * MS)


def test_a_model_that_has_become_quick_in_the_thread_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, ((queue, jobs),) = handed_over(monkeypatch, models=1)
    calls = [job.call for job in jobs]
    for seconds in (2.0, *[1 * MS] * 60):
        machine.now += seconds
        machine.engine.finish(queue, jobs, (calls, machine.now - seconds, seconds))
    assert queue.takes_s(1) < INLINE_S
