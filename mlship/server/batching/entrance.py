"""What a request for a prediction meets first: is there time for it, and is it its turn to be read?

The decision falls when the request has come completely and before its body is parsed. Not with the head: what counts is how long
the queue is when the work would join it, a slow body may find it short again, and with nothing left unread the connection stays.

The loop reads all sockets in one turn, and parsing large bodies makes a turn long; what is asked about health then waits in
the kernel. So a turn parses for PARSE_S only; what has come beyond that waits here, unparsed, and is taken in the next turns.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mlship.server.batching.admission import TIMEOUT, Backlog, Overhead, allowed_s, retry_after_s, timeout_s
from mlship.server.batching.engine import Engine
from mlship.server.board import Slot
from mlship.server.messages import JSON, Request, Response, refused

PARSE_S = 0.02  # of one turn
LONGEST_S = 5 * PARSE_S  # a turn that took longer, and did not compute for so long, was halted
SAME_S = 0.005  # for so long, and while nothing was computed, all are refused as the first was


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal for others like it. start: of the body, up to the request's id. until: time.perf_counter. settled: see Engine."""

    start: bytes
    headers: tuple[tuple[str, str], ...]
    until: float
    settled: int

    def again(self, request: Request) -> Response:
        # an id needs no escapes (answer_heads.py)
        return Response(503, b'%b%b"}' % (self.start, request.id.encode()), JSON, self.headers)


class Loop(Protocol):
    """The part of an event loop that is used here."""

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Runs it in the next turn."""


class Waiter(Protocol):
    """A request that has come completely and whose body is not parsed."""

    request: Request

    def open(self) -> None:
        """Parses it and goes on with it, unless its client has gone."""

    def done(self, response: Response) -> None:
        """Answers it without."""


class Entrance:
    """One worker's. Requests that wait here are taken in the order in which they came."""

    def __init__(self, loop: Loop, engine: Engine, slot: Slot, configured_s: float) -> None:
        """configured_s: serve.request_timeout."""
        self._loop = loop
        self._engine = engine
        self._slot = slot
        self._configured_s = configured_s
        self.waiting: deque[Waiter] = deque()  # behind which all others have to wait
        self._cost = Overhead()  # of a request that waited here: its share of the turns until it was taken
        self._took = self._used_s = 0.0
        self._last: Refused | None = None

    def is_free(self, request: Request) -> bool:
        """True when nothing need be asked: the usual case, told at once."""
        engine = self._engine
        return (
            engine.ease_s > 0
            and request.started - engine.began <= PARSE_S
            and not self.waiting
            and TIMEOUT not in request.headers
        )

    def must_wait(self, request: Request) -> bool:
        """True when this turn has parsed for long enough."""
        return bool(self.waiting) or request.started - self._engine.began > PARSE_S

    def wait(self, waiter: Waiter) -> None:
        """Opens it in a later turn."""
        if not self.waiting:
            self._took, self._used_s = time.perf_counter(), time.thread_time()
            self._loop.call_soon(self._take)
        self.waiting.append(waiter)

    def refusal(self, request: Request) -> Response | None:
        """The answer to a request that there is no time for; None lets it in, with the time that it has."""
        given = request.headers.get(TIMEOUT)
        if given is not None:
            try:
                request.timeout_s = timeout_s(given, self._configured_s)
            except ValueError as error:
                return refused(400, str(error), request.id)
        last = self._last
        if last is not None and given is None and request.started < last.until and last.settled == self._engine.settled:
            self._slot.count_refusal("overload")
            return last.again(request)
        backlog = self._backlog()
        retry = retry_after_s(backlog, self._timeout_s(request))
        if retry is not None:
            return self._refused(request, backlog, retry)
        request.expected_s = backlog.seconds / self._engine.correction.factor
        return None

    def again(self, started: float) -> Refused | None:
        """The refusal that holds for a request that came whole at `started` (time.perf_counter) and brings no time of its own; counts it.

        None where it has to be asked about.
        """
        last, engine = self._last, self._engine
        if last is None or started >= last.until or last.settled != engine.settled:
            return None
        if engine.ease_s > 0 and not self.waiting and started - engine.began <= PARSE_S:
            return None
        self._slot.count_refusal("overload")
        return last

    def _backlog(self) -> Backlog:
        behind = self._engine.backlog()
        count = len(self.waiting)
        seconds = behind.seconds + count * self._cost.each_s * self._engine.correction.factor
        return Backlog(behind.rows + count, seconds, behind.call_s, behind.alone_s)

    def _timeout_s(self, request: Request) -> float:
        return request.timeout_s or self._configured_s

    def _refused(self, request: Request, backlog: Backlog, retry: int) -> Response:
        self._slot.count_refusal("overload")
        message = (
            f"there is work for {backlog.seconds:.2f} s before this request, which is more than it can wait for; try again"
        )
        response = refused(503, message, request.id, "overloaded", headers=(("retry-after", str(retry)),))
        if not request.timeout_s:
            start = response.body[: -len(request.id) - len('"}')]
            self._last = Refused(start, response.headers, request.started + SAME_S, self._engine.settled)
        return response

    def _take(self) -> None:
        """As many as one turn may parse."""
        began = now = time.perf_counter()
        taken = 0
        while self.waiting and now - began < PARSE_S:
            waiter = self.waiting.popleft()
            late = self._late(waiter.request, now)
            if late is None:
                waiter.open()
                taken += 1
            else:
                waiter.done(late)
            now = time.perf_counter()
        if taken:
            used_s = time.thread_time()
            self._cost.learn(taken, max(used_s - self._used_s, min(now - self._took, LONGEST_S)))
            self._took, self._used_s = now, used_s
        if self.waiting:
            self._loop.call_soon(self._take)

    def _late(self, request: Request, now: float) -> Response | None:
        """The answer to a request that has waited here for longer than was expected of any: what comes behind it has more time."""
        waited_s, timeout_s = now - request.started, self._timeout_s(request)
        if waited_s > timeout_s:
            self._slot.count_refusal("deadline")
            return self._engine.too_late(request)
        if waited_s <= allowed_s(timeout_s):
            return None
        self._slot.count_refusal("overload")
        message = f"this request has waited for {waited_s:.2f} s to be read, which leaves too little time for it; try again"
        return refused(503, message, request.id, "overloaded", headers=(("retry-after", "1"),))
