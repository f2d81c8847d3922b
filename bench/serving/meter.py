"""What a server and all its processes take: processor time and memory, as /proc tells (proc(5)). Linux only."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """The process and its living descendants; also those of its session that were handed to init."""
    parents: dict[int, tuple[int, int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1]), int(fields[3])
    found = [root]
    for pid in found:
        found += [child for child, (parent, _) in parents.items() if parent == pid and child not in found]
    return found + [pid for pid, (_, session) in parents.items() if session == root and pid not in found]


def cpu_s(root: int) -> float:
    """Seconds of user and system time of the whole tree, its children that have ended included; steps of 10 ms."""
    return sum(sum(map(int, fields[11:15])) for pid in tree(root) if (fields := _stat(pid))) * _TICK_S


def waited_s(root: int) -> float:
    """Seconds that threads of the tree could have run and had no processor: others used it. 0 where the kernel does not count."""
    return sum(_waited_ns(path) for pid in tree(root) for path in PROC.glob(f"{pid}/task/*/schedstat")) / 1e9


def pss(root: int) -> list[int]:
    """Bytes of each process of the tree, largest first, shared pages divided among their users."""
    return sorted((_pss(pid) for pid in tree(root)), reverse=True)


def _pss(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _waited_ns(schedstat: Path) -> int:
    try:
        return int(schedstat.read_text().split()[1])
    except OSError:  # the thread has ended
        return 0


def _stat(pid: int) -> list[str]:
    """The fields after the name, the state first; empty when the process has ended."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
