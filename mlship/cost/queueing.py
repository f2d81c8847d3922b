"""How long requests take where several servers share one queue: M/M/c exactly, M/G/c close to it.

Times are in seconds of a server of speed 1: who has faster or slower ones scales the times first (capacity.py).

- Arrivals are a Poisson process. The share that waits is Erlang's C (exact for exponential times, close for others).
- The wait of those who wait: the time until the first of c busy servers is free (the least of c residual service times), then a
  geometric number (ratio: the utilisation) of residual times of one server c times as fast. Its mean is Tijms' refinement of
  Allen and Cunneen's (A First Course in Stochastic Models, 2003, chapter 9.6); for c = 1 its first two moments are those of
  Pollaczek and Khinchine. A gamma distribution has that mean and that spread.
- A response is a wait and a service time that do not depend on each other: the tails are folded. Adding the 99th percentile of
  each would overestimate.
- A server that had nothing to do is slower for a while: its clock went down, its caches are others', its processor slept. Where
  both were measured, who finds a server at rest has a rested time, and everybody else one of a server at work. For c = 1 this is
  Welch's queue with an exceptional first service (Operations Research 12, 1964): the first of the residual times is a rested one,
  the others and their ratio are those of the server at work. For c > 1 the share that finds rest is 1 - utilisation.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from mlship.cost.workload import ServiceTime

_SERIES_UPTO = 4_000  # servers; beyond, the integral takes the same time for any number
_NEVER = -46.0  # the logarithm of a probability that no tail notices: 1e-20
_CLOSE = 1e-4  # of a share, for the pieces of the integral that folds two tails: what is left over is below 1e-4, mostly 1e-6
_PIECES = 8
_LOST = 3.0  # times the longest value of a sample; a mean that asks for more is not this sample's
_EDGE = 0.37  # where the last value's share begins, between the last two: ln 1.5 / ln 3 in an exponential tail
_EXPONENTIAL = 1.5  # an exponential tail's mean excess over what is seen of it
_HEAVIEST = 0.7  # so much more, at most, is believed


@dataclass(frozen=True)
class Queue:
    """load: requests a second x mean service time, in servers. servers: at least 1; where load >= servers it never ends."""

    service: ServiceTime
    load: float
    servers: int

    @cached_property
    def utilisation(self) -> float:
        """The share of its time that a server is busy; as little is left at full load as if none ever rested.

        busy = load x ((1 - busy) x slower + busy), solved for busy. slower: times as long that one after a rest takes.
        """
        load, rested = self.load / self.servers, self.service.at_rest
        if rested is self.service or load >= 1:
            return load
        slower = rested.mean_s / self.service.mean_s
        return load * slower / (1 + load * (slower - 1))

    @cached_property
    def waiting(self) -> float:
        """The share of requests that find no server free, in [0, 1]."""
        return share_waiting(self.servers, self.utilisation * self.servers)

    def late_alone(self, within_s: float) -> float:
        """The share whose service alone takes longer, in [0, 1]."""
        at_work, rested = service_late(self.service, within_s), self.service.at_rest
        if rested is self.service:
            return at_work
        return self.utilisation * at_work + (1 - self.utilisation) * service_late(rested, within_s)

    def late(self, within_s: float) -> float:
        """The share of responses that take longer, in [0, 1]; 1 where the queue is overloaded."""
        if self.utilisation >= 1:
            return 1.0
        if not is_sampled(self.service):
            return _late_exponential(within_s, self.service.mean_s, self.waiting, self.servers - self.load)
        return self._late_sampled(within_s)

    def quantile(self, share: float) -> float | None:
        """Seconds within which this share of responses comes, share in (0, 1); None where the queue is overloaded."""
        if self.utilisation >= 1:
            return None
        at_work, rested = (service_quantile(one, share) for one in (self.service, self.service.at_rest))
        least, beyond = min(at_work, rested), 1 - share
        if (self.waiting == 0 and at_work == rested) or self.late(least) <= beyond:
            return least
        step = max(self._wait.mean, least * 1e-3)
        most = least + step
        while self.late(most) > beyond:
            least, step = most, 2 * step
            most = least + step
        return _root(lambda within: math.log(max(self.late(within), 1e-300) / beyond), least, most)

    @cached_property
    def _wait(self) -> _Gamma:
        if not is_sampled(self.service):
            mean = self.service.mean_s / (self.servers - self.load)
            return _Gamma(mean, mean**2)
        return _wait(_times(self.service.at_rest), _times(self.service), self.servers, self.load / self.servers)

    def _late_sampled(self, within_s: float) -> float:
        alone, at_work = self.late_alone(within_s), service_late(self.service, within_s)
        if within_s < 0 or self.waiting == 0 or at_work == 1:
            return alone
        return min(1.0, alone + self.waiting * self._late_by_waiting(within_s, (1 - at_work) * len(self.service.sample)))

    def _late_by_waiting(self, within_s: float, reach: float) -> float:
        """The share of those who wait whose service alone would be in time and is not for the wait.

        reach: that many values of the sample, not necessarily whole, are at most within_s.
        """
        at, wait = _quantiles(self.service.sample), self._wait.beyond
        total = _integral(lambda place: wait(within_s - at(place)), reach, _CLOSE * len(self.service.sample) / self.waiting)
        return total / len(self.service.sample)


def share_waiting(servers: int, load: float) -> float:
    """Erlang's C: the share of requests that wait in M/M/c; 1 where load >= servers. Any number takes some 0.1 ms."""
    if load >= servers:
        return 1.0
    if load <= 0:
        return 0.0
    blocked = _share_blocked(servers, load)
    return blocked / (1 - load / servers * (1 - blocked))


