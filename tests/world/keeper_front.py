"""A real HAProxy under the keeper, on loopback, with small replicas; everything that is started here is ended here."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from free_ports import free_port

from mlship.keeper.__main__ import answer, operations

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
FIRST, SECOND = "r1-aaaaaa", "r2-bbbbbb"


class World:
    """One front and its replicas. ports: replica -> where it listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.ports: dict[str, int] = {}
        self.replicas: dict[str, subprocess.Popen[str]] = {}
        self.haproxy: subprocess.Popen[bytes] | None = None
        self.known = operations(folder)

    def replica(self, name: str) -> None:
        """Starts it, on the port that it had."""
        port = self.ports.setdefault(name, free_port())
        argv = [sys.executable, HERE / "front_backend.py", str(port), name.rpartition("-")[0]]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.replicas[name] = process
        assert process.stdout is not None
        assert process.stdout.readline() == "going\n"

    def document(self, weights: Mapping[str, int], **other: Any) -> dict[str, Any]:
        servers = [
            {
                "name": name,
                "release": name.rpartition("-")[0],
                "address": "127.0.0.1",
                "port": self.ports[name],
                "weight": weight,
            }
            for name, weight in weights.items()
        ]
        return {
            "schema": 1, "port": self.port, "bufsize": 65536, "request_timeout_s": 2.0, "keep_alive_s": 10.0, "tls": None,
            "limits": {"rate": 0, "connections": 0}, "servers": servers, **other,
        }  # fmt: skip

    def ask(self, **request: Any) -> dict[str, Any]:
        return answer(request, self.known)

    def set(self, weights: Mapping[str, int], **other: Any) -> dict[str, Any]:
        said = self.ask(op="front_set", front=self.document(weights, **other))
        assert said["ok"], said
        return said

    def read(self) -> dict[str, Any]:
        said = self.ask(op="front_read")
        assert said["ok"], said
        return said

    def start(self) -> None:
        """HAProxy, as the front's container does it."""
        argv = [sys.executable, "-m", "mlship.keeper", "front", str(self.folder)]
        with (self.folder / "haproxy.log").open("ab") as log:
            self.haproxy = subprocess.Popen(argv, cwd=PROJECT, stdout=log, stderr=log)
        self.until(lambda: self.read()["running"])

    def until(self, holds: Any, wait_s: float = 10.0) -> float:
        """Seconds that it took."""
        began = time.monotonic()
        while not holds():
            assert time.monotonic() - began < wait_s, (self.folder / "haproxy.log").read_text()[-2000:]
            time.sleep(0.02)
        return time.monotonic() - began

    def end(self) -> None:
        for process in (self.haproxy, *self.replicas.values()):
            if process is not None:
                process.kill() if process is not self.haproxy else process.terminate()
                process.wait()
        for process in self.replicas.values():
            assert process.stdout is not None
            process.stdout.close()


@contextmanager
def world(weights: Mapping[str, int]) -> Iterator[World]:
    """With these replicas running and in the front. Short paths: the name of a socket has at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="front-"))
    made = World(folder)
    try:
        for name in weights:
            made.replica(name)
        made.set(weights)
        made.start()
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)
