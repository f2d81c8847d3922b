"""A file of rows through `mlship predict --out`, and the same rows over HTTP one by one, in one run on one machine:

python bench/batch [--megabytes 1000] [--seconds 5] [--cases linear,pipeline,forest] [--cache DIR] [--write]

Linux. The models and the load are those of bench/serving. Server and load share the cores, as the command and its processes do.
Processor time is that of all sides: server and load, the command and its processes from start to end.
Memory is the proportional set size of the command and all its processes, twice a second; the file is read from the disk's cache.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SERVING = HERE.parent / "serving"
sys.path.insert(0, str(SERVING))
import meter

CONNECTIONS = (1, 64)
MLSHIP = (sys.executable, "-m", "mlship")
TITLES = {
    "linear": "logistic regression, 30 numbers a row",
    "pipeline": "DataFrame pipeline, 6 numbers and 4 texts a row",
    "forest": "forest of 200 trees, 30 numbers a row",
}
SHARE = {"linear": 1.0, "pipeline": 0.1, "forest": 0.05}  # of the megabytes: what takes a minute or so


@dataclass(frozen=True)
class Sent:
    """Rows that were sent one by one. per_cpu_s: of the server and of who sends them, as the batch has nobody to wait for it."""

    per_s: float
    per_cpu_s: float


@dataclass(frozen=True)
class Seen:
    """What was measured of one model. http: by connections. cpu_s: of the whole command. memory: bytes, each half second."""

    case: str
    rows: int
    size: int
    http: dict[int, Sent]
    rows_per_second: float
    whole_s: float
    cpu_s: float
    processes: int
    memory: list[int]

    @property
    def settled(self) -> list[int]:
        """Without the start, and without the end, when processes go."""
        return self.memory[len(self.memory) // 5 : -2] or self.memory


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--cases", default=",".join(TITLES))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--note", default="")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with folder_of(options.cache) as folder:
        place = Place(folder)
        place.prepare()
        seen = [
            place.measured(case, int(options.megabytes * SHARE[case] * 1e6), options.seconds)
            for case in options.cases.split(",")
        ]
    text = report(seen, options.note)
    print(text)
    if options.write:
        (HERE / "results.md").write_text(text)


@contextmanager
def folder_of(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder:
        yield Path(folder)


class Place:
    """A folder with an environment that trains, mlship's own home, and a project for each model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "env" / "bin" / "python"
        self.environ = {**os.environ, "VIRTUAL_ENV": str(folder / "env"), "MLSHIP_HOME": str(folder / "home")}

    def prepare(self) -> None:
        if not self.python.exists():
            said("-- environment")
            subprocess.run([sys.executable, "-m", "venv", "--symlinks", self.folder / "env"], check=True)
            subprocess.run([self.python, "-m", "pip", "install", "-qq", "scikit-learn", "pandas"], check=True)
        subprocess.run([self.python, SERVING / "train.py", self.folder], check=True)

    def measured(self, case: str, size: int, seconds: float) -> Seen:
        said(f"-- {case}")
        rows = json.loads((self.folder / case / "rows.json").read_text())
        (self.folder / case / "sample.json").write_text(json.dumps(rows[:20]))
        (self.folder / case / "mlship.yaml").write_text(
            f"name: {case}\nmodel: {{uri: model.joblib, sample: sample.json}}\nserve: {{method: predict_proba}}\n"
        )
        content = json.loads(self.mlship(case, "build", "--json"))["image"]["content"]
        http = self.over_http(case, rows, seconds)
        count = write_table(self.folder / case / "rows.csv", rows, size)
        said(f"   {count:,} rows, {size / 1e6:,.0f} MB")
        answer, whole_s, cpu_s, memory = self.in_batch(case, content)
        self.require_right(case)
        (self.folder / case / "rows.csv").unlink()
        seen = Seen(case, count, size, http, answer["rows_per_second"], whole_s, cpu_s, answer["processes"], memory)
        said(f"   batch {seen.rows_per_second:,.0f} rows/s, {whole_s:.1f} s in all, {max(memory) / 1e6:,.0f} MB at most")
        return seen

    def mlship(self, case: str, *words: str) -> str:
        command = subprocess.run(
            [*MLSHIP, *words], cwd=self.folder / case, env=self.environ, check=True, capture_output=True, text=True
        )
        return command.stdout

    def over_http(self, case: str, rows: list[Any], seconds: float) -> dict[int, Sent]:
        """One row in each request; every answer is compared with the model's own."""
        port = 18080
        command = [*MLSHIP, "run", "--port", str(port), "--quiet"]
        server = subprocess.Popen(command, cwd=self.folder / case, env=self.environ, stderr=subprocess.DEVNULL)
        try:
            wait_ready(port)
            expected = json.loads((self.folder / case / "expected.json").read_text())
            questions = [{"sent": request(row), "expected": answer} for row, answer in zip(rows, expected, strict=True)]
            return {connections: self._load(port, server.pid, questions, connections, seconds) for connections in CONNECTIONS}
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)

    def _load(self, port: int, pid: int, questions: list[dict[str, Any]], connections: int, seconds: float) -> Sent:
        job = {
            "port": port, "connections": connections, "warm_s": 1.0, "seconds": seconds, "server": pid,
            "kind": "predictions", "questions": questions,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, SERVING / "load.py"], input=json.dumps(job), capture_output=True, text=True, check=True
        )
        result = json.loads(done.stdout)
        if result["wrong"] or result["failed"]:
            raise SystemExit(f"wrong answers over HTTP: {result['complaints']}")
        count = result["requests"]
        sent = Sent(count / result["seconds"], count / (result["server_cpu_s"] + result["own_cpu_s"]))
        said(f"   HTTP, {connections} connections: {sent.per_s:,.0f} rows/s, {sent.per_cpu_s:,.0f} rows/CPU s")
        return sent

    def in_batch(self, case: str, content: str) -> tuple[dict[str, Any], float, float, list[int]]:
        """What the command says, its seconds, its processor's, and its memory as it went."""
        words = [*MLSHIP, "predict", "--image", content, "--data", "rows.csv", "--out", "answers.csv", "--json", "--quiet"]
        began, memory, before = time.perf_counter(), [], os.times()
        command = subprocess.Popen(words, cwd=self.folder / case, env=self.environ, stdout=subprocess.PIPE, text=True)
        while command.poll() is None:
            memory.append(sum(meter.pss(command.pid)))
            time.sleep(0.5)
        whole_s = time.perf_counter() - began
        assert command.stdout is not None
        answer = json.loads(command.stdout.read())
        if not answer["ok"] or answer["rejected"]:
            raise SystemExit(f"the batch went wrong: {answer}")
        after = os.times()
        cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
        return answer, whole_s, cpu_s, memory

    def require_right(self, case: str) -> None:
        """The first rows' answers are the model's own, and there is one for every row."""
        expected = json.loads((self.folder / case / "expected.json").read_text())
        with (self.folder / case / "answers.csv").open(newline="") as file:
            for (_, *cells), wanted in zip(list_rows(file, len(expected)), expected, strict=True):
                if any(abs(float(cell) - number) > 1e-6 for cell, number in zip(cells, wanted, strict=True)):
                    raise SystemExit(f"a wrong answer: {cells}, not {wanted}")


