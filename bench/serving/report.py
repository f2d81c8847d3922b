"""What was measured, as tables and as goals that are met or missed."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """connections: of the load, each with one request under way. rows: in each request."""

    name: str
    title: str
    model: str
    connections: int
    rows: int = 1


@dataclass(frozen=True)
class Cell:
    """One run of one case against one server in one round; load.py's Result."""

    requests: int
    wrong: int
    failed: int
    seconds: float
    server_cpu_s: float
    own_cpu_s: float
    p50_ms: float
    p99_ms: float
    complaints: list[str] = field(default_factory=list)
    round: int = 0

    @property
    def per_cpu_s(self) -> float:
        """Requests answered for one second of the server's processor time."""
        return self.requests / self.server_cpu_s if self.server_cpu_s else 0.0

    @property
    def rps(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True)
class Goal:
    """One of ours against one peer in one case: what (`per_cpu_s` or `p50_ms`), and how many times better it has to be."""

    case: str
    peer: str
    times: float
    what: str = "per_cpu_s"
    ours: str = "mlship"


GOALS = (
    Goal("linear", "fastapi", 25),
    *(Goal("linear", peer, 60) for peer in ("bentoml", "litserve", "mlflow")),
    Goal("pipeline", "fastapi", 20),
    Goal("forest", "fastapi", 30),
    Goal("forest", "mlserver", 5),
    Goal("one", "fastapi", 4, "p50_ms"),
    Goal("many", "fastapi", 10),
    Goal("linear", "mlship, metrics off", 0.9),
    *(
        Goal("linear", peer, times, ours="mlship, compiled")
        for peer, times in (
            *(("nginx, fixed answer", 0.3), ("fastapi", 27), ("mlserver", 40), ("kserve", 55)),
            *(("litserve", 75), ("mlflow", 75), ("bentoml", 85)),
        )
    ),
    Goal("one", "fastapi", 4, "p50_ms", ours="mlship, compiled"),
    *(
        Goal("forest", peer, times, ours=ours)
        for ours in ("mlship, compiled", "mlship, as ONNX")
        for peer, times in (("mlserver", 60), ("fastapi", 300), ("pytriton", 15))
    ),
)
WORKER_BYTES = {"mlship": 115e6, "mlship, compiled": 40e6, "mlship, as ONNX": 70e6}
START_TIMES = 1.1
START_S = {"mlship, compiled": 0.5, "mlship, as ONNX": 0.5}  # to the first right answer


def report(cases: list[Case], seen: list[Any], note: str, quick: str) -> str:
    """seen: `Seen` of each peer. quick: the load of one row at 64 connections, where it is not our own."""
    parts = [header(note, quick), *(table(case, seen) for case in cases), costs(seen), goals(seen)]
    return "\n".join(parts)


def header(note: str, quick: str) -> str:
    load = f"load average {os.getloadavg()[2]:.1f}"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {cpu_name()}, {os.cpu_count()} cores, Python"
        f" {platform.python_version()}, {load};",
        "each server on one core, the load on another, every answer checked; medians over interleaved rounds, of ratios too:",
        "each is of two runs of one round, because the machine is faster in some rounds than in others;",
        "written by `python bench/serving --write`.",
    ]
    if quick:
        lines.append(
            f"One row at 64 connections is loaded by {quick}, which looks at every answer, after our own load has seen that callers"
        )
        lines.append("get the answers to their own rows; the rest by our own load.")
    return "\n".join([*lines, *(["", note] if note else []), ""])


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown processor")