def is_sampled(service: ServiceTime) -> bool:
    """Whether there are measured times to go by; a sample of nothing but zeros is too coarse to be one."""
    return bool(service.sample) and service.sample[-1] > 0


def service_late(service: ServiceTime, within_s: float) -> float:
    """The share of service times that are longer, in [0, 1]: between two values of the sample it falls evenly."""
    if within_s < 0:
        return 1.0
    if not is_sampled(service):
        return math.exp(-within_s / service.mean_s) if service.mean_s > 0 else 0.0
    sample, count = service.sample, len(service.sample)
    below = bisect_right(sample, within_s)
    if below in (0, count):
        return 0.0 if below else 1.0
    before, after = sample[below - 1], sample[below]
    return 1 - (below - 0.5 + (within_s - before) / (after - before)) / count


def service_quantile(service: ServiceTime, share: float) -> float:
    """Seconds that this share of service times does not exceed, share in (0, 1)."""
    if not is_sampled(service):
        return -math.log1p(-share) * service.mean_s
    return _quantiles(service.sample)(share * len(service.sample))


def _share_blocked(servers: int, load: float) -> float:
    """Erlang's B, for load < servers: what a queue without places would turn away."""
    exactly_full = servers * math.log(load) - load - math.lgamma(servers + 1)
    if exactly_full < _NEVER:
        return math.exp(exactly_full)  # the Poisson probability; what would divide it is 1
    return 1 / (_series(servers, load) if servers <= _SERIES_UPTO else _series_as_integral(servers, load))


def _series(servers: int, load: float) -> float:
    """1/B = the sum of c!/(c-k)!/load^k for k = 0..c: it rises, then falls fast."""
    total = term = 1.0
    for left in range(servers, 0, -1):
        term *= left / load
        total += term
        if term < total * 1e-17:
            break
    return total


def _series_as_integral(servers: int, load: float) -> float:
    """1/B = the integral of load x exp(-load x) (1+x)^c from 0 on (Jagerman, 1974), by Simpson's rule over the hill."""
    end = max(servers / load - 1, 0.0) + 10 * math.sqrt(servers) / load
    steps = 400
    width = end / steps

    def height(step: int) -> float:
        return math.exp(servers * math.log1p(step * width) - load * step * width)

    odd = math.fsum(height(step) for step in range(1, steps, 2))
    even = math.fsum(height(step) for step in range(2, steps, 2))
    return load * width / 3 * (height(0) + 4 * odd + 2 * even + height(steps))


