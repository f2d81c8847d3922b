"""How many replicas run for how long in a month: traffic and a queue's needs -> a fleet. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import ceil

from mlship.cost.candidate import Replicas
from mlship.cost.capacity import servers_needed
from mlship.cost.workload import HOURS_PER_MONTH, Hour, Traffic, Unit, Workload

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

    @cached_property
    def hours(self) -> float:
        """Of the month."""
        return sum(step.hours for step in self.steps)

    @property
    def month(self) -> float:
        """Hours of the month in which these lie: a commitment runs on when the fleet does not."""
        return max(self.hours, HOURS_PER_MONTH)

    @property
    def replicas(self) -> Replicas:
        return Replicas(min(self.counts), self.replica_hours / self.hours, max(self.counts))

    @property
    def replica_hours(self) -> float:
        return sum(self.level_hours)

    @cached_property
    def level_hours(self) -> tuple[float, ...]:
        """Hours of the month in which the first, the second, ... replica runs; falling, one entry for each up to the peak."""
        held = [0.0] * max(self.counts, default=0)
        for step, count in zip(self.steps, self.counts, strict=True):
            if count:
                held[-count] += step.hours
        needed = [*accumulate(held)][::-1]
        if not self.down_after_s:
            return tuple(needed)
        stays = self._stays(len(needed))
        return tuple(min(hours + more * self.cycles, self.hours) for hours, more in zip(needed, stays, strict=True))

    def _stays(self, peak: int) -> list[float]:
        """Hours of one cycle in which each level only stays: after each fall down_after_s, or until it is needed again."""
        tail, changes = self.down_after_s / 3600, [0.0] * (peak + 2)
        # lowest and highest level that is not needed, since when; the lowest levels last
        gaps: list[tuple[int, int, float]] = []
        now, before = 0.0, self.counts[-1]
        for turn in range(2):  # what falls in the first cycle may rise in the second
            for step, count in zip(self.steps, self.counts, strict=True):
                if count < before and turn == 0:
                    gaps.append((count + 1, before, now))
                while gaps and gaps[-1][0] <= count:
                    low, high, since = gaps.pop()
                    top = min(high, count)
                    changes[low] += min(tail, now - since)
                    changes[top + 1] -= min(tail, now - since)
                    if top < high:
                        gaps.append((top + 1, high, since))
                now, before = now + step.hours / self.cycles, count
        for low, high, since in gaps:
            changes[low] += min(tail, now - since)
            changes[high + 1] -= min(tail, now - since)
        return [*accumulate(changes)][1 : peak + 1]

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
    most = max(min(MOST_REPLICAS if most is None else most, MOST_REPLICAS), least)
    needed = by_rate(need, traffic.rates)
    bounded = {count: min(max(count, least), most) for count in set(needed.values())}
    counts = tuple([bounded[needed[step.rps]] for step in traffic.steps])
    return Fleet(traffic.steps, counts, traffic.cycles, workload.down_after_s)


def by_rate(need: Callable[[float], int], rates: Collection[float]) -> dict[float, int]:
    """What each rate needs. More never needs less: what lies between two rates that need the same is not computed."""
    rising = sorted(rates)
    needs = {rate: need(rate) for rate in {rising[0], rising[-1]}}
    between = [(0, len(rising) - 1)]
    while between:
        low, high = between.pop()
        if needs[rising[low]] == needs[rising[high]]:
            needs |= dict.fromkeys(rising[low:high], needs[rising[low]])
        elif high - low > 1:
            middle = (low + high) // 2
            needs[rising[middle]] = need(rising[middle])
            between += [(low, middle), (middle, high)]
    return needs


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
