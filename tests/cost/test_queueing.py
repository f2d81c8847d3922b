"""Response times of queues, against closed forms that are worked out here in another way."""

from __future__ import annotations

from fractions import Fraction
from math import exp, factorial, floor, log
from statistics import NormalDist

from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx, mark

from mlship.cost.queueing import Queue, service_late, service_quantile, share_waiting
from mlship.cost.workload import ServiceTime

MILLISECONDS_10 = ServiceTime(0.010)
DETERMINISTIC = ServiceTime(1.0, (1.0,) * 8)


def quantiles_of(sigma: float, count: int = 400) -> ServiceTime:
    """Lognormal times of mean 1, by their quantiles."""
    normal = NormalDist(-(sigma**2) / 2, sigma)
    return ServiceTime(1.0, tuple(exp(normal.inv_cdf((at + 0.5) / count)) for at in range(count)))


def test_one_server_makes_wait_as_often_as_it_is_busy():
    assert share_waiting(1, 0.8) == approx(0.8, rel=1e-12)


def test_two_servers_make_wait_by_the_textbook():
    # C(2, a) = a^2/2 / (1 - a/2) / (1 + a + a^2/2 / (1 - a/2)) = 2 u^2 / (1 + u), u = a/2
    assert share_waiting(2, 1.2) == approx(2 * 0.36 / 1.6, rel=1e-12)


@mark.parametrize(("servers", "load"), [(10, 8), (50, 49), (7, 1)])
def test_erlang_c_is_its_definition_in_fractions(servers: int, load: int):
    full = Fraction(load**servers, factorial(servers)) * Fraction(servers, servers - load)
    below = sum(Fraction(load**busy, factorial(busy)) for busy in range(servers))
    assert share_waiting(servers, load) == approx(float(full / (below + full)), rel=1e-12)


@mark.parametrize(("servers", "load"), [(20_000, 19_999.98), (20_000, 19_800.0), (3_999, 3_900.0), (4_001, 3_900.0)])
def test_thousands_of_servers_are_as_the_recursion_says(servers: int, load: float):
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = load * blocked / (server + load * blocked)
    assert share_waiting(servers, load) == approx(blocked / (1 - load / servers * (1 - blocked)), rel=1e-7)


def test_a_queue_that_is_full_lets_everybody_wait():
    assert share_waiting(4, 4.0) == share_waiting(4, 5.0) == 1
    assert Queue(MILLISECONDS_10, 4.0, 4).quantile(0.99) is None
    assert Queue(MILLISECONDS_10, 4.0, 4).late(1e9) == 1
    assert share_waiting(4, 0.0) == 0


def test_one_exponential_server_answers_exponentially():
    # M/M/1: the response is exponential, of mean 10 ms / (1 - 0.8) = 50 ms; p99 = 50 ms x ln 100 = 230.26 ms, p50 = 34.66 ms
    queue = Queue(MILLISECONDS_10, 0.8, 1)
    assert queue.quantile(0.99) == approx(0.2302585093, rel=1e-8)
    assert queue.quantile(0.5) == approx(0.0346573590, rel=1e-8)


def test_two_exponential_servers_half_busy():
    # C = 1/3 and the wait is as long as the service: P(T > x) = e^-x (1 + x/3) = 0.01 at x = ln(100 (1 + x/3)) = 5.66596
    x = 5.0
    for _ in range(60):
        x = log(100 * (1 + x / 3))
    assert x == approx(5.66596, abs=1e-5)
    assert Queue(MILLISECONDS_10, 1.0, 2).quantile(0.99) == approx(0.010 * x, rel=1e-8)


def test_two_exponential_servers_whose_wait_is_longer_than_the_service():
    # C = 0.45, the wait's rate is 2 - 1.2 = 0.8 of the service's: P(T > x) = e^-x + 0.45 (e^-x - e^-0.8x) / (0.8 - 1)
    found = Queue(MILLISECONDS_10, 1.2, 2).quantile(0.99)
    assert found is not None
    x = found / 0.010
    assert 2.25 * exp(-0.8 * x) - 1.25 * exp(-x) == approx(0.01, rel=1e-8)


def test_many_idle_servers_answer_as_fast_as_they_compute():
    assert Queue(MILLISECONDS_10, 3.0, 1000).quantile(0.99) == approx(0.010 * log(100), rel=1e-9)
    assert Queue(DETERMINISTIC, 3.0, 1000).quantile(0.99) == 1.0


@mark.parametrize("utilisation", [0.3, 0.5, 0.7, 0.85])
def test_one_server_of_constant_times_is_close_to_erlangs_formula(utilisation: float):
    def waits_longer(time: float) -> float:
        """M/D/1 (Erlang, 1909), for times of 1."""
        terms = (
            (-utilisation * (time - at)) ** at / factorial(at) * exp(utilisation * (time - at)) for at in range(floor(time) + 1)
        )
        return 1 - (1 - utilisation) * sum(terms)

    p99 = Queue(DETERMINISTIC, utilisation, 1).quantile(0.99)
    assert p99 is not None
    low, high = 0.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if waits_longer(middle) > 0.01 else (low, middle)
    assert p99 == approx(1 + high, rel=0.02)


