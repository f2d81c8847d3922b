"""The whole suite: fast tests side by side, then the stories. `make test` runs this.

The fast tests are dealt out by folders to processes that know nothing of each other: workers of one run would each collect, and
import, all of them. The stories go in two lanes: those at a Docker engine mostly wait for it, the others build and train meanwhile; who
is through first takes those at what stands for a cloud, vendor by vendor.
Those that count what waits, or how long, run alone (mark `alone`).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
NO_TESTS = 5  # pytest's exit code
STORIES = ("world or engine",)
LANES = ("engine", "world and not engine and not cloud")
# of files of stories at what stands for a cloud, by vendor: a quarter of an hour of a processor together
CLOUDS = (("aws",), ("lambda", "sagemaker"), ("azure", "azureml", "container_apps"), ("cloud_run", "google", "vertex"))
SLOWER = {"server": 2}  # folder -> how many times as long as others its tests take, by their size: they start servers
MEMORY = "/dev/shm"
ROOM = 512 * 2**20  # bytes; the fast tests leave 100 MB
TOLD = ("-rs", "--durations", "10")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2)
    jobs = parser.parse_args().jobs
    print("-- fast", flush=True)
    with scratch() as folder:
        options = ("-rs", "-o", "tmp_path_retention_policy=all", "-m", "not world and not engine")  # the folder goes as a whole
        fast = run_all([[*options, *share] for share in shares(jobs)], TMPDIR=folder)
    print("-- stories", flush=True)
    lanes, clouds = (LANES, groups()) if jobs > 1 else (STORIES, [])
    stories = run_all(
        [["-m", f"({lane}) and not alone", *TOLD] for lane in lanes],
        [["-m", "cloud and not engine and not alone", *TOLD, *files] for files in clouds],
    )
    print("-- stories that run alone", flush=True)
    alone = run_all([["-m", "alone", *TOLD, "tests/world"]])
    lines = [f"fast: {fast[1]}", f"stories: {stories[1]}", f"alone: {alone[1]}"]
    summary = ROOT / ".test" / "summary"
    summary.parent.mkdir(exist_ok=True)
    summary.write_text("; ".join(lines) + "\n")
    print("\n".join(lines), flush=True)
    return fast[0] or stories[0] or alone[0]


def shares(jobs: int) -> list[list[str]]:
    """The files of the fast tests, the largest folder first to whoever has least: those of one folder import the same packages."""
    folders: dict[str, list[Path]] = defaultdict(list)
    for path in (ROOT / "tests").rglob("test_*.py"):
        folders[path.relative_to(ROOT / "tests").parts[0] if path.parent != ROOT / "tests" else ""].append(path)
    folders.pop("world", None)
    sizes = {folder: sum(path.stat().st_size for path in paths) * SLOWER.get(folder, 1) for folder, paths in folders.items()}
    dealt: list[list[str]] = [[] for _ in range(jobs)]
    loads = [0] * jobs
    for folder in sorted(folders, key=lambda folder: (-sizes[folder], folder)):
        least = loads.index(min(loads))
        loads[least] += sizes[folder]
        dealt[least] += map(str, folders[folder])
    return [sorted(share) for share in dealt]


def groups() -> list[list[str]]:
    """The files of the stories at what stands for a cloud, the longest first."""
    folder = ROOT / "tests" / "world"
    return [[str(path) for name in names for path in sorted(folder.glob(f"test_{name}_*.py"))] for names in CLOUDS]


@contextmanager
def scratch() -> Iterator[str]:
    """Where fast tests write: in memory where there is room, because they sync thousands of files as the program does."""
    try:
        seen = os.statvfs(MEMORY)
        has_room = seen.f_bavail * seen.f_frsize >= ROOM and not seen.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK)
    except OSError:
        has_room = False
    with tempfile.TemporaryDirectory(prefix="mlship-tests-", dir=MEMORY if has_room else None) as folder:
        yield folder


def run_all(runs: Sequence[Sequence[str]], then: Sequence[Sequence[str]] = (), **environ: str) -> tuple[int, str]:
    """Exit code and closing line of runs of pytest at once; whoever ends takes the next of `then`.

    What the first one prints is passed on as it comes, the others' after.
    """
    began, waiting = time.monotonic(), deque(then)
    lanes = [Lane(deque([first]), waiting, environ) for first in runs]
    with ExitStack() as stack:
        for lane in lanes[1:]:
            lane.output = stack.enter_context(tempfile.TemporaryFile("w+"))
            lane.start()
        lanes[0].run()
        for lane in lanes[1:]:
            lane.join()
            lane.output.seek(0)
            shutil.copyfileobj(lane.output, sys.stdout)
    codes = [code for lane in lanes for code in lane.codes]
    failed = next((code for code in codes if code not in (0, NO_TESTS)), 0)
    if len(codes) < len(runs) + len(then):  # a lane broke down: its trace is printed, and nobody knows how its run ended
        failed = failed or 1
    return failed, summed([line for lane in lanes for line in lane.closing], time.monotonic() - began)


class Lane(threading.Thread):
    """Runs of pytest, one after the other. codes, closing: how each ended."""

    def __init__(self, own: deque[Sequence[str]], waiting: deque[Sequence[str]], environ: Mapping[str, str]) -> None:
        super().__init__()
        self.output: IO[str] = sys.stdout
        self.codes: list[int] = []
        self.closing: list[str] = []
        self._own, self._waiting, self._environ = own, waiting, environ

    def run(self) -> None:
        while self._own or self._waiting:
            try:
                options = (self._own or self._waiting).popleft()
            except IndexError:  # another lane was faster
                return
            with started(options, self._environ) as process:
                self.closing.append(passed_on(process.stdout, self.output))
            self.codes.append(process.returncode)


def started(options: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[str]:
    command, environ = [sys.executable, "-m", "pytest", *options], {**os.environ, **environ}
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def passed_on(output: IO[str] | None, to: IO[str]) -> str:
    """Writes it line by line; the last one that says something."""
    last = ""
    for line in output or ():
        to.write(line)
        to.flush()
        last = line.strip() or last
    return last


def summed(lines: Sequence[str], seconds: float) -> str:
    """`2 failed, 3434 passed in 28.5s` of several such lines."""
    counts: Counter[str] = Counter()
    for number, outcome in re.findall(r"(\d+) (failed|passed|skipped|errors?)\b", " ".join(lines)):
        counts[outcome] += int(number)
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.items()) + f" in {seconds:.1f}s"


if __name__ == "__main__":
    sys.exit(main())
