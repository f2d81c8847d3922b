"""Servers for a promise, and what is left of it with fewer."""

from __future__ import annotations

from math import ceil, exp, inf, log, nan

from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx, mark, raises

from mlship.cost.capacity import latency, servers_needed, share_served
from mlship.cost.workload import ServiceTime
from mlship.errors import MlshipError

TEN_MS = ServiceTime(0.010)
CONSTANT = ServiceTime(0.010, (0.010,) * 400)


def test_one_exponential_server_holds_exactly_up_to_its_rate():
    # M/M/1: p99 = ln 100 / (100/s - rps); 50 ms asks for rps <= 100 - 92.1034 = 7.8966
    assert servers_needed(TEN_MS, 7.89, 0.050) == 1
    assert servers_needed(TEN_MS, 7.90, 0.050) == 2


def test_two_servers_hold_by_the_closed_form_of_mm2():
    # half busy: P(T > x) = e^-x (1 + x/3), with x in service times
    x = 5.0
    for _ in range(60):
        x = log(100 * (1 + x / 3))
    assert servers_needed(TEN_MS, 100, 0.010 * x * 1.0001) == 2
    assert servers_needed(TEN_MS, 100, 0.010 * x * 0.9999) == 3
    assert latency(TEN_MS, 100, 2) == (approx(0.010 * half_of_mm2(), rel=1e-8), approx(0.010 * x, rel=1e-8))


def half_of_mm2() -> float:
    low, high = 0.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if exp(-middle) * (1 + middle / 3) > 0.5 else (low, middle)
    return high


def test_without_a_promise_servers_are_at_most_seventy_percent_busy():
    assert servers_needed(TEN_MS, 70, None) == 1
    assert servers_needed(TEN_MS, 71, None) == 2
    assert servers_needed(TEN_MS, 700, None) == 10
    assert servers_needed(TEN_MS, 0.001, None) == 1
    assert servers_needed(TEN_MS, 70, None, speed=0.5) == 2


def test_no_traffic_needs_no_servers():
    assert servers_needed(TEN_MS, 0, 0.001) == 0
    assert servers_needed(TEN_MS, 0, None) == 0
    assert latency(CONSTANT, 0, 1) == (0.010, 0.010)


def test_a_promise_shorter_than_the_service_is_kept_by_nobody():
    assert servers_needed(TEN_MS, 1, 0.046) is None  # 10 ms x ln 100 = 46.05 ms
    assert servers_needed(TEN_MS, 1, 0.0461) is not None
    assert servers_needed(CONSTANT, 1, 0.0099) is None
    assert servers_needed(CONSTANT, 0.1, 0.016, speed=0.625) == 1  # to the last digit


def test_half_the_speed_is_twice_the_time():
    slow = latency(TEN_MS, 40, 2, speed=0.5)
    assert slow == approx(latency(ServiceTime(0.020), 40, 2))
    assert servers_needed(TEN_MS, 500, 0.2, speed=0.5) == servers_needed(ServiceTime(0.020), 500, 0.2)


def test_headroom_keeps_the_promise_at_a_higher_rate():
    assert servers_needed(TEN_MS, 400, 0.060, headroom=0.2) == servers_needed(TEN_MS, 500, 0.060)


def test_overload_has_no_latency_and_serves_a_share():
    assert latency(TEN_MS, 400, 4) is None
    assert share_served(TEN_MS, 399, 4) == 1
    assert share_served(TEN_MS, 500, 4) == approx(0.8)
    assert share_served(TEN_MS, 500, 4, speed=0.5) == approx(0.4)
    assert share_served(TEN_MS, 500, 0) == 0
    assert share_served(TEN_MS, 0, 0) == 1


def test_a_hundred_thousand_servers_need_few_more_than_their_load():
    needed = servers_needed(TEN_MS, 1e7, 0.060)
    assert needed is not None
    assert 100_000 < needed < 100_700


TIMES = st.lists(st.floats(1e-3, 1), min_size=1, max_size=10).map(lambda times: tuple(sorted(times)))
SERVICES = TIMES.map(lambda sample: ServiceTime(sum(sample) / len(sample), sample)) | st.floats(1e-4, 1).map(ServiceTime)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(SERVICES, st.floats(1e-3, 300), st.floats(1.0, 30), st.sampled_from([1.0, 0.625]))
def test_the_number_is_the_smallest(service: ServiceTime, load: float, patience: float, speed: float):
    rps, p99 = load / service.mean_s * speed, patience * service.mean_s / speed
    needed = servers_needed(service, rps, p99, speed=speed)
    if needed is None:
        alone = latency(service, rps, 10 * ceil(load) + 100, speed=speed)
        assert alone is not None
        assert alone[1] >= p99 * (1 - 1e-6)
        return
    enough, too_few = (latency(service, rps, servers, speed=speed) if servers else None for servers in (needed, needed - 1))
    assert enough is not None
    assert enough[1] <= p99 * (1 + 1e-6)
    assert too_few is None or too_few[1] > p99 * (1 - 1e-6)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(SERVICES, st.floats(1e-3, 100), st.floats(1.0, 10), st.floats(5, 30))
def test_more_traffic_never_needs_fewer(service: ServiceTime, load: float, more: float, patience: float):
    rps, p99 = load / service.mean_s, patience * service.mean_s
    some, many = servers_needed(service, rps, p99), servers_needed(service, rps * more, p99)
    assert (some is None) == (many is None)
    assert some is None or many is None or some <= many


@mark.parametrize("wrong", [-1.0, nan, inf])
def test_amounts_that_are_none_are_refused(wrong: float):
    with raises(MlshipError, match=r"rps .* is not a number from 0 on; correct it"):
        servers_needed(TEN_MS, wrong, 0.1)
    with raises(MlshipError, match=r"service time .* is not a number from 0 on"):
        latency(ServiceTime(wrong), 1, 1)
    with raises(MlshipError, match=r"speed .* is not a number above 0"):
        share_served(TEN_MS, 1, 1, speed=wrong)
    with raises(MlshipError, match=r"a p99 of .* is no time; write slo.p99 above 0"):
        servers_needed(TEN_MS, 1, wrong)
    with raises(MlshipError, match=r"headroom .* is no share; write a number from 0 to below 1"):
        servers_needed(TEN_MS, 1, 0.1, headroom=wrong)