@mark.parametrize(("servers", "load"), [(1, 0.5), (1, 0.85), (4, 3.2), (32, 27.0)])
def test_a_sample_of_exponential_times_is_the_exponential_queue(servers: int, load: float):
    sample = tuple(-log(1 - (at + 0.5) / 400) for at in range(400))
    measured, exact = Queue(ServiceTime(1.0, sample), load, servers).quantile(0.99), Queue(ServiceTime(1.0), load, servers)
    assert measured == approx(exact.quantile(0.99), rel=0.01)


def test_adding_the_quantiles_of_wait_and_service_overestimates():
    queue, mean = Queue(MILLISECONDS_10, 1.4, 2), 0.010
    p99 = queue.quantile(0.99)
    assert p99 is not None
    wait = mean / (2 - 1.4) * log(queue.waiting / 0.01)  # exponential above the share that waits
    assert wait + mean * log(100) > 1.25 * p99


def test_the_tail_that_quantiles_cut_off_is_seen_in_the_mean():
    known, cut = quantiles_of(1.0), quantiles_of(1.0)
    cut = ServiceTime(sum(cut.sample) / len(cut.sample), cut.sample)
    assert known.mean_s > cut.mean_s
    whole = quantiles_of(1.0, 20_000)
    truth, with_mean, without = (Queue(service, 0.8, 1).quantile(0.99) or 0 for service in (whole, known, cut))
    assert without < with_mean < truth * 1.02
    assert with_mean == approx(truth, rel=0.07)


# p99 in mean service times of M/G/1 with lognormal times, by the formula of Pollaczek and Khinchine inverted numerically
# (Fourier transform of the residual times, steps of 0.005 of the mean)
@mark.parametrize(("square", "utilisation", "p99"), [
    (2, 0.4, 14.08), (2, 0.7, 27.81), (2, 0.85, 51.74), (3, 0.4, 19.58), (3, 0.7, 39.89), (3, 0.85, 73.31),
    (4, 0.4, 25.18), (4, 0.7, 52.67), (4, 0.85, 96.29),
])  # fmt: skip
def test_one_server_of_times_with_a_heavy_tail_is_close_to_the_exact_queue(square: float, utilisation: float, p99: float):
    """square: the squared coefficient of variation. Of the tail that 400 quantiles cut off the mean alone tells."""
    service = quantiles_of(log(1 + square) ** 0.5)
    assert Queue(service, utilisation * service.mean_s, 1).quantile(0.99) == approx(p99 * service.mean_s, rel=0.04)


def test_a_sample_is_read_between_its_values():
    service = ServiceTime(2.0, (1.0, 2.0, 3.0))
    assert service_late(service, 0.9) == 1
    assert service_late(service, 1.5) == approx(2 / 3)
    assert service_late(service, 3.0) == 0
    assert service_quantile(service, 0.5) == 2.0
    assert service_quantile(service, 1 / 3) == approx(1.5)
    assert (service_quantile(service, 0.01), service_quantile(service, 0.99)) == (1.0, 3.0)


def test_times_of_nothing_take_no_time():
    for service in (ServiceTime(0.0), ServiceTime(0.0, (0.0, 0.0))):
        assert Queue(service, 0.0, 1).quantile(0.99) == 0
        assert (service_late(service, 0.0), service_late(service, -1.0)) == (0, 1)


SAMPLES = st.lists(st.floats(1e-3, 10), min_size=1, max_size=12).map(lambda times: tuple(sorted(times)))
SERVICES = SAMPLES.map(lambda sample: ServiceTime(sum(sample) / len(sample), sample)) | st.floats(1e-6, 1e4).map(ServiceTime)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(SERVICES, st.integers(1, 60), st.floats(0.01, 0.98), st.floats(0.1, 20))
def test_more_servers_and_fewer_requests_are_never_slower(service: ServiceTime, servers: int, utilisation: float, means: float):
    within = means * service.mean_s
    late = Queue(service, utilisation * servers, servers).late(within)
    assert 0 <= late <= 1
    assert Queue(service, utilisation * servers, servers + 1).late(within) <= late + 1e-4
    assert Queue(service, utilisation * servers * 0.9, servers).late(within) <= late + 1e-4
    assert service_late(service, within) <= late + 1e-12


@mark.parametrize("mean", [1e-9, 1.0, 1e6])
@mark.parametrize("servers", [1, 37, 100_000])
@mark.parametrize("utilisation", [1e-9, 0.5, 0.999999])
def test_extremes_have_finite_ordered_answers(mean: float, servers: int, utilisation: float):
    for service in (ServiceTime(mean), ServiceTime(mean, (0.0, mean / 2, 2.5 * mean))):
        queue = Queue(service, utilisation * servers, servers)
        half, most = queue.quantile(0.5), queue.quantile(0.99)
        assert half is not None
        assert most is not None
        assert 0 < half < most < 1e8 * mean
        assert queue.late(most) == approx(0.01, rel=1e-3) or queue.late(most) < 0.01