def table(case: Case, seen: list[Any]) -> str:
    """busy: share of its core that the server used, and the load of its own: where the load is full, rps is the load's."""
    lines = [
        f"### {case.title}",
        "",
        "| | requests / server CPU s | times naive FastAPI | requests / s | p50 ms | p99 ms | wrong, failed | busy: server, load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    base = cells_of(seen, "fastapi", case.name)
    for each in seen:
        cells = each.cells.get(case.name, [])
        if cells:
            lines.append(f"| {each.place.peer.name} | {row(cells, base)} |")
    return "\n".join([*lines, ""])


def row(cells: list[Cell], base: list[Cell]) -> str:
    rate = middle(cells, "per_cpu_s")
    wrong, failed = sum(cell.wrong for cell in cells), sum(cell.failed for cell in cells)
    busy = statistics.median(cell.server_cpu_s / cell.seconds for cell in cells)
    own = statistics.median(cell.own_cpu_s / cell.seconds for cell in cells)
    than_base = ratio(cells, base, "per_cpu_s")
    times = f"{than_base:.1f}" if than_base else ""
    timing = f"{middle(cells, 'p50_ms'):.2f} | {middle(cells, 'p99_ms'):.2f}"
    return f"{rate:,.0f} | {times} | {middle(cells, 'rps'):,.0f} | {timing} | {wrong}, {failed} | {busy:.0%}, {own:.0%}"


def costs(seen: list[Any]) -> str:
    lines = [
        "### start, memory, size",
        "",
        "Start: until the first right answer, logistic regression / DataFrame pipeline / forest. Memory: proportional set size a second"
        " after the load, all processes and the largest. Installed: packages with bytecode, scikit-learn and pandas included where they"
        " are needed.",
        "",
        "| | version | start s | memory MB, largest process | installed MB |",
        "|---|---|---|---|---|",
    ]
    models = list(dict.fromkeys(name for each in seen for name in each.starts))
    for each in seen:
        if each.place.peer.is_whole and each.starts:
            starts = " / ".join(
                f"{statistics.median(each.starts[name]):.2f}" if name in each.starts else "-" for name in models
            )
            size = each.place.size() / 1e6
            lines.append(f"| {each.place.peer.name} | {each.place.version()} | {starts} | {memory(each.memory)} | {size:.0f} |")
    return "\n".join([*lines, ""])


def memory(samples: list[list[int]]) -> str:
    if not samples:
        return ""
    total = statistics.median(sum(sample) for sample in samples)
    largest = statistics.median(sample[0] for sample in samples)
    return f"{total / 1e6:.0f}, {largest / 1e6:.0f}"


def goals(seen: list[Any]) -> str:
    lines = ["### goals", "", "| goal | wanted | measured | |", "|---|---|---|---|"]
    for goal in GOALS:
        ours, theirs = cells_of(seen, goal.ours, goal.case), cells_of(seen, goal.peer, goal.case)
        times = ratio(ours, theirs, goal.what) if goal.what == "per_cpu_s" else ratio(theirs, ours, goal.what)
        if times:
            name = f"{goal.ours}, {goal.case}: {'requests / CPU s' if goal.what == 'per_cpu_s' else 'p50'} against {goal.peer}"
            lines.append(
                f"| {name} | {goal.times:g} times | {times:.{1 if goal.times >= 1 else 2}f} times | {verdict(times >= goal.times)} |"
            )
    for each in seen:
        lines += own_goals(each.place.peer.name, each)
    own = next(each for each in seen if each.place.peer.name == "mlship")
    if own.imports and "linear" in own.starts:
        # the fastest of each: what else the machine does can only add
        times = min(own.starts["linear"]) / min(own.imports)
        told = (
            f"| {START_TIMES} times | {times:.2f} times ({min(own.starts['linear']):.2f} s) | {verdict(times <= START_TIMES)} |"
        )
        lines.append(f"| start against imports, loading and one answer in a bare Python {told}")
    return "\n".join([*lines, ""])


def own_goals(name: str, each: Any) -> Iterator[str]:
    """What one of ours has to reach whatever the others do. each: `Seen`."""
    if name in WORKER_BYTES and each.memory:
        largest, most = statistics.median(sample[0] for sample in each.memory), WORKER_BYTES[name]
        yield f"| {name}: memory of one worker | {most / 1e6:.0f} MB | {largest / 1e6:.0f} MB | {verdict(largest <= most)} |"
    if name in START_S and each.starts:
        quickest, most = min(min(times) for times in each.starts.values()), START_S[name]
        yield f"| {name}: start to the first right answer | {most:g} s | {quickest:.2f} s | {verdict(quickest <= most)} |"


def verdict(is_met: bool) -> str:
    return "met" if is_met else "missed"


def cells_of(seen: list[Any], peer: str, case: str) -> list[Cell]:
    return [cell for each in seen if each.place.peer.name == peer for cell in each.cells.get(case, [])]


def middle(cells: list[Cell], what: str) -> float:
    return statistics.median(getattr(cell, what) for cell in cells) if cells else 0.0


def ratio(cells: list[Cell], others: list[Cell], what: str) -> float:
    """The median over the rounds that both ran in; 0 where there is none."""
    by_round = {cell.round: getattr(cell, what) for cell in others}
    found = [getattr(cell, what) / by_round[cell.round] for cell in cells if by_round.get(cell.round)]
    return statistics.median(found) if found else 0.0
