"""Prometheus, Alertmanager and the relay as programs of a story, and a far side that notes what reaches it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest

PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
GRAFANAS_OWN = {"$__rate_interval": "5m"}
Found = TypeVar("Found")


def need_programs() -> None:
    """Debian's prometheus and prometheus-alertmanager. Without them a visible skip, and a failure with MLSHIP_REQUIRE_ENGINE=1."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing and os.environ.get("MLSHIP_REQUIRE_ENGINE") == "1":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def judged(folder: Path, *command: str) -> str:
    """What one of the tools says; it must be content."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def judge(folder: Path) -> None:
    """Everything that the programs' own tools can say of the rendered files."""
    judged(folder, "promtool", "check", "config", "prometheus.yml")
    judged(folder, "promtool", "check", "rules", "--lint=all", "--lint-fatal", "alerts.yml")
    judged(folder, "promtool", "test", "rules", "alerts_test.yml")
    judged(folder, "amtool", "check-config", "alertmanager.yml")


def wait_for(what: str, look: Callable[[], Found | None], timeout_s: float = 120.0) -> Found:
    """What is found at last."""
    end, pause = time.monotonic() + timeout_s, threading.Event()
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        pause.wait(0.1)
    raise AssertionError(f"not seen in {timeout_s} s: {what}")


@dataclass
class FarSide:
    """A server that notes every POST. failures: how many of a path are answered with 500 first."""

    failures: dict[str, int]
    port: int = 0
    seen: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)

    def bodies(self, path: str) -> list[Any]:
        return [body for where, _, body in self.seen if where == path]

    def alerts(self, status: str = "firing") -> set[str]:
        notified = [alert for body in self.bodies("/hook") for alert in body["alerts"]]
        return {alert["labels"]["alertname"] for alert in notified if alert["status"] == status}


@contextmanager
def far_side(**failures: int) -> Iterator[FarSide]:
    side = FarSide({f"/{path}": count for path, count in failures.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            side.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            left = side.failures.get(self.path, 0)
            side.failures[self.path] = left - 1
            self.send_response(500 if left > 0 else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    side.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield side
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def program(log: Path, *command: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=cwd, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def alertmanager(folder: Path, logs: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    own = ("--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{port}", f"--storage.path={logs / 'alertmanager'}")
    with program(
        logs / "alertmanager.log", "prometheus-alertmanager", "--config.file=alertmanager.yml", *own, cwd=folder
    ) as one:
        yield one


@contextmanager
def prometheus(folder: Path, logs: Path, port: int) -> Iterator[Prometheus]:
    own = (f"--web.listen-address=127.0.0.1:{port}", f"--storage.tsdb.path={logs / 'prometheus'}")
    with program(logs / "prometheus.log", "prometheus", "--config.file=prometheus.yml", *own, cwd=folder):
        yield Prometheus(f"http://127.0.0.1:{port}")


@contextmanager
def relay(folder: Path, logs: Path) -> Iterator[subprocess.Popen[bytes]]:
    with program(logs / "relay.log", sys.executable, "-I", "relay.py", "relay.json", cwd=folder) as one:
        yield one


@dataclass(frozen=True)
class Prometheus:
    address: str

    def get(self, path: str, **query: str) -> Any:
        """`data` of an answer; None while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it starts
                return None
            raise AssertionError(f"{path} {query}: {error.read().decode()}") from None
        except OSError:
            return None

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an expression; Prometheus must be able to read it."""
        found = self.get("query", query=expr)
        return list(found["result"]) if found else []

    def is_up(self) -> bool:
        return bool(self.query("up == 1"))

    def firing(self) -> set[str]:
        found = self.get("alerts")
        return {alert["labels"]["alertname"] for alert in found["alerts"] if alert["state"] == "firing"} if found else set()


def expressions(folder: Path) -> list[str]:
    """Of every rule, panel and annotation, as Grafana would send them."""
    import yaml

    rules = [rule["expr"] for group in yaml.safe_load((folder / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    board = json.loads((folder / "dashboard.json").read_text())
    shown = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    marked = [one["expr"] for one in board["annotations"]["list"]]
    found = [*rules, *shown, *marked]
    for name, value in GRAFANAS_OWN.items():
        found = [expr.replace(name, value) for expr in found]
    return found


def selectors(expr: str) -> list[str]:
    """`metric{...}` of everything that an expression reads; no value of ours holds a brace but in brackets."""
    return re.findall(r'[a-z_]+\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\}', expr)
