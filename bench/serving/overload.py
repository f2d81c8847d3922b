"""Three times what a server can do, for models of every cost: `python bench/serving/overload.py [--rounds 3] [--write]`.

Linux, two cores, h2load (Debian's nghttp2-client), and nothing else to do for a table that is worth keeping: the server has the first
core (one worker), its callers the second. Each round finds the peak of 64 callers who ask again at once, then sends three times as many
requests a second for five seconds, each when it is due, while another process asks /livez. Up to 4,000 a second each comes on a
connection that is idle or new (tests/world/open_loop.py); beyond that h2load sends on 4,000 connections, of which each has one request
on its way: they begin at once and keep in step, so that requests come in bursts. What the callers take of the caches and of a shared
core is in the figures. Peers are not shown: they refuse nothing, so that all callers wait longer and longer.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parents[1] / "tests"
sys.path[:0] = [str(TESTS / "world"), str(TESTS / "server")]

import meter
from open_loop import open_loop_apart, percentile, probed
from served import Server, running, written
from serving_models import judged_model

from mlship.server import manifest

CALLERS = 64
MOST = 4000  # connections, and requests a second that open_loop.py can send
SECONDS = 5.0
FIRST_S = 1.0  # of these, before the server is where it will stay
TIMES = 3
PEAK_S = 2.0
GOALS = (
    "goals: 90 % of the peak, p99 of what was accepted 1 s, of /livez 250 ms, well again within 5 s, every refusal 503 or 429"
)


@dataclass(frozen=True)
class Load:
    """What callers saw: (seconds from the beginning to the answer, status, seconds that it took), and what could not be sent."""

    answers: list[tuple[float, int, float]]
    cpu_s: float
    failed: int

    def rate(self, since_s: float, until_s: float) -> float:
        """200s a second in that part of the run."""
        return sum(status == 200 and since_s <= at < until_s for at, status, _ in self.answers) / (until_s - since_s)

    @property
    def served(self) -> list[float]:
        """Seconds that each 200 took."""
        return [took for _, status, took in self.answers if status == 200]


@dataclass(frozen=True)
class Round:
    """share_of_cpu: answers a processor second of the server, of those at the peak."""

    peak: float
    asked: float
    share: float
    share_of_cpu: float
    p99_s: float
    livez_s: float
    well_again_s: float
    statuses: dict[int, int]
    failed: int


@dataclass
class Case:
    name: str
    server: Callable[[Path], AbstractContextManager[tuple[Server, bytes]]]
    rounds: list[Round] = field(default_factory=list)


@contextmanager
def asleep(folder: Path, row_s: float) -> Iterator[tuple[Server, bytes]]:
    """A model that waits and takes no processor time: what is measured is the server's own."""
    with running(written(folder), DOUBLER_ASLEEP_S=str(row_s)) as server:
        yield server, b'{"instances":[{"amount":1.5,"city":"Rome"}]}'


@contextmanager
def judged(folder: Path, model: str, rows: int) -> Iterator[tuple[Server, bytes]]:
    """A real model of scikit-learn, untouched, with the deadline that callers have who set none."""
    made = judged_model(model, folder / model)
    path = made.folder / "manifest.json"
    path.write_bytes(manifest.to_json(replace(manifest.from_json(path.read_bytes()), serving=manifest.Serving(workers=1))))
    body = {"instances": [made.rows[index % len(made.rows)] for index in range(rows)]}
    with made.server() as server:
        yield server, json.dumps(body).encode()


CASES = (
    Case("waits 20 ms a row, in a thread; one row", lambda folder: asleep(folder, 0.02)),
    Case("waits 3 ms a row, in the loop; one row", lambda folder: asleep(folder, 0.003)),
    Case("logistic regression; one row", lambda folder: judged(folder, "linear", 1)),
    Case("DataFrame pipeline with texts; one row", lambda folder: judged(folder, "pipeline", 1)),
    Case("forest of 1,200 trees; one row", lambda folder: judged(folder, "wood", 1)),
    Case("forest of 1,200 trees; 256 rows, 80 kB", lambda folder: judged(folder, "wood", 256)),
    Case("logistic regression; 256 rows, 80 kB", lambda folder: judged(folder, "linear", 256)),
)


