"""Load on a server, as a program of its own: a job as JSON on standard input, what was seen as JSON on standard output.

One thread over epoll and plain sockets that stay open: it costs less than a server does, and runs in a process of its own so that
nothing else of the command delays it. Standard library only; starts within 50 ms. A closed loop asks again as soon as it is
answered, or after a rest. An open loop sends when a caller would have come, whatever the server does: arrivals are Poisson, and an
answer's time counts from the moment when its request was due, not from when a connection was free for it (coordinated omission).
"""

from __future__ import annotations

import json
import random
import resource
import select
import socket
import ssl
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

PATIENCE_S = 10.0  # after the last request, for its answer
BODIES = 4096  # different answers that are kept; what differs from all of them is counted as not compared
SLICE_S = 0.05  # between two looks at the clock while nothing happens
CHUNK = 262_144
_END = b"\r\n\r\n"


class Line:
    """One connection with at most one request on its way. due: when that should have been sent."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.came = b""
        self.question = 0
        self.due = 0.0
        self.is_asked = False


class Load:
    """All connections of one run, and what they saw. job: as generator.py writes it."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._host, self._port, self._tls = str(job["host"]), int(job["port"]), bool(job["tls"])
        self._sent = [text.encode("latin-1") for text in job["questions"]]
        self._epoll = select.epoll()
        self._lines: dict[int, Line] = {}
        self._next = 0
        self._draw: random.Random | None = None
        self._warm_until = 0.0
        self.times: list[float] = []
        self.late: list[float] = []
        self.answers: Counter[tuple[int, int, bytes]] = Counter()
        self.lost: Counter[str] = Counter()
        self.uncompared = 0
        self.sent = 0

    def closed(self, connections: int, seconds: float, least: int, longest_s: float) -> float:
        """Asks on each connection for so long, and until `least` answers came or `longest_s` passed. Returns the seconds."""
        lines = [self._connected() for _ in range(connections)]
        began = time.perf_counter()
        for line in lines:
            self._ask(line, began)
        while (now := time.perf_counter()) - began < seconds or (len(self.times) < least and now - began < longest_s):
            for number, _ in self._epoll.poll(SLICE_S):
                line = self._lines[number]
                if self._received(line):
                    line = self._kept(line)
                    self._ask(line, time.perf_counter())
        lasted = time.perf_counter() - began
        counted = len(self.times)
        self._finish(now + PATIENCE_S)
        del self.times[counted:]  # answered after the window
        return lasted

    def rested(self, rest_s: float, seconds: float, least: int, longest_s: float, seed: int) -> float:
        """One caller who pauses before each request, by chance and rest_s on average. Otherwise as `closed`."""
        line = self._connected()
        draw = random.Random(seed)  # noqa: S311 -- no secret
        began = time.perf_counter()
        while (now := time.perf_counter()) - began < seconds or (len(self.times) < least and now - began < longest_s):
            time.sleep(draw.expovariate(1 / rest_s))
            if self._epoll.poll(0):  # the server closed a connection that was free
                line = self._anew(line)
            self._ask(line, time.perf_counter())
            until = time.perf_counter() + PATIENCE_S
            while line.is_asked and time.perf_counter() < until:
                if self._epoll.poll(SLICE_S):
                    self._received(line)
            if line.is_asked:
                self.lost["never answered"] += 1
                break
            line = self._kept(line)
        return time.perf_counter() - began

    def open(self, connections: int, rate: float, seconds: float, warm_s: float, seed: int) -> float:
        """So many requests a second on average. What was due in the first warm_s counts for no time. Returns the seconds."""
        idle = deque(self._connected() for _ in range(connections))
        waiting: deque[float] = deque()
        began = time.perf_counter()
        self._warm_until = began + warm_s
        self._draw = random.Random(seed)  # noqa: S311 -- no secret
        arrivals = poisson(rate, seconds, began, seed)
        due = next(arrivals, None)
        while (now := time.perf_counter()) < began + seconds + PATIENCE_S:
            while due is not None and due <= now:
                waiting.append(due)
                due = next(arrivals, None)
            while waiting and idle:
                self._ask(idle.popleft(), waiting.popleft())
            if due is None and not waiting and len(idle) == connections:
                break
            # not epoll's own wait, which counts in milliseconds
            select.select((self._epoll,), (), (), SLICE_S if due is None else max(0.0, min(due - time.perf_counter(), SLICE_S)))
            for number, _ in self._epoll.poll(0):
                line = self._lines[number]
                if line.is_asked and self._received(line):
                    idle.append(self._kept(line))
                elif not line.is_asked:
                    self._again_idle(line, idle)
        if unanswered := len(waiting) + sum(line.is_asked for line in self._lines.values()):
            self.lost["never answered"] += unanswered
        return seconds - warm_s

    def _again_idle(self, line: Line, idle: deque[Line]) -> None:
        """The server closed a connection that was free."""
        idle.remove(line)
        idle.append(self._anew(line))

    def _finish(self, until: float) -> None:
        """Waits for the answers that are on their way."""
        while any(line.is_asked for line in self._lines.values()):
            if time.perf_counter() > until:
                self.lost["never answered"] += sum(line.is_asked for line in self._lines.values())
                return
            for number, _ in self._epoll.poll(SLICE_S):
                line = self._lines[number]
                if not line.is_asked or self._received(line):
                    self._close(line)

    def _ask(self, line: Line, due: float) -> None:
        line.question = self._chosen()
        line.due, line.is_asked = due, True
        self.sent += 1
        try:
            line.socket.sendall(self._sent[line.question])
        except OSError:  # closed by the server just now: readable, and noted there
            pass
        self.late.append(time.perf_counter() - due)

    def _chosen(self) -> int:
        """In turn, so that all are measured alike; of callers who know nothing of each other, by chance."""
        if self._draw is not None:
            return self._draw.randrange(len(self._sent))
        self._next = (self._next + 1) % len(self._sent)
        return self._next

    def _received(self, line: Line) -> bool:
        """Whether the request on this connection has its answer, or will have none."""
        try:
            came = line.socket.recv(CHUNK)
            while isinstance(line.socket, ssl.SSLSocket) and line.socket.pending():
                came += line.socket.recv(CHUNK)
        except OSError:
            came = b""
        if not came:
            self.lost["the connection was closed"] += 1
            line.is_asked, line.came = False, _END  # nothing more is read from it
            return True
        line.came = line.came + came if line.came else came
        try:
            found = whole(line.came)
        except ValueError:
            self.lost["the answer is not HTTP"] += 1
            line.is_asked, line.came = False, _END
            return True
        if found is None:
            return False
        line.is_asked = False
        self.note(line, found, time.perf_counter())
        return True

    def note(self, line: Line, found: tuple[int, bytes], now: float) -> None:
        """Counts an answer: every refusal, and bodies as long as they are few enough to be compared."""
        status, body = found
        key = line.question, status, body if status == 200 else b""  # refusals name their request: no two are alike
        if key in self.answers or status != 200 or len(self.answers) < BODIES:
            self.answers[key] += 1
        else:
            self.uncompared += 1
        if status == 200 and line.due >= self._warm_until:
            self.times.append(now - line.due)

    def _kept(self, line: Line) -> Line:
        """The connection for the next request: a new one where the server closes this one."""
        is_open = b"\nconnection: close" not in line.came[: line.came.find(_END)].lower() if line.came != _END else False
        line.came = b""
        return line if is_open else self._anew(line)

    def _anew(self, line: Line) -> Line:
        self._close(line)
        return self._connected()

    def _close(self, line: Line) -> None:
        number = line.socket.fileno()
        self._epoll.unregister(number)
        del self._lines[number]
        line.socket.close()

    def _connected(self) -> Line:
        connected = socket.create_connection((self._host, self._port), timeout=30)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            connected = ssl.create_default_context().wrap_socket(connected, server_hostname=self._host)
        connected.settimeout(None)  # with a limit, Python asks the kernel once more before each call
        line = self._lines[connected.fileno()] = Line(connected)
        self._epoll.register(connected.fileno(), select.EPOLLIN)
        return line


