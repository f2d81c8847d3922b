"""What starting the command costs, against starting Python: `python bench/startup.py`.

Prints CPU seconds (user + system, of the whole process and its children) as medians of interleaved runs, and the ratio.
Goal: `mlship --version` at most 6 times `python -c pass`.
"""

from __future__ import annotations

import platform
import resource
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

RUNS = 21
BIN = Path(sys.executable).parent
COMMANDS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "mlship --version": (str(BIN / "mlship"), "--version"),
    "mlship --help": (str(BIN / "mlship"), "--help"),
    "mlship build --help": (str(BIN / "mlship"), "build", "--help"),
}


def cpu_s(argv: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, argv in COMMANDS.items():
            taken[name].append(cpu_s(argv))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    bare = medians["python -c pass"]
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}, median of {RUNS} runs\n")
    print("| command | CPU s | times bare Python |\n|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.3f} | {median / bare:.1f} |")


if __name__ == "__main__":
    main()
