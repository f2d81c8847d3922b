"""Requests that meet a server after a rest take longer, and the load decides how many do."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from mlship.cost.capacity import latency, servers_needed
from mlship.cost.queueing import Queue
from mlship.cost.workload import ServiceTime

ROW = tuple(0.010 + 0.0001 * at for at in range(100))
RESTED = tuple(1.6 * time for time in ROW)
MEAN = sum(ROW) / 100
PLAIN = ServiceTime(MEAN, ROW, "bench")
BOTH = replace(PLAIN, rested=RESTED, rested_mean_s=1.6 * MEAN)


def test_without_measured_rests_there_is_one_time():
    assert PLAIN.at_rest is PLAIN and Queue(PLAIN, 0.4, 1).utilisation == 0.4


def test_who_never_meets_another_meets_a_server_at_rest():
    assert latency(BOTH, 0.0, 1) == pytest.approx(latency(replace(PLAIN, sample=RESTED, mean_s=1.6 * MEAN), 0.0, 1))


def test_at_full_load_no_server_rests():
    nearly = Queue(BOTH, 0.9999, 1)
    assert nearly.utilisation == pytest.approx(0.9999, abs=1e-4)
    assert nearly.late_alone(ROW[-1]) == pytest.approx(0, abs=1e-4)
    assert Queue(BOTH, 1.0, 1).quantile(0.99) is None


def test_as_many_find_a_server_at_rest_as_it_is_idle():
    slow = replace(BOTH, rested=tuple(3 * time for time in ROW), rested_mean_s=3 * MEAN)
    queue = Queue(slow, 0.25, 1)
    assert queue.utilisation == pytest.approx(0.5)  # 0.25 x (0.5 x 3 + 0.5)
    assert queue.late_alone(ROW[-1] * 1.01) == pytest.approx(0.5)


def test_a_promise_that_a_rested_server_breaks_is_kept_by_no_number():
    assert servers_needed(PLAIN, 10.0, 0.025) == 2
    assert servers_needed(BOTH, 10.0, 0.025) is None


@pytest.mark.parametrize("load", [0.2, 0.4, 0.6])
def test_p99_is_near_that_of_one_simulated_server_that_slows_at_rest(load: float):
    found = latency(BOTH, load / MEAN, 1)
    assert found is not None
    assert found[1] == pytest.approx(_simulated_p99(load / MEAN), rel=0.07)


def _simulated_p99(rps: float, requests: int = 60_000) -> float:
    draw, free, now, times = random.Random(3), 0.0, 0.0, []
    for _ in range(requests):
        now += draw.expovariate(rps)
        start, sample = max(now, free), ROW if free > now else RESTED
        free = start + draw.choice(sample)
        times.append(free - now)
    return sorted(times)[int(requests * 0.99)]


@pytest.mark.parametrize("rps", [60.0, 200.0, 2000.0])
def test_so_many_servers_keep_the_promise_and_one_less_does_not(rps: float):
    needed = servers_needed(BOTH, rps, 0.060)
    assert needed is not None
    kept, missed = (latency(BOTH, rps, servers) for servers in (needed, needed - 1))
    assert kept is not None and kept[1] <= 0.060
    assert missed is None or missed[1] > 0.060
