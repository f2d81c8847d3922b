"""How much processor this process may use: the control group's quota (v1 and v2) and the affinity, not the host's cores."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

# every pool that numpy, scipy, scikit-learn or a booster may start; unset, each worker starts one thread a host core
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",  # tokenizers
    "POLARS_MAX_THREADS",
)
CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Cores that may be used, at least 1; a quota of 1.5 counts as 2, so that it can be used up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = quota(root, membership)
    return max(1, allowed if limit is None else min(allowed, math.ceil(limit)))


def quota(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> float | None:
    """The smallest quota in cores on the way from this process's group to the root; None without one."""
    limits = [limit for folder in _folders(root, membership) if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def thread_settings(cores: int, workers: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Thread pools sized so that all workers together fill the cores; what is already set stays."""
    threads = str(max(1, cores // workers))
    return {name: threads for name in THREADS if not environ.get(name)}


def set_threads(cores: int, workers: int, environ: MutableMapping[str, str]) -> None:
    """Writes `thread_settings` to the environment; the libraries read it when they are first imported."""
    environ.update(thread_settings(cores, workers, environ))


def _folders(root: Path, membership: Path) -> list[Path]:
    """Folders that may hold a limit. Inside a container its own group is mounted as the root, whatever the membership says."""
    folders = [root, root / "cpu", root / "cpu,cpuacct"]
    for line in _read(membership).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "" or "cpu" in controllers.split(","):
            base = root / controllers if controllers else root
            own = [base / path.strip("/"), *(base / parent for parent in Path(path.strip("/")).parents)]
            folders += own + ([root / "cpu" / path.strip("/")] if controllers else [])
    return folders


def _limit(folder: Path) -> float | None:
    """v2: cpu.max holds `quota period` or `max period`; v1: two files, -1 is no quota. All in microseconds."""
    newer = _read(folder / "cpu.max").split()
    if len(newer) == 2:
        return _cores(newer[0], newer[1])
    return _cores(_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip())


def _cores(allowed: str, period: str) -> float | None:
    if not allowed.isdigit() or not period.isdigit() or int(period) == 0 or int(allowed) == 0:
        return None
    return int(allowed) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
