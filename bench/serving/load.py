"""Closed-loop load that checks every answer: a job as JSON on stdin, the result as JSON on stdout.

One thread over epoll and plain sockets, so that it costs less than any server does. The first answer to each prepared request is
read as JSON and compared with its own expected numbers; the bytes of a right body are remembered, and an answer with the same bytes
is right, too. Floats may differ in their last digits with the batch in which a row was answered: such bodies are read once each.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import meter

KNOWN = 256  # bodies that are remembered for one request
TOLERANCE = 1e-6
OK = (b"HTTP/1.1 200", b"HTTP/1.0 200")


@dataclass
class Result:
    """Of the measured window. requests: those with a right answer. own_cpu_s: the load's own. complaints: the first three."""

    requests: int = 0
    wrong: int = 0
    failed: int = 0
    seconds: float = 0.0
    server_cpu_s: float = 0.0
    own_cpu_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    complaints: list[str] = field(default_factory=list)


class Question:
    """One prepared request and what is a right answer to it."""

    def __init__(self, sent: bytes, expected: list[float] | bytes, kind: str) -> None:
        self.sent = sent
        self.right: set[bytes] = {expected} if isinstance(expected, bytes) else set()
        self._expected = expected
        self._kind = kind

    def is_right(self, body: bytes) -> bool:
        """Reads the body; a right one is remembered."""
        if isinstance(self._expected, bytes):
            return body == self._expected
        try:
            numbers = answered_numbers(json.loads(body), self._kind)
        except (ValueError, KeyError, TypeError, IndexError):
            return False
        fits = len(numbers) == len(self._expected) and all(
            abs(number - wanted) <= TOLERANCE for number, wanted in zip(numbers, self._expected, strict=True)
        )
        if fits and len(self.right) < KNOWN:
            self.right.add(body)
        return fits


def answered_numbers(document: Any, kind: str) -> list[float]:
    """kind: `predictions` (under that key), `bare`, or `v2` (data of the first output). Raises KeyError, TypeError."""
    if kind == "v2":
        return _flat(document["outputs"][0]["data"])
    return _flat(document["predictions"] if kind == "predictions" else document)


def _flat(value: Any) -> list[float]:
    return [number for item in value for number in _flat(item)] if isinstance(value, list) else [float(value)]


class Client:
    """One connection, with one request under way."""

    def __init__(self, port: int, first: int) -> None:
        self.port, self.row = port, first
        self.came = b""
        self.connect()

    def connect(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(None)  # with a timeout, Python asks the kernel before each call once more
        self.came = b""


def run(job: dict[str, Any]) -> Result:
    """job: port, connections, warm_s, seconds, server (pid), questions [{sent, expected}], kind."""
    questions = [
        Question(q["sent"].encode("latin-1"), q["fixed"].encode() if "fixed" in q else q["expected"], job["kind"])
        for q in job["questions"]
    ]
    step = job["connections"]  # callers take every so manieth question, so that neighbours ask for different rows
    clients = [Client(job["port"], index % len(questions)) for index in range(step)]
    poller = select.epoll()
    by_number: dict[int, Client] = {}
    for client in clients:
        _join(client, poller, by_number)
    asked: dict[int, float] = {}
    for number, client in by_number.items():
        asked[number] = time.perf_counter()
        client.sock.sendall(questions[client.row].sent)
    _drive(poller, by_number, asked, questions, step, job["warm_s"], Result(), [])
    result, times = Result(), []
    server, own, began = meter.cpu_s(job["server"]), time.process_time(), time.perf_counter()
    _drive(poller, by_number, asked, questions, step, job["seconds"], result, times)
    result.seconds = time.perf_counter() - began
    result.own_cpu_s = time.process_time() - own
    result.server_cpu_s = meter.cpu_s(job["server"]) - server
    times.sort()
    if times:
        result.p50_ms, result.p99_ms = times[len(times) // 2] * 1000, times[int(len(times) * 0.99)] * 1000
    for client in clients:
        client.sock.close()
    return result


def _drive(
    poller: Any, by_number: dict[int, Client], asked: dict[int, float], questions: list[Question], step: int,
    seconds: float, result: Result, times: list[float],
) -> None:  # fmt: skip
    """The loop itself; the fast way through it has no call into our own code."""
    clock, poll = time.perf_counter, poller.poll
    end = clock() + seconds
    now = 0.0
    while now < end:
        for number, _ in poll(0.1):
            client = by_number[number]
            try:
                came = client.came + client.sock.recv(262144) if client.came else client.sock.recv(262144)
            except OSError:
                came = b""
            question = questions[client.row]
            is_right = True
            if came[:12] not in OK or came[came.find(b"\r\n\r\n") + 4 :] not in question.right:
                verdict = _judged(came, client, question)
                if verdict == "more":
                    client.came = came
                    continue
                is_right = verdict == "right"
                if not is_right:
                    _note(result, verdict, came)
                if verdict == "closed":
                    poller.unregister(client.sock)
                    client.sock.close()
                    del by_number[number]
                    client.connect()
                    number = _join(client, poller, by_number)
                    asked[number] = clock()
                    client.sock.sendall(question.sent)
                    continue
            client.came = b""
            now = clock()
            if is_right:
                times.append(now - asked[number])
                result.requests += 1
            client.row = (client.row + step) % len(questions) if len(questions) > step else (client.row + 1) % len(questions)
            asked[number] = now
            client.sock.sendall(questions[client.row].sent)
        now = clock()


def _join(client: Client, poller: Any, by_number: dict[int, Client]) -> int:
    by_number[client.sock.fileno()] = client
    poller.register(client.sock, select.EPOLLIN)
    return client.sock.fileno()


def _judged(came: bytes, client: Client, question: Question) -> str:
    """`more` to come, `closed`, `right`, `wrong`, or `failed` (another status)."""
    client.came = b""
    if not came or client.sock.fileno() < 0:
        return "closed"
    body = complete(came)
    if body is None:
        return "more"
    if came[:12] not in OK:
        return "failed"
    return "right" if question.is_right(body) else "wrong"


def complete(came: bytes) -> bytes | None:
    """The body of one whole answer, by its length or its chunks; None while it is not whole."""
    head, end, rest = came.partition(b"\r\n\r\n")
    if not end:
        return None
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if fields.get(b"transfer-encoding", b"").strip() == b"chunked":
        return _unchunked(rest) if rest.endswith(b"0\r\n\r\n") else None
    return rest if len(rest) >= int(fields.get(b"content-length", b"0")) else None


def _unchunked(rest: bytes) -> bytes:
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        body, rest = body + rest[:length], rest[length + 2 :]
    return body


def _note(result: Result, verdict: str, came: bytes) -> None:
    if verdict == "wrong":
        result.wrong += 1
    else:
        result.failed += 1
    if len(result.complaints) < 3:
        result.complaints.append(f"{verdict}: {came[:400]!r}")


if __name__ == "__main__":
    print(json.dumps(asdict(run(json.load(sys.stdin)))))
