"""How many replicas run for how long in a month: traffic and a queue's needs -> a fleet. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import ceil, inf

from mlship.cost.candidate import Replicas
from mlship.cost.capacity import servers_needed
from mlship.cost.workload import Hour, Traffic, Unit, Workload

MOST_REPLICAS = 100_000  # beyond it nobody deploys, and levels would not fit into memory


@dataclass(frozen=True)
class Fleet:
    """counts: replicas in each of `steps`, which follow each other. cycles: as in Traffic.

    down_after_s: a replica stays for so long after the step in which it was needed.
    """

    steps: tuple[Hour, ...]
    counts: tuple[int, ...]
    cycles: float = 1.0
    down_after_s: float = 0.0

    @property
    def hours(self) -> float:
        """Of the month."""
        return sum(step.hours for step in self.steps)

    @property
    def replicas(self) -> Replicas:
        return Replicas(min(self.counts), self.replica_hours / self.hours, max(self.counts))

    @property
    def replica_hours(self) -> float:
        return sum(self.level_hours)

    @cached_property
    def level_hours(self) -> tuple[float, ...]:
        """Hours of the month in which the first, the second, ... replica runs; falling, one entry for each up to the peak."""
        held = Counter[int]()
        for step, count in zip(self.steps, self.counts, strict=True):
            held[count] += step.hours
        peak = max(self.counts, default=0)
        exact = [*accumulate(held[level] for level in range(peak, 0, -1))][::-1]
        if not self.down_after_s:
            return tuple(exact)
        tail = self.down_after_s / 3600 * self.cycles
        return tuple(min(hours + falls * tail, self.hours) for hours, falls in zip(exact, self._falls(peak), strict=True))

    def _falls(self, peak: int) -> list[int]:
        """How often in a cycle each level stops being needed; the last step is followed by the first."""
        starts = Counter[int]()
        for count, following in zip(self.counts, (*self.counts[1:], *self.counts[:1]), strict=True):
            if following < count:
                starts[following + 1] += 1
                starts[count + 1] -= 1
        return [*accumulate(starts[level] for level in range(1, peak + 1))]

    def packed(self, per_node: int) -> Fleet:
        """The nodes that hold this fleet, so many replicas on each."""
        return Fleet(self.steps, tuple(ceil(count / per_node) for count in self.counts), self.cycles, self.down_after_s)


def idle(workload: Workload) -> Fleet:
    """What runs when nobody calls."""
    return Fleet((Hour(0.0, workload.hours),), (workload.replicas[0],))


def fixed(traffic: Traffic, count: int) -> Fleet:
    return Fleet(traffic.steps, (count,) * len(traffic.steps), traffic.cycles)


def autoscaled(workload: Workload, traffic: Traffic, need: Callable[[float], int]) -> Fleet:
    """need: requests a second -> replicas that it takes. Within the workload's least and most."""
    least, most = workload.replicas
    needed = {step.rps: need(step.rps) for step in traffic.steps}
    cap = min(inf if most is None else most, MOST_REPLICAS)
    counts = tuple(int(min(max(needed[step.rps], least), max(cap, least))) for step in traffic.steps)
    return Fleet(traffic.steps, counts, traffic.cycles, workload.down_after_s)


def replicas_for(workload: Workload, unit: Unit, rps: float) -> int:
    """Replicas that keep the promise at a rate; where no number does, those that carry the rate at all.

    Without a known service time one, as long as anybody calls.
    """
    if workload.rps_per_replica:
        return ceil(rps / workload.rps_per_replica)
    if workload.service_time is None:
        return 1 if rps else 0
    wanted = servers_needed(workload.service_time, rps, workload.p99_s, speed=unit.speed, headroom=workload.headroom)
    if wanted is None:
        wanted = servers_needed(workload.service_time, rps, None, speed=unit.speed, headroom=workload.headroom)
    return ceil((wanted or 0) / unit.servers)


def fleet_of(workload: Workload, unit: Unit) -> Fleet:
    """As many replicas as the workload says or needs, in each step of its traffic."""
    if workload.traffic is None:
        return idle(workload)
    least, most = workload.replicas
    if least == most:
        return fixed(workload.traffic, least)
    return autoscaled(workload, workload.traffic, lambda rps: replicas_for(workload, unit, rps))
