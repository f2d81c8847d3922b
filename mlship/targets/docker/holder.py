"""Who holds a lease, precisely enough that the same machine can tell whether that process still lives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROC = Path("/proc")


def origin(proc: Path = PROC) -> dict[str, Any] | None:
    """This process: boot, process namespace, id, start time. None where the system does not tell (no /proc)."""
    started = _started(proc, os.getpid())
    place = _place(proc)
    return None if started is None or place is None else {**place, "pid": os.getpid(), "started": started}


def is_dead(other: Mapping[str, Any] | None, proc: Path = PROC) -> bool:
    """True only where it is certain: same boot, same namespace, and no such process with that start time."""
    place = _place(proc)
    if not isinstance(other, Mapping) or place is None or any(other.get(key) != value for key, value in place.items()):
        return False
    pid = other.get("pid")
    return isinstance(pid, int) and _started(proc, pid) != other.get("started")


def _place(proc: Path) -> dict[str, str] | None:
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        return {"boot": boot, "namespace": str((proc / "self/ns/pid").readlink())}
    except OSError:
        return None


def _started(proc: Path, pid: int) -> str | None:
    """Clock ticks after boot (field 22 of proc(5) stat); the name before it may hold anything, so it is read from the end."""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