def loaded(server: Server, body: Path, connections: int, seconds: float, rate: float = 0.0) -> Load:
    """rate: requests a second of all connections together; 0 is as many as are answered."""
    log = body.with_name("answers.tsv")
    log.unlink(missing_ok=True)
    command = ["h2load", "--h1", "-c", str(connections), "-D", f"{seconds:.0f}", "-d", str(body), "-H", "content-type: application/json",
               "--log-file", str(log), *((f"--rps={rate / connections}",) if rate else ())]  # fmt: skip
    began, used = time.time(), meter.cpu_s(server.process.pid)
    done = subprocess.run([*command, f"http://127.0.0.1:{server.port}/predict"], capture_output=True, text=True, check=True)
    used = meter.cpu_s(server.process.pid) - used
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    answers = [((int(sent) + int(took)) / 1e6 - began, int(status), int(took) / 1e6) for sent, status, took in lines]
    told = next(line for line in done.stdout.splitlines() if line.startswith("requests:"))
    return Load(answers, used, int(told.rpartition(",")[0].rpartition(",")[2].split()[0]))


def paced(server: Server, body: Path, rate: float) -> Load:
    """So many requests a second, whatever the answers do."""
    if rate > MOST:
        return loaded(server, body, MOST, SECONDS, rate)
    head = f"POST /predict HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {body.stat().st_size}\r\n\r\n"
    used = meter.cpu_s(server.process.pid)
    seen = open_loop_apart(server.port, head.encode() + body.read_bytes(), rate, SECONDS)
    used = meter.cpu_s(server.process.pid) - used
    refused = [(0.0, status, 0.0) for status in seen.refused.elements()]
    return Load([*((at, 200, took) for at, took in seen.served), *refused], used, len(seen.wrong))


def measure(server: Server, body: Path) -> Round:
    usual = loaded(server, body, CALLERS, PEAK_S)
    most = usual.rate(PEAK_S * 0.1, PEAK_S)
    with probed(server.port) as livez:
        seen = paced(server, body, TIMES * most)
    over = time.monotonic()
    while not is_answered(server.port, body) and time.monotonic() < over + 30:
        pass
    return Round(
        most,
        len(seen.answers) / SECONDS,
        seen.rate(FIRST_S, SECONDS) / most,
        len(seen.served) / seen.cpu_s / (len(usual.served) / usual.cpu_s),
        percentile(seen.served, 0.99),
        percentile(livez, 0.99),
        time.monotonic() - over,
        dict(Counter(status for _, status, _ in seen.answers if status != 200)),
        seen.failed,
    )


def is_answered(port: int, body: Path) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/predict", body.read_bytes(), {"content-type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status == 200


def table(cases: list[Case]) -> str:
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, scikit-learn {version('scikit-learn')};"
        f" medians of {len(cases[0].rounds)} rounds (of the share all rounds); written by `python bench/serving/overload.py --write`;"
        f" {GOALS}.",
        "",
        "| model and body | peak, answers a second | came, of three times that | share of the peak | by processor second"
        " | p99 of the accepted | p99 of /livez | well again | refused | failed |",
        "|---" * 10 + "|",
    ]
    for case in cases:
        refused = {status for each in case.rounds for status in each.statuses}
        lines.append(
            f"| {case.name} | {middle(case, 'peak'):,.0f} | {middle(case, 'asked'):,.0f} a second"
            f" | {', '.join(f'{each.share:.0%}' for each in case.rounds)}"
            f" | {middle(case, 'share_of_cpu'):.0%} | {middle(case, 'p99_s'):.2f} s | {middle(case, 'livez_s') * 1000:.0f} ms"
            f" | {middle(case, 'well_again_s'):.1f} s | {', '.join(map(str, sorted(refused))) or 'none'}"
            f" | {sum(each.failed for each in case.rounds)} |"
        )
    return "\n".join(lines) + "\n"


def middle(case: Case, what: str) -> float:
    return float(statistics.median(getattr(each, what) for each in case.rounds))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default="", help="words of a case's name")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    server_core, callers_core = sorted(os.sched_getaffinity(0))[:2]
    cases = [case for case in CASES if options.cases in case.name]
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="bench-overload-") as folder:
            os.sched_setaffinity(0, {server_core})  # the server begins with it
            with case.server(Path(folder)) as (server, content):
                os.sched_setaffinity(0, {callers_core})
                body = Path(folder, "body.json")
                body.write_bytes(content)
                for _ in range(options.rounds):
                    case.rounds.append(measure(server, body))
                    print(case.name, case.rounds[-1], file=sys.stderr, flush=True)
    text = table(cases)
    print(text)
    if options.write:
        (HERE / "overload.md").write_text(text)


if __name__ == "__main__":
    main()
