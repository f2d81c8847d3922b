"""What the autoscaler measures: the load on the replicas, and the memory that is free for more of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mlship.keeper import ledger
from mlship.keeper.engine_api import Container, Engine, Failure
from mlship.keeper.haproxy import Master, Row, Silent
from mlship.keeper.haproxy_config import CALLERS
from mlship.keeper.scaling import Policy

RESERVE = 0.05  # of the host's memory, for everything that is no replica
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Reading:
    """One look at the front. in_flight: requests at replicas, or on the way to one. rate: requests a second."""

    in_flight: float
    rate: float


class FrontReadings:
    """Readings since the last `taken`, averaged: what is in flight at one instant says little."""

    def __init__(self, folder: Path) -> None:
        self._master = Master(folder / "front" / "run" / "master.sock")
        self._readings: list[Reading] = []

    def look(self) -> None:
        """A front that does not run, or does not answer, gives no reading."""
        try:
            found = self._master.processes()
            rows = self._master.rows(found.worker) if found else []
        except Silent:
            return
        if rows:
            self._readings.append(reading(rows))

    def taken(self) -> Reading | None:
        readings, self._readings = self._readings, []
        if not readings:
            return None
        count = len(readings)
        return Reading(sum(one.in_flight for one in readings) / count, sum(one.rate for one in readings) / count)


class CpuReadings:
    """CPU that containers used between two calls. clock: seconds, never goes back."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._last: dict[str, tuple[float, float]] = {}

    def percent(self, containers: Iterable[Container], cores: float) -> float | Failure:
        """Of one container's limit, all together; one that was not asked before, or started again, adds nothing yet."""
        before, self._last = self._last, {}
        total = 0.0
        for container in containers:
            used = self._engine.cpu_s(container.id)
            if isinstance(used, Failure):
                return used
            now = self._clock()
            self._last[container.id] = (now, used)
            at, had = before.get(container.id, (now, used))
            if now > at:
                total += max(used - had, 0.0) / (now - at) / cores * 100
        return total


def reading(rows: Iterable[Row]) -> Reading:
    """From the rows of `show stat`."""
    in_flight = rate = 0
    for row in rows:
        if row["svname"] == "FRONTEND":
            rate += ledger.number(row, "req_rate") if row["pxname"] == CALLERS else 0
        elif row["svname"] != "BACKEND":
            in_flight += ledger.number(row, "scur") + ledger.number(row, "qcur")
    return Reading(in_flight, rate)


def load_of(policy: Policy, front: Reading) -> float:
    """For the metrics that the front measures."""
    return front.rate if policy.metric == "rps" else front.in_flight


def room_for(memory: int, meminfo: str) -> int:
    """For how many replicas of so many bytes there is free memory. meminfo: as the kernel words it."""
    figures = {line.partition(":")[0]: line.partition(":")[2].split() for line in meminfo.splitlines()}
    try:
        total, available = (int(figures[name][0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    except (KeyError, IndexError, ValueError):
        return 0
    return max(0, int(available - RESERVE * total) // memory)
