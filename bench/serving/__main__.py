"""The server beside its peers in one run: `python bench/serving [--peers fastapi,bentoml] [--seconds 3] [--rounds 3] [--write]`.

Linux, two cores: the servers on the first, the load on the second, and nothing else to do for a table that is worth keeping.
Each peer is installed from the package index into an environment of its own below --cache (kept) or a temporary folder.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import meter
import wrk_load
from load import Question, complete
from peers import FLOORS, MLSHIP, OURS, PEERS, Peer, Place
from report import Case, Cell, report

HERE = Path(__file__).parent
CASES = (
    Case("linear", "logistic regression, 30 features, one row, 64 connections", "linear", 64),
    Case("one", "logistic regression, one row, one connection", "linear", 1),
    Case("many", "logistic regression, 256 rows in a JSON body, 64 connections", "linear", 64, rows=256),
    Case("pipeline", "DataFrame pipeline with texts, one row, 64 connections", "pipeline", 64),
    Case("forest", "forest of 200 trees, one row, 64 connections", "forest", 64),
)
START_S = 90.0
WARM_S = 1.0
CHECK_S = 1.0  # of our own load before wrk
REST_S = 1.0  # after the load, before memory is looked at


@dataclass
class Seen:
    """What was measured of one peer, over all rounds."""

    place: Place
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    starts: dict[str, list[float]] = field(default_factory=dict)
    memory: list[list[int]] = field(default_factory=list)
    imports: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", default=",".join(dict.fromkeys(peer.folder for peer in PEERS if peer not in OURS)))
    parser.add_argument("--cases", default=",".join(case.name for case in CASES))
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--note", default="")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with cache(options.cache) as folder:
        seen = [Seen(Place(peer, folder)) for peer in chosen(options.peers.split(","))]
        seen = [each for each in seen if is_installed(each.place)]
        cases = [case for case in CASES if case.name in options.cases.split(",")]
        for number in range(options.rounds):
            for model in dict.fromkeys(case.model for case in cases):
                for each in seen:
                    if model in (each.place.peer.models or (model,)):
                        said(f"round {number + 1}, {model}, {each.place.peer.name}")
                        measure(each, model, [case for case in cases if case.model == model], options.seconds, number)
        by = wrk_load.version() if wrk_load.is_there() else ""
        missing = "" if shutil.which("nginx") else "nginx is not installed, so its row is missing."
        text = report(cases, seen, "\n".join(filter(None, (missing, options.note))), by)
    print(text)
    if options.write:
        (HERE / "results.md").write_text(text)
    if wrong := [
        f"{each.place.peer.name}, {name}" for each in seen for name, cells in each.cells.items() if any(c.wrong for c in cells)
    ]:
        raise SystemExit(f"wrong answers: {'; '.join(wrong)}")


def is_installed(place: Place) -> bool:
    """Installs it; False for one that need not be everywhere and cannot be here."""
    said(f"-- {place.peer.name}")
    try:
        place.install()
    except SystemExit as failed:
        if place.peer.is_everywhere:
            raise
        said(f"   left out: {failed}")
        return False
    return True


def chosen(names: list[str]) -> list[Peer]:
    """mlship always; floors with fastapi, whose environment they share, nginx where it is installed (Debian's nginx-light)."""
    unknown = set(names) - {peer.folder for peer in PEERS if peer not in OURS} - {""}
    if unknown:
        raise SystemExit(f"unknown peers: {', '.join(sorted(unknown))}")
    floors = [floor for floor in FLOORS if floor.environment in names and (floor.argv[0] != "nginx" or shutil.which("nginx"))]
    return [*OURS, *(peer for peer in PEERS if peer not in OURS and peer.folder in names), *floors]


@contextmanager
def cache(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as folder:
        yield Path(folder)


def measure(each: Seen, model: str, cases: list[Case], seconds: float, number: int) -> None:
    """One start of one server, and all cases of its model. number: of the round."""
    place = each.place
    server_core, load_core = sorted(os.sched_getaffinity(0))[:2]
    if place.peer is MLSHIP:
        each.imports.append(place.import_s(server_core))
    ports = free_ports(3)
    first = questions(place, Case("", "", model, 1))
    with place.serving(model, ports, server_core) as process:
        began = time.perf_counter()
        if not answers_in_time(ports[0], first[0], process, place.peer.kind):
            said(f"   does not start:\n{place.log(model)}")
            return
        each.starts.setdefault(model, []).append(time.perf_counter() - began)
        for case in cases:
            cell = replace(loaded(place, case, ports[0], process.pid, load_core, seconds), round=number)
            each.cells.setdefault(case.name, []).append(cell)
            said(f"   {case.name}: {cell.per_cpu_s:,.0f}/CPU s, {cell.rps:,.0f}/s, p50 {cell.p50_ms:.2f} ms, p99 {cell.p99_ms:.2f} ms,"
                 f" wrong {cell.wrong}, failed {cell.failed} {cell.complaints[:1] or ''}")  # fmt: skip
        if model == next(iter(place.peer.models), "linear"):
            time.sleep(REST_S)
            each.memory.append(meter.pss(process.pid))


def loaded(place: Place, case: Case, port: int, pid: int, core: int, seconds: float) -> Cell:
    """The load runs in a process of its own, on its own core."""
    job = {
        "port": port, "connections": case.connections, "warm_s": WARM_S, "seconds": seconds, "server": pid,
        "kind": place.peer.kind, "questions": questions(place, case),
    }  # fmt: skip
    is_quick = case.rows == 1 and case.connections > 1 and wrk_load.is_there()
    if is_quick:
        job = {**job, "seconds": CHECK_S}
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py")], input=json.dumps(job), capture_output=True, text=True, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )  # fmt: skip
    own = Cell(**json.loads(done.stdout))
    if not is_quick:
        return own
    quick = asdict(wrk_load.run({**job, "seconds": seconds}, core))
    return Cell(
        **{**quick, "wrong": quick["wrong"] + own.wrong, "failed": quick["failed"] + own.failed, "complaints": own.complaints}
    )


def questions(place: Place, case: Case) -> list[dict[str, Any]]:
    """Prepared requests, each with its own expected numbers. Bodies of many rows begin at different ones."""
    folder = place.model(case.model)
    rows, expected = (json.loads((folder / f"{name}.json").read_text()) for name in ("rows", "expected"))
    starts = range(len(rows)) if case.rows == 1 else range(0, len(rows), 16)
    made = []
    for start in starts:
        picked = [(start + offset) % len(rows) for offset in range(case.rows)]
        body = json.dumps(place.peer.ask([rows[index] for index in picked], isinstance(rows[0], dict)))
        head = f"POST {place.peer.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        question: dict[str, Any] = {"sent": f"{head}Content-Length: {len(body)}\r\n\r\n{body}"}
        question["expected"] = [number for index in picked for number in expected[index]]
        made.append({**question, **({"fixed": place.peer.fixed} if place.peer.fixed else {})})
    return made


def answers_in_time(port: int, question: dict[str, Any], process: subprocess.Popen[bytes], kind: str) -> bool:
    """Waits for the first right answer."""
    expected = question["fixed"].encode() if "fixed" in question else question["expected"]
    asked = Question(question["sent"].encode(), expected, kind)
    deadline = time.perf_counter() + START_S
    while time.perf_counter() < deadline and process.poll() is None:
        if is_right(port, asked):
            return True
        time.sleep(0.005)
    return False


def is_right(port: int, asked: Question) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(asked.sent)
            came = b""
            while part := client.recv(65536):
                came += part
                body = complete(came)
                if body is not None:
                    return came[9:12] == b"200" and asked.is_right(body)
    except (OSError, http.client.HTTPException):
        return False
    return False


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in held]
    for sock in held:
        sock.close()
    return ports


def said(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
