"""The requests that come most, all of a turn of the loop at once: plain numbers for one model, under a head that is known.

What a request costs beside its numbers is Python's own: objects, calls, and code that is cold when its turn comes. Here a request is
an entry in three lists until the turn is over, and each step is taken for all of them before the next: read, computed, written,
counted.

Nothing is decided here. What is in any way unusual, in a request or around it, goes the long way (connection.py, app.py, engine.py),
which takes the same requests and answers them equally; tests hold both to that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Protocol

import orjson

from mlship.server.app import App
from mlship.server.batching.admission import TIMEOUT
from mlship.server.batching.aside import aside
from mlship.server.batching.engine import Engine
from mlship.server.batching.entrance import PARSE_S, Entrance
from mlship.server.batching.together import response_to
from mlship.server.core import Batch, ServedModel
from mlship.server.http.answer_heads import Heads
from mlship.server.input.validate import Table
from mlship.server.messages import Call, Request, Response, answered
from mlship.server.monitoring.access_log import AccessLog
from mlship.server.protocols import quick

LARGEST = 16_384  # bytes of a body that waits to be read; a larger one is read as it comes
TOGETHER = 250_000  # bytes that wait: some 1 ms to read
EACH = TOGETHER // 128  # bytes that may wait for each request that is to share a call: the dearer it is, the more
MOST_TOGETHER = 2_000_000  # some 8 ms


class Caller(Protocol):
    """A connection. pending: what it knows its request by, while that waits in a lane and is the only one."""

    deadline: float
    pending: Any
    transport: Any

    def go_the_long_way(self, body: bytes, started: float) -> None:
        """As if the request had never been in a lane."""

    def pending_request(self, body: bytes, started: float) -> Request:
        """The request, which is in no lane any more."""

    def answer_alone(self, request: Request, response: Response) -> None:
        """Writes the answer to the only request."""


class QuickLanes:
    """The lanes of a worker: one for each model and route whose requests may be plain numbers.

    idle_until: loop time until which a connection may be idle from about now on; whoever has the clock moves it on.
    """

    def __init__(
        self, app: App, engine: Engine, entrance: Entrance, heads: Heads, access: AccessLog, idle_until: float
    ) -> None:
        self.service = app.service
        self.engine = engine
        self.entrance = entrance
        self.heads = heads
        self.access = access
        self.idle_until = idle_until
        self._app = app
        self._lanes: dict[tuple[int, int], QuickLane] = {}

    def lane(self, method: str, target: str, headers: dict[str, str], size: int) -> QuickLane | None:
        """In which the requests of such a head, with a body of so many bytes, may wait."""
        found = self._app.plain(method, target)
        if found is None or not 0 < size <= LARGEST or not quick.is_usual(headers) or TIMEOUT in headers:
            return None
        route, model = found
        if model.packer is None:
            return None
        key = route, model.index
        return self._lanes.get(key) or self._lanes.setdefault(key, QuickLane(self, model, route))


class QuickLane:
    """One model at one route. It holds requests of one turn: the engine's next `flush` runs it."""

    def __init__(self, lanes: QuickLanes, model: ServedModel, route: int) -> None:
        """route: as what its requests are counted. model: with a packer."""
        assert model.packer is not None
        self._shared = lanes
        self._engine = lanes.engine
        self._ahead = lanes.entrance.waiting
        self._model = model
        self._packer = model.packer
        # three calls of the system less for each turn of the loop
        self._run: Callable[..., Any] = _aside(model.run_packed) if model.has_own_code else model.run_packed
        self._run_joined: Callable[..., Any] = _aside(model.run_joined) if model.has_own_code else model.run_joined
        self.queue = lanes.engine.queue(model)
        self._route = route
        self._size = 0
        self._enough = 0
        self._largest = TOGETHER
        self._callers: list[Caller] = []
        self._bodies: list[bytes] = []
        self._started: list[float] = []

    @property
    def waiting(self) -> int:
        return len(self._callers)

    @property
    def oldest(self) -> float:
        return self._started[0]

    @property
    def has_enough(self) -> bool:
        """Whether what waits had better be answered before more is read."""
        return len(self._callers) >= self._enough or self._size > self._largest

    def takes(self, caller: Caller, body: bytes, is_alone: bool) -> bool:
        """Whether the request waits here from now on; where anything is to be asked first (entrance.py), it does not.

        is_alone: see Engine.opens.
        """
        now = perf_counter()
        engine = self._engine
        if engine.ease_s <= 0 or now - engine.began > PARSE_S or self._ahead:
            return False
        if self.queue.lane is not self:
            if not engine.opens(self.queue, self, now, is_alone):
                return False
            self._enough = engine.enough(self.queue)
            self._largest = min(max(TOGETHER, self._enough * EACH), MOST_TOGETHER)
        self._callers.append(caller)
        self._bodies.append(body)
        self._started.append(now)
        self._size += len(body)
        engine.ease_s -= engine.one_s
        return True

    def hand_over(self) -> None:
        for caller, body, started in zip(*self._emptied(), strict=True):
            caller.go_the_long_way(body, started)

    def run(self) -> int:
        if self._shared.service.is_draining:
            self.hand_over()
            return 0
        packed: Any = quick.packed(self._bodies, self._packer)
        if None in packed:
            packed = self._sorted_out(packed)
        return self._computed(packed) if packed else 0

    def _computed(self, packed: Sequence[bytes]) -> int:
        """Calls the model once. packed: the rows of each that waits. Returns how many are answered."""
        count, row_bytes = len(packed), self._packer.size
        rows = sum(map(len, packed)) // row_bytes
        if not self._engine.joins(self.queue, count, rows):
            self.hand_over()
            return 0
        began = perf_counter()
        try:
            if count == 1:
                answer = self._run(packed[0], rows)
                seconds = perf_counter() - began
                answers = [orjson.dumps(answer)]
            else:
                answer = self._run_joined((_batch(packed, rows),))[0]
                seconds = perf_counter() - began
                answers = _answers(answer, packed, rows, row_bytes)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a model's code comes to: its callers are answered
            return self._fail(_batch(packed, rows), error)
        waited_s = began - sum(self._started) / count
        self._answer(answers, packed)
        self._engine.computed(self.queue, count, rows, waited_s, seconds)  # last: nobody waits for it
        return count

    def _sorted_out(self, packed: list[bytes | None]) -> list[bytes]:
        """What is no plain numbers goes the long way; the others stay. Returns what they were packed to."""
        stayed: list[bytes] = []
        for caller, body, started, rows in zip(*self._emptied(), packed, strict=True):
            if rows is None:
                caller.go_the_long_way(body, started)
            else:
                self._callers.append(caller)
                self._bodies.append(body)
                self._started.append(started)
                stayed.append(rows)
        return stayed

    def _fail(self, batch: Batch, error: BaseException) -> int:
        """A request that was alone is told why; others are computed anew, apart. Returns how many are answered."""
        if len(self._callers) > 1:
            self.hand_over()
            return 0
        ((caller, body, started),) = zip(*self._emptied(), strict=True)
        request = caller.pending_request(body, started)
        request.route, request.rows = self._route, batch.count
        caller.answer_alone(request, response_to(Call(request, self._model, batch, answered), error))
        return 1

    def _answer(self, answers: Sequence[bytes], packed: Sequence[bytes]) -> None:
        """Writes each answer and counts them all."""
        shared = self._shared
        callers, bodies, started = self._emptied()
        deadline = shared.idle_until
        gone = []
        for index, (caller, text) in enumerate(zip(callers, shared.heads.write_all(answers), strict=True)):
            caller.pending = None
            caller.deadline = deadline
            transport = caller.transport
            if transport.is_closing():
                gone.append(index)
            else:
                transport.write(text)
        now = perf_counter()
        if shared.access.share:
            self._log(bodies, answers, packed, [now - began for began in started], gone)
        for index in reversed(gone):
            del started[index]
        if started:
            shared.service.slot.count_answers(self._route, started, now)

    def _log(
        self,
        bodies: Sequence[bytes],
        answers: Sequence[bytes],
        packed: Sequence[bytes],
        seconds: Sequence[float],
        gone: Sequence[int],
    ) -> None:
        ids = self._shared.heads.last_ids(len(answers))
        for index, (body, answer, rows, took) in enumerate(zip(bodies, answers, packed, seconds, strict=True)):
            if index not in gone:
                request = Request("POST", "", {}, ids[index], body, self._route, len(rows) // self._packer.size)
                self._shared.access.record(request, 200, took, len(answer))

    def _emptied(self) -> tuple[list[Caller], list[bytes], list[float]]:
        """What waited: who, their bodies, when each had come (time.perf_counter). From now on nothing waits here."""
        taken = self._callers, self._bodies, self._started
        self._callers, self._bodies, self._started = [], [], []
        self._size = 0
        self.queue.lane = None
        return taken


def _aside(work: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: aside(work, *arguments)


def _batch(packed: Sequence[bytes], rows: int) -> Batch:
    return Batch(Table(rows, packed=packed[0] if len(packed) == 1 else b"".join(packed)), rows)


def _answers(answer: dict[str, list[Any]], packed: Sequence[bytes], rows: int, row_bytes: int) -> list[bytes]:
    """The answer cut into what each request asked. Raises TypeError (orjson.JSONEncodeError) for what JSON cannot hold."""
    dumps = orjson.dumps
    if len(answer) == 1 and len(packed) == rows:
        ((name, values),) = answer.items()
        return [dumps({name: [value]}) for value in values]
    answers, start = [], 0
    for each in packed:
        stop = start + len(each) // row_bytes
        answers.append(dumps({name: values[start:stop] for name, values in answer.items()}))
        start = stop
    return answers