def list_rows(file: io.TextIOBase, count: int) -> list[list[str]]:
    reader = csv.reader(file)
    next(reader)
    return [next(reader) for _ in range(count)]


def write_table(path: Path, rows: list[Any], size: int) -> int:
    """The rows again and again, until the file has the size; how many they are."""
    names = list(rows[0]) if isinstance(rows[0], dict) else [f"x{index}" for index in range(len(rows[0]))]
    into = io.StringIO()
    writer = csv.writer(into, lineterminator="\n")
    writer.writerows(row.values() if isinstance(row, dict) else row for row in rows)
    block, count = into.getvalue().encode(), 0
    with path.open("wb") as file:
        file.write(",".join(names).encode() + b"\n")
        while file.tell() < size:
            file.write(block)
            count += len(rows)
    return count


def request(row: Any) -> str:
    body = json.dumps({"instances": [row]})
    head = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"


def wait_ready(port: int) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not start")


def report(seen: list[Seen], note: str) -> str:
    cores = len(os.sched_getaffinity(0))
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {cores} cores shared by all, load average {os.getloadavg()[0]:.0f}{note},",
        "written by `python bench/batch --write`. Goal: 5 times the rows a second of one by one.",
        "",
        "| model | HTTP, 1 connection, rows/s | 64 connections, rows/s | batch, rows/s | times 1 | times 64 | HTTP, 64, rows/CPU s |"
        " batch, rows/CPU s | times | file | rows | whole command s | processes | memory MB, at most |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        *map(line, seen),
        "",
        "Memory of the command and all its processes while the file is answered, MB at 10 points of the way:",
        "",
        *(f"- {TITLES[each.case]}: {', '.join(points(each.settled))}" for each in seen),
        "",
    ]
    return "\n".join(lines)


def line(seen: Seen) -> str:
    alone, at_once = (seen.http[connections] for connections in CONNECTIONS)
    rate, per_cpu_s = seen.rows_per_second, seen.rows / seen.cpu_s
    cells = [
        TITLES[seen.case], f"{alone.per_s:,.0f}", f"{at_once.per_s:,.0f}", f"{rate:,.0f}", f"{rate / alone.per_s:.0f}",
        f"{rate / at_once.per_s:.1f}", f"{at_once.per_cpu_s:,.0f}", f"{per_cpu_s:,.0f}", f"{per_cpu_s / at_once.per_cpu_s:.1f}",
        f"{seen.size / 1e6:,.0f} MB", f"{seen.rows:,}", f"{seen.whole_s:.1f}", str(seen.processes), f"{max(seen.memory) / 1e6:,.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def points(memory: list[int]) -> list[str]:
    return [f"{memory[index * (len(memory) - 1) // 9] / 1e6:.0f}" for index in range(10)]


def said(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
