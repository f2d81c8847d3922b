"""What is to be served: how long one request takes, how many come when, and what callers are promised. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

HOURS_PER_MONTH = 730.0  # 365 * 24 / 12; the providers' own calculators use it


@dataclass(frozen=True)
class ServiceTime:
    """Seconds of one core that one request keeps busy, on a core of speed 1.

    sample: measured times, ascending, equally weighted (quantiles); empty where only the mean is known: the times are then taken
    as exponential, for which the waiting time is known exactly. source: where it comes from, for people: `bench`, `build`, `said`.
    is_said: by a person, who says what a service that bills by the request will bill, whatever the size of its replicas.
    rested, rested_mean_s: the same of requests that meet a server after a rest; empty where nobody measured them (queueing.py).
    """

    mean_s: float
    sample: tuple[float, ...] = ()
    source: str = "said"
    is_said: bool = False
    rested: tuple[float, ...] = ()
    rested_mean_s: float = 0.0

    def __hash__(self) -> int:
        """Of what tells two apart in nearly all cases: hundreds of times are not gone through at each look into a cache."""
        return hash((self.mean_s, self.source, len(self.sample), self.rested_mean_s))

    @cached_property
    def at_rest(self) -> ServiceTime:
        """What a request takes that meets a server after a rest; the same where nobody measured that."""
        if not self.rested or not self.sample or not self.sample[-1]:
            return self
        return replace(self, mean_s=self.rested_mean_s, sample=self.rested, rested=(), rested_mean_s=0.0)


@dataclass(frozen=True)
class Hour:
    """A rate that holds for a while. rps: requests a second on average. hours: of a month."""

    rps: float
    hours: float


@dataclass(frozen=True)
class Traffic:
    """The rates of a month in their order: the one after another may follow it by a step.

    steps: in the order in which they come; their hours sum up to the month's. cycles: how often that order is gone through in
    the month (a day of 24 hours: 730/24), so that `steps` need not be written out. source: for people, `mlship.yaml:31`.
    """

    steps: tuple[Hour, ...]
    cycles: float = 1.0
    source: str = ""

    @cached_property
    def hours(self) -> float:
        return sum(step.hours for step in self.steps)

    @cached_property
    def requests(self) -> float:
        """Of a month."""
        return sum(step.rps * step.hours for step in self.steps) * 3600

    @property
    def mean(self) -> float:
        """Requests a second."""
        return self.requests / (self.hours * 3600)

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """Each different one, requests a second, ascending."""
        return tuple(sorted({step.rps for step in self.steps}))

    @cached_property
    def peak(self) -> float:
        """Requests a second in the busiest step."""
        return max(step.rps for step in self.steps)


@dataclass(frozen=True)
class Unit:
    """One replica as a queue sees it. servers: requests that are computed at the same time (its cores, or its GPUs).

    speed: of each of them when all work, against the core that the service time was measured on; alone: of one that works alone,
    which is what a service bills that bills by the request; None where that is the same. memory_gib: what it has, None unknown.
    assumption: where servers and speed come from, for people.
    """

    servers: int
    speed: float = 1.0
    memory_gib: float | None = None
    assumption: str = ""
    alone: float | None = None

    def billed_speed(self, service: ServiceTime) -> float:
        """Of a request that a service bills by its time."""
        if service.is_said and self.alone is not None:
            return 1.0
        return self.speed if self.alone is None else self.alone


@dataclass(frozen=True)
class Workload:
    """traffic: None where nothing is said: only the idle floor can be priced, and a curve.

    service_time: None where nobody measured it; replicas have to be said then. p99_s: what callers are promised, None nothing.
    replicas: at least and at most how many; (n, n) is a fixed number, (1, None) as many as it takes. headroom: of every replica
    this share stays free (0.2). down_after_s: after a fall of the traffic replicas stay for so long. concurrency: requests that
    one replica of a per-request service takes at a time. memory_gib: what the model needs at least, 0 unknown.
    egress_gb, logs_gb: of a month. rps_per_replica: what the autoscaler lets one replica carry; None lets the promise decide.
    hours: of the month. is_least_said: somebody asks for the least replicas; where nobody does, a service that bills by the
    request keeps none waiting.
    """

    traffic: Traffic | None = None
    service_time: ServiceTime | None = None
    p99_s: float | None = None
    replicas: tuple[int, int | None] = (1, None)
    headroom: float = 0.0
    down_after_s: float = 0.0
    concurrency: float = 1.0
    memory_gib: float = 0.0
    egress_gb: float = 0.0
    logs_gb: float = 0.0
    rps_per_replica: float | None = None
    hours: float = HOURS_PER_MONTH
    is_least_said: bool = True
