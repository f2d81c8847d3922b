"""What a step costs: wall time and the CPU time of the whole machine, daemons and their children included."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """wall and cpu in seconds; cpu of everything on the machine, so nothing else may run. moved: bytes that a registry got.

    own: seconds of the command and what it started, whatever else runs; nothing of an engine, which others have started.
    """

    wall: float
    cpu: float
    moved: int = 0
    own: float = 0.0


def measured(step: Callable[[], object], stored: Path | None = None) -> Cost:
    """stored: a registry's folder, to see how much it grows by."""
    size, own, cpu, wall = _size(stored), _children_s(), _busy_s(), time.perf_counter()
    step()
    return Cost(time.perf_counter() - wall, _busy_s() - cpu, _size(stored) - size, _children_s() - own)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _busy_s() -> float:
    """user, nice, system, irq, softirq: proc(5), first line of /proc/stat."""
    ticks = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:8]]
    return _TICK_S * sum(ticks[n] for n in (0, 1, 2, 5, 6))


def _size(folder: Path | None) -> int:
    return 0 if folder is None else sum(path.stat().st_size for path in folder.rglob("data") if path.is_file())