def _late_exponential(within_s: float, mean_s: float, waiting: float, free: float) -> float:
    """The tail of M/M/c's response time. free: servers - load, above 0.

    An exponential service, for the share that waits after an exponential wait of mean_s/free:
    P(T > x mean) = e^-x + C (e^-x - e^(-free x)) / (free - 1), and C x e^-x where free is 1.
    """
    if within_s < 0:
        return 1.0
    if mean_s <= 0:
        return 0.0
    x, gap = within_s / mean_s, abs(free - 1)
    slower = math.exp(-min(free, 1.0) * x)  # of the two exponentials: the other is written by expm1, which never overflows
    return math.exp(-x) + waiting * slower * (-math.expm1(-gap * x) / gap if gap > 1e-12 else x)


@dataclass(frozen=True)
class _Times:
    """What is asked of a sample again and again. mean, square, cube: its moments."""

    sample: tuple[float, ...]
    mean: float
    square: float
    cube: float

    @property
    def residual(self) -> tuple[float, float]:
        """Of a service time that somebody meets half-way: its mean and its mean square."""
        return self.square / (2 * self.mean), self.cube / (3 * self.mean)

    def least_residual(self, servers: int) -> tuple[float, float]:
        """Of the shortest of so many residual times: its mean and its mean square, exactly.

        Between two values of the sample the residual's tail is a straight line, so that its power integrates in closed form.
        """
        mean = square = since = 0.0
        tail, count = 1.0, len(self.sample)
        for at, until in enumerate(self.sample):
            slowness = self.mean * count / (count - at)  # seconds in which the tail would fall by 1
            after = max(0.0, tail - (until - since) / slowness)
            one = (tail ** (servers + 1) - after ** (servers + 1)) / (servers + 1)
            two = (tail ** (servers + 2) - after ** (servers + 2)) / (servers + 2)
            mean += slowness * one
            square += 2 * slowness * ((since + tail * slowness) * one - slowness * two)
            if after**servers < 1e-17:
                break
            since, tail = until, after
        return mean, square


@lru_cache(maxsize=16)
def _times(service: ServiceTime) -> _Times:
    """The sample with the tail that its quantiles cut off: where the mean of all times is higher, the longest were longer.

    So much longer that the mean is right. The excess of an exponential tail has a mean square of twice its squared mean; one
    with a mean further above what is seen of it is heavier: square and cube grow with that. The factors are fitted to lognormal
    and gamma times with coefficients of variation from 0.5 to 3 in 400 quantiles: within 5 and 25 % of the truth.
    """
    *shorter, longest = service.sample
    lost = max(0.0, math.fsum(service.mean_s - time for time in service.sample))
    lifted = longest + min(lost, _LOST * longest)
    start = shorter[-1] + _EDGE * (longest - shorter[-1]) if shorter and lost else lifted
    excess, seen = lifted - start, longest - start
    heavy = min(max(excess / seen - _EXPONENTIAL, 0.0), _HEAVIEST) if seen > 0 else 0.0
    square, cube = (2 + 2.6 * heavy) * excess**2, (6 + 36 * heavy) * excess**3
    last = (lifted, start**2 + 2 * start * excess + square, start**3 + 3 * start**2 * excess + 3 * start * square + cube)
    moments = (math.fsum((*(time**power for time in shorter), last[power - 1])) for power in (1, 2, 3))
    return _Times((*shorter, lifted), *(moment / len(service.sample) for moment in moments))


@lru_cache(maxsize=4096)
def _least_residual(times: _Times, servers: int) -> tuple[float, float]:
    return times.least_residual(servers)


