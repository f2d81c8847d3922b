"""p99 as the queue model predicts it, against simulated queues: customer by customer, with everything that the model leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
import numpy.typing as npt
import pytest

from mlship.cost.capacity import latency
from mlship.cost.workload import ServiceTime

pytestmark = pytest.mark.world

Array = npt.NDArray[np.float64]

CASES = 200
SEED = 20261122
QUANTILES = 400  # of the sample that the model is given, as `mlship bench` stores it
STREAMS = 4  # independent queues a case
CUSTOMERS = 100_000  # a stream; after WARM_UP
WARM_UP = 10_000
CHUNK = 2_000
EVERY = 2  # neighbours wait alike: every second one is kept
ALONE = 4_000_000  # customers of a single server, whose waits need no loop


@dataclass(frozen=True)
class Case:
    """kind: of service times. spread: their coefficient of variation, or how much longer the slow ones are."""

    kind: str
    spread: float
    slow: float
    servers: int
    utilisation: float

    @property
    def rps(self) -> float:
        return self.utilisation * self.servers

    def times(self, random: np.random.Generator, size: int) -> Array:
        """Service times of mean 1 second."""
        match self.kind:
            case "deterministic":
                return np.ones(size)
            case "lognormal":
                sigma = sqrt(log(1 + self.spread**2))
                return np.exp(sigma * random.standard_normal(size) - sigma**2 / 2)
            case "gamma":
                return random.standard_gamma(self.spread**-2, size) * self.spread**2
            case "bimodal":
                fast = 1 / (1 + self.slow * (self.spread - 1))
                return np.where(random.random(size) < self.slow, fast * self.spread, fast)
        return random.standard_exponential(size)


def cases(count: int = CASES) -> Iterator[Case]:
    random = np.random.default_rng(SEED)
    for _ in range(count):
        kind = str(random.choice(["deterministic", "lognormal", "gamma", "bimodal", "exponential"]))
        spread = random.uniform(2, 10) if kind == "bimodal" else random.uniform(0.2, 2)
        servers = int(random.choice([1, 2, 3, 4, 6, 8, 12, 16, 24, 32]))
        yield Case(kind, float(spread), float(random.uniform(0.02, 0.3)), servers, float(random.uniform(0.2, 0.85)))


def predicted(case: Case, random: np.random.Generator) -> float:
    if case.kind == "exponential":
        service = ServiceTime(1.0)
    else:
        drawn = case.times(random, 100_000)
        sample = np.quantile(drawn, (np.arange(QUANTILES) + 0.5) / QUANTILES)
        service = ServiceTime(float(drawn.mean()), tuple(sample.tolist()))
    found = latency(service, case.rps, case.servers)
    assert found is not None
    return found[1]


def simulated_alone(case: Case, random: np.random.Generator) -> float:
    """One server: Lindley's recursion, whose waits are a walk above its lowest point."""
    times = case.times(random, ALONE)
    steps = np.cumsum(times[:-1] - random.standard_exponential(ALONE - 1) / case.rps)
    walk = np.concatenate(([0.0], steps))
    responses = walk - np.minimum.accumulate(walk) + times
    return float(np.quantile(responses[WARM_UP:], 0.99))


def simulated(together: list[Case], random: np.random.Generator) -> list[float]:
    """Several servers, all cases of one number of them at once: each customer takes the server that is free first."""
    rows = np.repeat(np.arange(len(together)), STREAMS)
    rates = np.array([case.rps for case in together])[rows]
    free = np.zeros((len(rows), together[0].servers))
    lines = np.arange(len(rows))
    now = np.zeros(len(rows))
    kept = np.empty((CUSTOMERS // EVERY, len(rows)), np.float32)
    for start in range(-WARM_UP, CUSTOMERS, CHUNK):
        arrivals = now + np.cumsum(random.standard_exponential((CHUNK, len(rows))) / rates, axis=0)
        drawn = [case.times(random, CHUNK * STREAMS).reshape(CHUNK, STREAMS) for case in together]
        times = np.concatenate(drawn, axis=1)
        ends = np.empty_like(times)
        for customer in range(CHUNK):
            first = free.argmin(axis=1)
            ends[customer] = np.maximum(free[lines, first], arrivals[customer]) + times[customer]
            free[lines, first] = ends[customer]
        if start >= 0:
            kept[start // EVERY : (start + CHUNK) // EVERY] = (ends - arrivals)[::EVERY]
        now = arrivals[-1]
    return [float(np.quantile(kept[:, rows == at], 0.99)) for at in range(len(together))]


def errors() -> list[tuple[float, Case]]:
    """Predicted against simulated p99, as a share of the simulated one."""
    random = np.random.default_rng(SEED + 1)
    every = list(cases())
    truth = {case: simulated_alone(case, random) for case in every if case.servers == 1}
    for servers in sorted({case.servers for case in every} - {1}):
        together = [case for case in every if case.servers == servers]
        truth |= dict(zip(together, simulated(together, random), strict=True))
    return [(predicted(case, random) / truth[case] - 1, case) for case in every]


def test_p99_is_within_a_tenth_of_simulated_queues():
    found = sorted(errors(), key=lambda error: abs(error[0]))
    near = sum(abs(error) <= 0.1 for error, _ in found)
    assert near >= 0.95 * CASES, found[-10:]
