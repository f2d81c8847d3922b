"""A worker under load on a machine of the test's own: the real engine and entrance, a clock that moves by what work costs.

One processor: what the loop does halts the model's thread, and nothing else takes any time.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from crowd import modelled, sums
from wired import Timer

from mlship.server.batching import engine, entrance
from mlship.server.batching.engine import Engine, Seen
from mlship.server.batching.queue import Job, Queue
from mlship.server.board import Board
from mlship.server.core import Batch
from mlship.server.input.validate import Table
from mlship.server.messages import Call, Request, Response

TIMEOUT_S = 2.0
ROWS = 256  # of a request
# seconds of the loop: a body of 80 kB that is read, parsed, refused; an answer of so many rows
READ_S, PARSE_S, REFUSE_S, ANSWER_S = 25e-6, 300e-6, 10e-6, 100e-6


class Threaded(Engine):
    """Every call is one for the thread, which is the test's."""

    def __init__(self, machine: Any, slot: Any) -> None:
        """machine: a Machine, which stands in for the loop."""
        super().__init__(machine, slot, TIMEOUT_S)
        self._thread: Any = SimpleNamespace()

    def _is_quick(self, seconds: float) -> bool:
        return False

    def next_group(self) -> tuple[Queue, list[Job]] | None:
        return None if self._groups.empty() else self._groups.get()

    def runs_since(self, now: float | None) -> None:
        self._running_since = now

    def finish(self, queue: Queue, jobs: list[Job], seen: Seen) -> None:
        self._finish(queue, jobs, [Response(200, b"")] * len(jobs), [seen])


class Caller(Job):
    """One request. due: when it was sent."""

    def __init__(self, machine: Machine, due: float) -> None:
        super().__init__()
        self._machine = machine
        self.due = due
        self.request = Request("POST", "/predict", {}, "1", started=machine.now)

    def open(self) -> None:
        self._machine.works(PARSE_S)
        batch = Batch(Table(ROWS), ROWS, "rows")
        self.call = Call(self.request, self._machine.model, batch, lambda answer: Response(200, b""))
        self._machine.engine.submit(self)

    def done(self, response: Response) -> None:
        self._machine.answered(self, response.status)


class Machine:
    """call_s, row_s: of the model. noise: by what share a call may be longer or shorter than that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call_s: float, row_s: float, noise: float = 0.0) -> None:
        self.now = self.used = 100.0
        for module in (engine, entrance):
            monkeypatch.setattr(module, "time", self)
        self._cost = call_s, row_s
        self._noise = noise
        self._random = random.Random(5)
        self._asked: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._timers: list[tuple[float, int, Timer]] = []
        self._number = count()
        self._due: list[float] = []
        self._group: tuple[Queue, list[Job]] | None = None
        self._left_s = self._began = 0.0
        self._asks_again_until = 0.0
        self._stall_s = 0.0
        slot = Board(1, 3).slot(0)
        self.model = modelled(sums)
        self.engine = Threaded(self, slot)
        for rows in (1, ROWS, 2 * ROWS):
            self.engine.queue(self.model).pace.learn(rows, call_s + row_s * rows)
        self._entrance = entrance.Entrance(self, self.engine, slot, TIMEOUT_S)
        self.served: list[float] = []  # how long each took
        self.refused: list[int] = []

    # the server's clock and loop

    def perf_counter(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.used

    def call_soon(self, callback: Callable[..., None], *arguments: Any) -> None:
        self._asked.append((callback, arguments))

    def call_later(self, delay_s: float, callback: Callable[..., None], *arguments: Any) -> Timer:
        timer = Timer(self.now + delay_s, callback, arguments)
        heapq.heappush(self._timers, (timer.due, next(self._number), timer))
        return timer

    def works(self, seconds: float) -> None:
        """The loop does something."""
        self.now += seconds
        self.used += seconds

    # the callers

    def peak(self, callers: int, seconds: float) -> float:
        """Answers a second to so many callers who ask again at once."""
        self.served.clear()
        began = self.now
        self._asks_again_until = began + seconds
        self._run([began] * callers)
        return len(self.served) / (self.now - began)

    def asked(self, rate: float, seconds: float) -> float:
        """Asks so often a second, whatever the answers. Returns the answers a second."""
        self.served.clear()
        began = self.now
        self._run([began + index / rate for index in range(int(rate * seconds))])
        return len(self.served) / (self.now - began)

    def stalls(self, seconds: float) -> None:
        """The next call takes so much longer."""
        self._stall_s = seconds

    def p99_s(self) -> float:
        return sorted(self.served)[int(len(self.served) * 0.99)]

    def answered(self, caller: Caller, status: int) -> None:
        if status == 200:
            self.works(ANSWER_S)
            self.served.append(self.now - caller.due)
            if self.now < self._asks_again_until:
                heapq.heappush(self._due, self.now)
        else:
            self.refused.append(status)

    def _run(self, due: list[float]) -> None:
        self._due = due
        while self._due or self._asked or self._group:
            self._turn()
            if not self._asked:
                self._pass_time()

    def _turn(self) -> None:
        """As the loop: timers, all that has come, what was asked for."""
        while self._timers and self._timers[0][0] <= self.now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                timer.callback(*timer.arguments)
        came = self.now
        while self._due and self._due[0] <= came:
            self._take(heapq.heappop(self._due))
        if self._group is not None and self._left_s <= 1e-9:
            self._end_call(*self._group)
        asked, self._asked = self._asked, []
        for callback, arguments in asked:
            callback(*arguments)
        if self._group is None:
            self._begin_call()

    def _take(self, due: float) -> None:
        """As a connection takes a request that has come completely."""
        self.works(READ_S)
        caller = Caller(self, due)
        if not self._entrance.is_free(caller.request):
            refusal = self._entrance.refusal(caller.request)
            if refusal is not None:
                self.works(REFUSE_S)
                self.answered(caller, refusal.status)
                return
            if self._entrance.must_wait(caller.request):
                self._entrance.wait(caller)
                return
        caller.open()

    def _begin_call(self) -> None:
        self._group = self.engine.next_group()
        if self._group is None:
            return
        call_s, row_s = self._cost
        rows = sum(job.call.batch.count for job in self._group[1])
        self._left_s = (call_s + row_s * rows) * self._random.uniform(1 - self._noise, 1 + self._noise)
        self._left_s, self._stall_s = self._left_s + self._stall_s, 0.0
        self._began = self.now
        self.engine.runs_since(self.now)

    def _end_call(self, queue: Queue, jobs: list[Job]) -> None:
        self._group = None
        self.engine.runs_since(None)
        self.engine.finish(queue, jobs, ([job.call for job in jobs], self._began, self.now - self._began))

    def _pass_time(self) -> None:
        """Until something happens; the thread computes."""
        due = self._due[0] if self._due else math.inf
        timer = self._timers[0][0] if self._timers else math.inf
        done = self.now + self._left_s if self._group else math.inf
        then = min(due, timer, done)
        if then == math.inf or not (self._due or self._group):
            return
        then = max(then, self.now)
        if self._group:
            self._left_s -= then - self.now
        self.now = then
