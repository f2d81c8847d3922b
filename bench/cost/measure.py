"""What an estimate and a search cost: `python bench/cost/measure.py` prints a table and writes results.md beside itself.

Medians of 5 of the wall clock, and of processor time, which a busy machine changes less: whole commands as a user starts
them, and their parts in a process that has them loaded.
Goals: the simple estimate at most 0.4 s whole, the search 1 s whole and 0.3 s warm, loading the book 0.1 s.
"""

from __future__ import annotations

import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from mlship.cost.book import PriceBook
from mlship.cost.book_file import from_bytes
from mlship.cost.optimise import Wanted, optimise
from mlship.cost.traffic import diurnal
from mlship.cost.workload import Hour, ServiceTime, Traffic, Workload
from mlship.flows.prices import SHIPPED

RUNS = 5
BY_HAND = "\n## "  # what follows the first heading of results.md comes from elsewhere, and stays
MLSHIP = str(Path(sys.executable).parent / "mlship")
SAID = ("--rps", "20", "--peak", "80", "--service-time", "6ms", "--slo", "50ms")
COMMANDS = {
    "`python -c pass`, for comparison": (sys.executable, "-c", "pass"),
    "`mlship cost-estimate --target aws ...`, whole": (MLSHIP, "cost-estimate", "--target", "aws", *SAID),
    "`mlship cost-estimate --optimise ...`, whole": (MLSHIP, "cost-estimate", "--optimise", *SAID),
}


def seconds(measured: Callable[[], object]) -> tuple[float, float]:
    """Of the wall clock, and of the processor: this process' and its children's."""
    taken = []
    for _ in range(RUNS):
        start, used = time.perf_counter(), cpu_s()
        measured()
        taken.append((time.perf_counter() - start, cpu_s() - used))
    walls, cpus = zip(*taken, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def cpu_s() -> float:
    spent = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(of.ru_utime + of.ru_stime for of in spent)


def of_command(argv: tuple[str, ...]) -> tuple[float, float]:
    return seconds(lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


def sampled(seed: int = 1) -> ServiceTime:
    """400 quantiles with a mean of 6 ms, as `mlship bench` measures them."""
    draw = random.Random(seed)
    sample = tuple(sorted(draw.gammavariate(2.0, 0.003) for _ in range(400)))
    return ServiceTime(sum(sample) / len(sample), sample, "bench")


def searches(book: PriceBook) -> dict[str, Callable[[], object]]:
    every, day = Wanted(terms=("1y", "3y")), diurnal(20.0, peak=80.0)
    draw = random.Random(1)
    year = Traffic(tuple(Hour(draw.uniform(0.0, 2000.0), 730 / 8760) for _ in range(8760)), 1 / 12)
    measured, runs = sampled(), count()
    rested = replace(measured, rested=tuple(1.4 * time for time in measured.sample), rested_mean_s=1.4 * measured.mean_s)

    def search(traffic: Traffic, service: ServiceTime) -> Callable[[], object]:
        """Each time of a time that was not looked up before: only the book is warm."""
        return lambda: optimise(
            book, Workload(traffic, replace(service, mean_s=service.mean_s * (1 + next(runs) * 1e-9)), 0.05), every
        )

    return {
        "search, a day of 24 rates, mean service time": search(day, ServiceTime(0.006)),
        "search, a day of 24 rates, 400 measured times": search(day, measured),
        "search, a year of 8,760 rates up to 2,000 rps": search(year, ServiceTime(0.006)),
        "the same, 400 measured times in a row and 400 after rests": search(year, rested),
    }


def main() -> None:
    content = SHIPPED.read_bytes()
    book = from_bytes(content)
    offers = sum(1 for _ in book.every_offer())
    rows = {name: of_command(argv) for name, argv in COMMANDS.items()}
    rows[f"loading the book, {offers:,} offers"] = seconds(lambda: from_bytes(content))
    rows |= {f"{name}, warm": seconds(search) for name, search in searches(book).items()}
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, medians of {RUNS} runs",
        "",
        "| what | s | CPU s |",
        "|---|---|---|",
        *(f"| {name} | {wall:.3f} | {cpu:.3f} |" for name, (wall, cpu) in rows.items()),
    ]
    text = "\n".join(lines) + "\n"
    results = Path(__file__).with_name("results.md")
    _, heading, by_hand = results.read_text().partition(BY_HAND)
    results.write_text(text + heading + by_hand)
    print(text)


if __name__ == "__main__":
    main()