def _wait(rested: _Times, times: _Times, servers: int, utilisation: float) -> _Gamma:
    """Of those who wait. For c = 1: an exact mean and an exact spread. rested, times: of a server after a rest, and at work."""
    first, first_square = _least_residual(rested, servers)
    mean, square = times.residual
    mean, square = mean / servers, square / servers**2
    ahead = utilisation / (1 - utilisation)
    spread = first_square - first**2 + ahead * (square - mean**2) + ahead * (1 + ahead) * mean**2
    return _Gamma(first + ahead * mean, spread)


@dataclass(frozen=True)
class _Gamma:
    """A gamma distribution, by mean (above 0) and variance."""

    mean: float
    variance: float

    @cached_property
    def _shape(self) -> float:
        return self.mean**2 / max(self.variance, 1e-4 * self.mean**2)

    @cached_property
    def _log_gamma(self) -> float:
        return math.lgamma(self._shape)

    def beyond(self, value: float) -> float:
        """P(X > value)."""
        if value <= 0:
            return 1.0
        shape = self._shape
        x = value / self.mean * shape
        if abs(shape - 1) < 1e-9:
            return math.exp(-x)
        share = math.exp(max(shape * math.log(x) - x - self._log_gamma, -700.0))
        return 1 - share * _gamma_series(shape, x) if x < shape + 1 else share * _gamma_fraction(shape, x)


def _gamma_series(shape: float, x: float) -> float:
    """The lower incomplete gamma function over x^shape e^-x, for x < shape + 1 (Abramowitz and Stegun 6.5.29)."""
    total = term = 1 / shape
    while term > total * 1e-8:
        shape += 1
        term *= x / shape
        total += term
    return total


def _gamma_fraction(shape: float, x: float) -> float:
    """The upper incomplete gamma function over x^shape e^-x, for x >= shape + 1 (6.5.31, by Lentz's method)."""
    middle = x + 1 - shape
    ratio, inverse = 1e300, 1 / middle
    total = inverse
    for step in range(1, 1000):
        factor = step * (shape - step)
        middle += 2
        inverse = 1 / (factor * inverse + middle)
        ratio = middle + factor / ratio
        change = ratio * inverse
        total *= change
        if abs(change - 1) < 1e-8:
            break
    return total


def _quantiles(sample: tuple[float, ...]) -> Callable[[float], float]:
    """Place in the sample -> seconds; value i stands at i + 1/2, between two the times rise evenly."""
    last = len(sample) - 1

    def at(place: float) -> float:
        place -= 0.5
        if place <= 0:
            return sample[0]
        if place >= last:
            return sample[last]
        index = int(place)
        return sample[index] + (place - index) * (sample[index + 1] - sample[index])

    return at


def _integral(height: Callable[[float], float], end: float, close: float) -> float:
    """Of a rising function from 0 to end: pieces are halved until they are straight, to `close` in all."""
    width = end / _PIECES
    edges = [height(width * piece) for piece in range(_PIECES + 1)]
    open_pieces = [(width * piece, width, edges[piece], edges[piece + 1]) for piece in range(_PIECES)]
    total = 0.0
    while open_pieces:
        start, width, low, high = open_pieces.pop()
        middle = height(start + width / 2)
        if abs(low - 2 * middle + high) * width < close or width < end * 1e-6:
            total += width / 6 * (low + 4 * middle + high)
        else:
            open_pieces += [(start, width / 2, low, middle), (start + width / 2, width / 2, middle, high)]
    return total


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function, above 0 at low and not at high, passes 0, to a ten-millionth: Ridders' method (1979)."""
    at_low, at_high = excess(low), excess(high)
    found = high
    while high - low > 1e-7 * high:
        middle, last = (low + high) / 2, found
        at_middle = excess(middle)
        if at_middle == 0:
            return middle
        found = middle + (middle - low) * at_middle / math.sqrt(at_middle**2 - at_low * at_high)
        at_found = excess(found)
        if at_found == 0 or abs(found - last) < 1e-7 * high:
            break
        tries = sorted(((low, at_low), (middle, at_middle), (found, at_found), (high, at_high)))
        low, at_low = max(point for point in tries if point[1] > 0)
        high, at_high = min(point for point in tries if point[1] <= 0)
    return found
