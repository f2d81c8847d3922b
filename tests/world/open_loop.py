"""Load on a server over loopback: as many requests a second as one says, whatever the answers do.

An open loop: a request is sent when it is due, on a connection that is idle or on a new one, so that a slow server gets no less
to do, as from many independent callers. Standard library and uvloop; can be run as several processes: a job as JSON on stdin, what
was seen on stdout.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvloop

MOST = 4000  # connections at a time
PATIENCE_S = 5.0  # after the last request, for its answer


@dataclass
class Seen:
    """What callers saw. served: (seconds after the start, latency) of each 200; refused: statuses of the rest."""

    served: list[tuple[float, float]] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    sent: int = 0

    def rate(self, since_s: float, until_s: float) -> float:
        """200s a second in that part of the run."""
        return sum(since_s <= at < until_s for at, _ in self.served) / (until_s - since_s)

    def p99_s(self) -> float:
        return percentile([latency for _, latency in self.served], 0.99)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("inf")


class Caller(asyncio.Protocol):
    """One keep-alive connection with at most one request on its way."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._got = b""
        self.due = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, due: float) -> None:
        self.due = due
        self._crowd.waiting.add(self)
        self._transport.write(self._crowd.raw)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            self._got = b""
            self._crowd.answered(self, head)

    def connection_lost(self, error: Exception | None) -> None:
        self._crowd.lost(self)

    def close(self) -> None:
        self._transport.close()


class Crowd:
    """All callers of one run."""

    def __init__(self, port: int, raw: bytes) -> None:
        self.raw = raw
        self.seen = Seen()
        self.waiting: set[Caller] = set()
        self._port = port
        self._idle: list[Caller] = []
        self._count = 0
        self._is_over = False
        self._closed_until = 0.0

    async def open_loop(self, rate: float, seconds: float) -> Seen:
        """So many requests a second."""
        self._began = began = time.perf_counter()
        opening: set[asyncio.Task[None]] = set()
        while (now := time.perf_counter()) < began + seconds:
            for _ in range(int((now - began) * rate) - self.seen.sent):
                due = began + self.seen.sent / rate
                self.seen.sent += 1
                if self._idle:
                    self._idle.pop().ask(due)
                elif self._count < MOST:
                    self._count += 1
                    task = asyncio.create_task(self._new(due))
                    opening.add(task)
                    task.add_done_callback(opening.discard)
                else:
                    self.seen.wrong.append("no connection left")
            await asyncio.sleep(0.001)
        await self._end(began + seconds + PATIENCE_S)
        return self.seen

    async def closed_loop(self, callers: int, seconds: float) -> Seen:
        """Each caller asks again as soon as it is answered: finds the peak."""
        self._began = time.perf_counter()
        self._closed_until = self._began + seconds
        self._count = callers
        await asyncio.gather(*(self._new(self._began) for _ in range(callers)))
        await asyncio.sleep(seconds)
        await self._end(self._closed_until + PATIENCE_S)
        return self.seen

    async def _new(self, due: float) -> None:
        try:
            _, caller = await asyncio.get_running_loop().create_connection(lambda: Caller(self), "127.0.0.1", self._port)
        except OSError as error:
            self.seen.wrong.append(f"not connected: {error}")
            return
        caller.ask(due)

    async def _end(self, until: float) -> None:
        while self.waiting and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        self._is_over = True
        if self.waiting:
            self.seen.wrong.append(f"{len(self.waiting)} requests were never answered")
        for caller in [*self._idle, *self.waiting]:
            caller.close()

    def answered(self, caller: Caller, head: bytes) -> None:
        now = time.perf_counter()
        self.waiting.discard(caller)
        status = int(head[9:12])
        if status == 200:
            self.seen.served.append((now - self._began, now - caller.due))
        else:
            self.seen.refused[status] += 1
            if b"\r\nretry-after: " not in head.lower():
                self.seen.wrong.append(f"{status} without Retry-After")
        if now < self._closed_until:
            caller.ask(now)
        else:
            self._idle.append(caller)

    def lost(self, caller: Caller) -> None:
        self._count -= 1
        if not self._is_over:
            self.waiting.discard(caller)
            self.seen.wrong.append("a connection was closed")
            if caller in self._idle:
                self._idle.remove(caller)


def open_loop(port: int, raw: bytes, rate: float, seconds: float) -> Seen:
    """So many requests a second for so long."""
    return uvloop.run(Crowd(port, raw).open_loop(rate, seconds))


def open_loop_apart(port: int, raw: bytes, rate: float, seconds: float) -> Seen:
    """As `open_loop`, in a process that has nothing else to do."""
    job = json.dumps({"port": port, "raw": raw.decode("latin-1"), "rate": rate, "seconds": seconds})
    done = subprocess.run([sys.executable, __file__], input=job, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    return Seen(
        [(at, latency) for at, latency in told["served"]],
        Counter({int(status): count for status, count in told["refused"].items()}),
        told["wrong"],
        told["sent"],
    )


def closed_loop(port: int, raw: bytes, callers: int, seconds: float) -> Seen:
    """So many callers who ask again as soon as they are answered."""
    seen = uvloop.run(Crowd(port, raw).closed_loop(callers, seconds))
    assert not [said for said in seen.wrong if "never" in said or "closed" in said], seen.wrong[:5]
    return seen


def peak(port: int, raw: bytes, callers: int, seconds: float) -> float:
    """200s a second that so many callers get who ask again at once."""
    return closed_loop(port, raw, callers, seconds).rate(seconds * 0.1, seconds)


PROBE = """
import http.client, json, select, sys, time
taken = []
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)
while not select.select([sys.stdin], [], [], 0.01)[0]:
    began = time.perf_counter()
    connection.request("GET", "/livez")
    answer = connection.getresponse()
    answer.read()
    taken.append(time.perf_counter() - began if answer.status == 200 else 99.0)
print(json.dumps(taken))
"""


@contextmanager
def probed(port: int) -> Iterator[list[float]]:
    """Asks /livez all the while, from a process of its own; the list has the seconds of each answer afterwards."""
    taken: list[float] = []
    command = [sys.executable, "-c", PROBE, str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield taken
    finally:
        told, _ = process.communicate(b"\n", timeout=20)
        taken += json.loads(told)


if __name__ == "__main__":
    job = json.load(sys.stdin)
    print(json.dumps(vars(open_loop(job["port"], job["raw"].encode("latin-1"), job["rate"], job["seconds"]))))
