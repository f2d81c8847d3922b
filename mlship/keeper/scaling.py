"""How many replicas a service should have, from what was measured. Pure: values in, a decision with its reason out.

The rule is the one of the Horizontal Pod Autoscaler (needed = load / what one replica should carry, tolerance 10 %,
stabilisation of the way down by the maximum of a window); `load` is of all replicas together, so a replica more or less does not
change it and a constant load can never make the number swing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Metric = Literal["concurrency", "rps", "queue", "cpu"]
METRICS: tuple[str, ...] = get_args(Metric)

PER_REPLICA: dict[Metric, float] = {
    "concurrency": 8.0,  # requests that are at a replica at the same time, waiting ones included
    "rps": 50.0,  # requests a second
    "queue": 4.0,  # requests that wait at a replica, beside the one that each of its cores works on
    "cpu": 70.0,  # percent of the replica's CPU limit
}
TOLERANCE = 0.1  # so far above the target is not yet too much; the autoscaler of Kubernetes has the same
UP_SAMPLES = 2  # one sample alone may be a burst that is over before a replica has loaded its model
LONGEST_GAP_S = 15.0  # between two samples; what lies before a longer one says nothing about quiet
STRETCHES = 200  # of the window; of each only the highest load is kept, so that a month needs no more memory than a minute


@dataclass(frozen=True)
class Policy:
    """low, high: the range. per_replica: of the metric, what one replica should carry. cores: that a replica may use.

    down_after_s: how long fewer replicas must have been enough before one goes.
    """

    low: int
    high: int
    metric: Metric = "concurrency"
    per_replica: float = PER_REPLICA["concurrency"]
    down_after_s: float = 300.0
    cores: float = 1.0

    @property
    def target(self) -> float:
        """The load that one replica carries."""
        return self.per_replica + math.ceil(self.cores) if self.metric == "queue" else self.per_replica


@dataclass(frozen=True)
class Sample:
    """at: seconds of a clock that never goes back. load: of all replicas together, in the unit of the metric."""

    at: float
    load: float


@dataclass(frozen=True)
class Decision:
    """count: how many replicas there should be now. reason: in words, for the log. short: memory is too little for more."""

    count: int
    reason: str
    short: bool = False


def needed(load: float, policy: Policy) -> int:
    """How many replicas carry the load, within the range."""
    # A hair below: sums of measured fractions must not ask for one more.
    return max(policy.low, min(policy.high, math.ceil(load / policy.target - 1e-9)))


def remembered(samples: Sequence[Sample], new: Sample, policy: Policy) -> tuple[Sample, ...]:
    """What still counts: back to the youngest that is down_after_s old, and nothing from before a gap."""
    if samples and not 0 <= new.at - samples[-1].at <= LONGEST_GAP_S:
        return (new,)
    window = [*samples, new]
    settled = len(window) - UP_SAMPLES - 1  # the one that does not count for the way up any more
    if settled > 0 and window[settled].at - window[settled - 1].at < policy.down_after_s / STRETCHES:
        highest = max(window[settled - 1].load, window[settled].load)
        window[settled - 1 : settled + 1] = [Sample(window[settled - 1].at, highest)]
    old = [index for index, sample in enumerate(window[:-UP_SAMPLES]) if new.at - sample.at >= policy.down_after_s]
    return tuple(window[old[-1] :] if old else window)


def decide(samples: Sequence[Sample], current: int, policy: Policy, room: int) -> Decision:
    """The number of replicas from the samples, oldest first, that `remembered` keeps.

    current: how many serve, 1 or more. room: for how many more the host has free memory. The number is never above the range,
    never grows above `current + room` or to more than twice `current`, and is below the range only for want of memory.
    """
    if current < policy.low:
        return _grown(policy.low, current, room, f"{current} serve, at least {policy.low} should", doubling=False)
    if current > policy.high:
        return Decision(policy.high, f"{current} serve, at most {policy.high} should")
    wanted = _wanted_up(samples, current, policy)
    if wanted > current:
        return _grown(wanted, current, room, _busy(samples, current, policy))
    enough = _enough(samples, policy)
    if enough is not None and enough < current:
        return Decision(enough, f"{enough} would have been enough for {policy.down_after_s:g} s")
    return Decision(current, f"{_figures(samples, policy)}, {current} serve")


def _wanted_up(samples: Sequence[Sample], current: int, policy: Policy) -> int:
    """What the last samples agree on, when all of them are above the target by more than the tolerance."""
    last = samples[-UP_SAMPLES:]
    above = [sample.load > current * policy.target * (1 + TOLERANCE) for sample in last]
    if len(last) < UP_SAMPLES or not all(above):
        return current
    return min(needed(sample.load, policy) for sample in last)


def _enough(samples: Sequence[Sample], policy: Policy) -> int | None:
    """The most that any sample of the window needed; None while the window is not full."""
    if not samples or samples[-1].at - samples[0].at < policy.down_after_s:
        return None
    return max(needed(sample.load, policy) for sample in samples)


def _grown(wanted: int, current: int, room: int, reason: str, doubling: bool = True) -> Decision:
    step = min(wanted, 2 * current) if doubling else wanted
    allowed = max(current, min(step, current + room))
    if allowed < step:
        return Decision(allowed, f"{reason}; {step} wanted, free memory is enough for {allowed}", short=True)
    return Decision(allowed, reason)


def _busy(samples: Sequence[Sample], current: int, policy: Policy) -> str:
    return f"{_figures(samples, policy)}, more than {current} should carry"


def _figures(samples: Sequence[Sample], policy: Policy) -> str:
    load = f"{samples[-1].load:.1f}" if samples else "unknown"
    return f"{policy.metric} {load}, {policy.per_replica:g} a replica"
