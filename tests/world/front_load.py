"""A client of one loopback port that counts everything: each answer, each connection that was dropped, each wrong body.

    python front_load.py PORT [--kept 7] [--fresh 1] [--rate 200] [--path /predict] [--body JSON]

`going` when the first answer came; each line on standard input is answered by one line of JSON with the counts so far; when
standard input closes the last requests are waited for, and the last line holds everything. It behaves as HTTP libraries do: a
connection is used again unless the answer said `Connection: close`. What such a client would have to tell its caller as an
error counts as failed, whatever the reason; nothing is tried twice.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

ROW = '{"instances": [{"age": 30}]}'
LARGE = 24 * 2**10  # every LARGE_EVERYth request is padded to it: more than one segment, and well within the front's buffer
LARGE_EVERY = 10
PATIENCE_S = 10.0


class Lost(Exception):
    """A request without a right answer. kind: one word that is counted."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


@dataclass
class Counts:
    """What all connections saw together."""

    began: float = field(default_factory=time.time)
    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    releases: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Counter[str]] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    connections: int = 0

    def answered(self, status: int, release: str, body: str, seconds: float) -> None:
        with self.lock:
            self.requests += 1
            self.statuses[status] += 1
            self.latencies.append(seconds)
            if status == 200:
                self.releases[release] += 1
                self.answers.setdefault(release, Counter())[body] += 1

    def failed(self, kind: str, detail: str, status: int = 0) -> None:
        """status: of an answer that is a failure by itself and was counted by `answered` already."""
        with self.lock:
            self.requests += 0 if status else 1
            self.kinds[kind] += 1
            self.failures.append({"at": time.time(), "kind": kind, "detail": detail})

    def connected(self) -> None:
        with self.lock:
            self.connections += 1

    def document(self) -> dict[str, Any]:
        with self.lock:
            ordered = sorted(self.latencies)
            return {
                "began": self.began,
                "seconds": time.time() - self.began,
                "requests": self.requests,
                "failed": sum(self.kinds.values()),
                "kinds": self.kinds,
                "failures": self.failures,
                "statuses": self.statuses,
                "releases": self.releases,
                "answers": self.answers,
                "connections": self.connections,
                "p50_ms": _rank(ordered, 0.5),
                "p99_ms": _rank(ordered, 0.99),
                "slowest_ms": _rank(ordered, 1.0),
            }


def _rank(ordered: list[float], share: float) -> float:
    return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


class Connection:
    """One connection after the other, one request at a time."""

    def __init__(self, port: int, path: str, body: bytes, number: int, counts: Counts) -> None:
        self._address = ("127.0.0.1", port)
        self._path = path
        self._body = body
        self._number = number
        self._counts = counts
        self._socket: socket.socket | None = None
        self._read = b""
        self._asked = 0

    def ask(self, keep: bool) -> None:
        began = time.monotonic()
        self._asked += 1
        name = f"load-{self._number}-{self._asked}"
        try:
            status, headers, body = self._exchange(name, keep)
            self._counts.answered(
                status, headers.get("x-mlship-release", ""), body[:200].decode(errors="replace"), time.monotonic() - began
            )
            if not keep or headers.get("connection", "").lower() == "close":
                self._close()
            self._judge(name, status, headers, body)
        except Lost as lost:
            self._close()
            self._counts.failed(lost.kind, f"{name}: {lost.detail}")

    def _judge(self, name: str, status: int, headers: dict[str, str], body: bytes) -> None:
        if status != 200:
            self._counts.failed(f"status {status}", f"{name}: {body[:300].decode(errors='replace')}", status)
        elif headers.get("x-request-id") != name:
            self._counts.failed("crossed", f"{name}: the answer is for {headers.get('x-request-id')}", status)
        elif not _is_answer(body):
            self._counts.failed("wrong", f"{name}: {body[:300].decode(errors='replace')}", status)

    def _exchange(self, name: str, keep: bool) -> tuple[int, dict[str, str], bytes]:
        kept = self._socket is not None
        try:
            if self._socket is None:
                self._socket = self._connect()
            self._socket.sendall(self._request(name, keep))
        except OSError as error:
            raise Lost("reset" if kept else "connect", f"{type(error).__name__} while sending, kept: {kept}") from None
        return self._answer(kept)

    def _connect(self) -> socket.socket:
        try:
            made = socket.create_connection(self._address, PATIENCE_S)
        except OSError as error:
            raise Lost("connect", f"{type(error).__name__}: {error}") from None
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""
        self._counts.connected()
        return made

    def _request(self, name: str, keep: bool) -> bytes:
        body = self._body.ljust(LARGE) if self._asked % LARGE_EVERY == 0 else self._body
        lines = [
            f"POST {self._path} HTTP/1.1",
            "Host: 127.0.0.1",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"X-Request-Id: {name}",
            f"Connection: {'keep-alive' if keep else 'close'}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def _answer(self, kept: bool) -> tuple[int, dict[str, str], bytes]:
        while b"\r\n\r\n" not in self._read:
            self._more("closed" if not self._read else "truncated", f"before the answer's head was whole, kept: {kept}")
        head, self._read = self._read.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if not first.startswith("HTTP/1.1 ") or not headers.get("content-length", "").isdigit():
            raise Lost("garbage", head[:300].decode("latin-1"))
        size = int(headers["content-length"])
        while len(self._read) < size:
            self._more("truncated", f"{len(self._read)} of {size} bytes of the body")
        body, self._read = self._read[:size], self._read[size:]
        if self._read:
            raise Lost("garbage", f"{len(self._read)} bytes after the answer's end")
        return int(first.split()[1]), headers, body

    def _more(self, kind: str, where: str) -> None:
        assert self._socket is not None
        try:
            part = self._socket.recv(65536)
        except TimeoutError:
            raise Lost("timeout", f"{PATIENCE_S:.0f} s without a byte, {where}") from None
        except OSError as error:
            raise Lost("reset", f"{type(error).__name__}, {where}") from None
        if not part:
            raise Lost(kind, f"the connection ended {where}")
        self._read += part

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._read = b""


def _is_answer(body: bytes) -> bool:
    try:
        return bool(json.loads(body)["predictions"])
    except (ValueError, KeyError, TypeError):
        return False


def run(port: int, kept: int, fresh: int, rate: float, path: str, body: bytes, source: IO[str], sink: IO[str]) -> None:
    """Paced: who is late does not hurry afterwards, so that a slow server is not flooded."""
    counts, over = Counts(), threading.Event()
    step_s = (kept + fresh) / rate

    def work(number: int) -> None:
        connection, due = Connection(port, path, body, number, counts), time.monotonic() + step_s * number / (kept + fresh)
        while not over.wait(max(due - time.monotonic(), 0.0)):
            connection.ask(keep=number < kept)
            due = max(due + step_s, time.monotonic())

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(kept + fresh)]
    for thread in threads:
        thread.start()
    while not counts.requests:
        time.sleep(0.005)
    print("going", file=sink, flush=True)
    for _ in source:
        print(json.dumps(counts.document()), file=sink, flush=True)
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps(counts.document()), file=sink, flush=True)