def poisson(rate: float, seconds: float, began: float, seed: int) -> Iterator[float]:
    """When callers come who know nothing of each other."""
    draw = random.Random(seed)  # noqa: S311 -- no secret
    due = began + draw.expovariate(rate)
    while due < began + seconds:
        yield due
        due += draw.expovariate(rate)


def whole(came: bytes) -> tuple[int, bytes] | None:
    """Status and body of an answer by its length or its chunks; None while it is not whole. Raises ValueError for what is no HTTP."""
    end = came.find(_END)
    if end < 0:
        if came[:5] != b"HTTP/"[: len(came)]:
            raise ValueError
        return None
    head, status = came[:end].lower(), int(came[9:12])
    at = head.find(b"\ncontent-length:")
    if at >= 0:
        body = came[end + 4 :]
        return (status, body) if len(body) >= int(head[at + 16 :].split(b"\r", 1)[0]) else None
    if b"\ntransfer-encoding: chunked" in head:
        return (status, unchunked(came[end + 4 :])) if came.endswith(b"0\r\n\r\n") else None
    return status, b""


def unchunked(rest: bytes) -> bytes:
    """RFC 9112, 7.1; extensions are passed over."""
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.split(b";", 1)[0], 16)
        body, rest = body + rest[:length], rest[length + 2 :]
    return body


def allow_connections(count: int) -> None:
    """Raises this process's own limit of open files as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 64 if hard == resource.RLIM_INFINITY else min(hard, count + 64)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(job: dict[str, Any]) -> dict[str, Any]:
    """What was seen; `error` where nobody could be asked at all."""
    allow_connections(job["connections"])
    load = Load(job)
    cpu = time.process_time()
    try:
        if job["rate"]:
            seconds = load.open(job["connections"], job["rate"], job["seconds"], job["warm_s"], job["seed"])
        elif job["rest_s"]:
            seconds = load.rested(job["rest_s"], job["seconds"], job["least"], job["longest_s"], job["seed"])
        else:
            seconds = load.closed(job["connections"], job["seconds"], job["least"], job["longest_s"])
    except OSError as error:
        return {"error": error.strerror or str(error)}
    late = sorted(load.late)
    return {
        "times": sorted(load.times),
        "seconds": seconds,
        "sent": load.sent,
        "answers": [[*key[:2], key[2].decode("latin-1"), count] for key, count in load.answers.items()],
        "lost": load.lost,
        "uncompared": load.uncompared,
        "cpu_s": time.process_time() - cpu,
        "late_s": late[int(len(late) * 0.99)] if late else 0.0,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(json.load(sys.stdin))))
