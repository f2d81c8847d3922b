"""This machine, and what processes on it take: as /proc tells (proc(5)). Linux only; elsewhere what is not told stays unknown."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Processor:
    """model: `AMD EPYC 7B13`, the architecture where nobody tells. cores: as many as this process may use."""

    model: str
    cores: int


def this_processor(proc: Path = PROC) -> Processor:
    return Processor(_model(proc / "cpuinfo") or platform.machine(), len(allowed_cores()) or 1)


def _model(cpuinfo: Path) -> str:
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "")


def allowed_cores() -> tuple[int, ...]:
    """Numbers of the processors that this process may use; empty where the system has no such thing."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def tree(root: int, proc: Path = PROC) -> tuple[int, ...]:
    """The process and its living descendants, itself first."""
    parents = {pid: parent for pid in _numbers(proc) if (parent := _parent(proc / str(pid) / "stat")) is not None}
    found = [root]
    for pid in found:
        found += sorted(child for child, parent in parents.items() if parent == pid and child not in found)
    return tuple(found)


def memory_of(root: int, proc: Path = PROC) -> int | None:
    """Bytes of the process and its descendants together, pages that they share counted once (PSS); None where nobody tells."""
    parts = [part for pid in tree(root, proc) if (part := _pss(proc / str(pid) / "smaps_rollup")) is not None]
    return sum(parts) or None


def _numbers(proc: Path) -> list[int]:
    return [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()] if proc.is_dir() else []


def _parent(stat: Path) -> int | None:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):  # it ended meanwhile
        return None


def _pss(rollup: Path) -> int | None:
    try:
        lines = rollup.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)