@dataclass(frozen=True)
class Report:
    """What the client said. answers: release -> body -> how often. failures: each with `at` (seconds since the epoch)."""

    seconds: float
    requests: int
    failed: int
    kinds: dict[str, int]
    failures: list[dict[str, Any]]
    statuses: dict[str, int]
    releases: dict[str, int]
    answers: dict[str, dict[str, int]]
    connections: int
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    began: float

    @property
    def window_s(self) -> float:
        """From the first failure to the last one."""
        return self.failures[-1]["at"] - self.failures[0]["at"] if self.failures else 0.0

    def __str__(self) -> str:
        said = f"{self.requests} requests in {self.seconds:.1f} s, {self.failed} failed {self.kinds or ''}"
        few = "".join(
            f"\n  {entry['at'] - self.began:8.3f} s {entry['kind']}: {entry['detail']}" for entry in self.failures[:12]
        )
        return f"{said}, p99 {self.p99_ms:.1f} ms, slowest {self.slowest_ms:.0f} ms, {self.releases}{few}"


class Load:
    """The client in a process of its own, so that nothing that the story does delays it.

    within: what to put before the command, to run it in another network.
    """

    def __init__(
        self,
        port: int,
        kept: int = 7,
        fresh: int = 1,
        rate: float = 200.0,
        path: str = "/predict",
        body: str = ROW,
        within: Sequence[str] = (),
    ) -> None:
        wish = [str(port), "--kept", str(kept), "--fresh", str(fresh), "--rate", str(rate), "--path", path, "--body", body]
        self._process = subprocess.Popen(
            [*within, sys.executable, Path(__file__), *wish], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None and self._process.stdin is not None
        self._said, self._orders = self._process.stdout, self._process.stdin
        assert self._said.readline() == "going\n"

    def report(self) -> Report:
        """So far."""
        self._orders.write("\n")
        self._orders.flush()
        return self._heard()

    def reach(self, requests: int) -> Report:
        """Waits until that many were asked in all."""
        while (said := self.report()).requests < requests:
            time.sleep(0.1)
        return said

    def end(self) -> Report:
        """Lets the last requests end and gives the whole account."""
        self._orders.close()
        said = self._heard()
        self._process.wait(PATIENCE_S)
        self._said.close()
        return said

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._orders.close()
        self._said.close()

    def _heard(self) -> Report:
        return Report(**json.loads(self._said.readline()))


@contextmanager
def load(port: int, **wishes: Any) -> Iterator[Load]:
    made = Load(port, **wishes)
    try:
        yield made
    finally:
        made.kill()


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--kept", type=int, default=7)
    parser.add_argument("--fresh", type=int, default=1)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--path", default="/predict")
    parser.add_argument("--body", default=ROW)
    wish = parser.parse_args(argv)
    run(wish.port, wish.kept, wish.fresh, wish.rate, wish.path, wish.body.encode(), sys.stdin, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
