"""One client's connection: bytes to requests, answers to bytes, in the order in which they came.

No task, no future and no thread for a request: httptools calls back (reading.py), the answer is written from there.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import httptools

from mlship.server.app import NOT_FOUND
from mlship.server.board import CONNECTIONS
from mlship.server.http.large_body import LargeBody
from mlship.server.http.quick_lane import LARGEST
from mlship.server.http.reading import BODY_RATE, BODY_TIME, HEAD_BYTES, HEAD_TIME, NEVER, Refusal, RequestReader
from mlship.server.http.repeated_heads import END, Head
from mlship.server.http.room import IDLE_TIME, Room
from mlship.server.http.turn import Turn
from mlship.server.messages import Call, Request, Response, refused
from mlship.server.monitoring import log

# seconds
WRITE_TIME = 30.0  # for a client that does not read its answer
GRACE_TIME = 5.0  # that bytes which still come give a request that is overdue
LINGER_TIME = 2.0  # after a refusal: an answer is lost when the socket closes on unread bytes
# Read and thrown away after a refusal, within LINGER_TIME: what the platforms hand on of a body that is too large (Cloud Run: 32 MiB).
# Clients that send all before they read, as http.client and botocore do, see a cut connection in place of the 413 otherwise.
LINGER_BYTES = 36_000_000
PIPELINED = 16  # requests of one connection that are computed, and answers that are written, at a time; then reading pauses
REASON_OF = {400: "malformed", 408: "timeout", 413: "limit", 417: "malformed", 431: "limit"}  # as refusals are counted


class Connection(RequestReader, asyncio.Protocol):
    """One connection."""

    _may_wait = True  # in a lane

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.transport: Any = None
        self._out: list[bytes] = []
        self._turns: deque[Turn] = deque()
        # requests that wait for room, each with its header `connection`; at the end maybe one that is refused, with its answer
        self._queue: deque[tuple[Request, str, Response | None]] = deque()
        self.pending: Head | None = None  # of the only request that is owed an answer, while it waits in a lane
        self._large: LargeBody | None = None  # that is being read past the parser
        self._is_going_on = False
        self._is_stalled = False
        self._is_paused = False
        self._is_warned = False
        self._overdue = 0.0  # the deadline that has passed last
        self._forgiven_until = 0.0  # bytes that come are a reason to wait until then
        self._lingered = 0

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._room.connections.add(self)
        self._room.service.slot.cells[CONNECTIONS] += 1
        self.deadline = self._room.loop.time() + HEAD_TIME

    def connection_lost(self, error: Exception | None) -> None:
        self._room.connections.discard(self)
        self._room.service.slot.cells[CONNECTIONS] -= 1
        self._leave_lane()
        self._large = None
        self._body.clear()
        self._parser = None  # which has us, so that we and what we hold would wait for the collector of cycles
        for turn in self._turns:
            turn.cancel()
        self._turns.clear()
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        """The bytes that have come.

        A known head with its whole body goes first, and in one function: it takes 0.9 us a request (64 connections, warm), and took
        1.3 as four.
        """
        if self._is_last:
            self._linger(len(data))
            return
        self._is_warned = False
        if self.pending is not None:
            self._leave_lane()
        if self._large is not None:
            self._read_large(self._large, data)
            return
        is_first = not (self._is_reading_head or self._is_reading_body)
        if is_first:
            start = data.find(END) + 4
            head = self._room.repeated.find(data[:start])
            if head is not None and head.size > LARGEST:
                if len(data) - start != head.size or not self._is_refused_again(head):
                    self._start_large(head, memoryview(data)[start:])
                return
            if head is not None and len(data) - start == head.size:
                lane, body, is_alone = head.lane, data[start:], len(self._room.connections) == 1
                may_wait = not (self._turns or self._is_paused) and self._may_wait
                if lane is not None and may_wait and lane.takes(self, body, is_alone):
                    self.pending = head
                    self.deadline = NEVER
                    if is_alone:
                        self._room.engine.flush()
                    elif lane.has_enough:
                        self._room.engine.run(lane.queue)
                else:
                    self._repeat(head, body)
                return
        if self._is_reading_body and self._is_overlong(len(data)):
            self._refuse(400, "the chunks of the body have too much beside it")
            self._settle()
            return
        was_in_head = self._is_reading_head
        self._messages = 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # answered as if no upgrade had been asked for; nothing after it is read
        except httptools.HttpParserCallbackError as error:
            self._refuse_broken(error.__context__)
        except httptools.HttpParserError as error:
            if not self._is_last:
                self._refuse(400, f"the request is not valid HTTP/1.1: {error}")
        is_same_head = was_in_head and self._is_reading_head and not self._messages
        if is_same_head and not self._is_last and self._is_head_overlong(len(data)):
            self._refuse(431, f"the head of the request is longer than {HEAD_BYTES} bytes")
        if is_first and self._has_one_head and not self._is_last:
            self._remember(data)
        if self._is_paused and not self._is_stalled:
            self.deadline = NEVER  # until we read again
        self._settle()

    def eof_received(self) -> bool:
        """A client that has shut its sending side gets what is computed in this turn, or is being computed.

        Who has to wait longer is taken for gone, unless its request said that it would be the last: scripts shut one side, callers
        whose patience has ended close both, and here they look the same.
        """
        self._leave_lane()
        if not self._turns and not self._queue:
            return False
        self._is_last = True
        header = self._queue[-1][1] if self._queue else self._turns[-1].header
        if header != "close":
            self._room.loop.call_soon(self._leave)
        return True

    def _leave(self) -> None:
        if self._turns and (self._turns[0].is_waiting or not self._turns[0].is_open) and not self.transport.is_closing():
            self._close()

    def pause_writing(self) -> None:
        self._is_stalled = True
        self._pause()
        self.deadline = self._room.loop.time() + WRITE_TIME

    def resume_writing(self) -> None:
        self._is_stalled = False
        if self._is_closing:
            self.deadline = self._room.loop.time() + LINGER_TIME
        elif not self.transport.is_closing():
            self.deadline = NEVER  # until we read again
            self.advance()

    def expire(self) -> None:
        """The deadline has passed: a sender that is too slow is told so, an idle connection closed.

        Only the second call in a row without a byte between counts: after a long turn of the loop, what the client has long
        sent is still to be read. Who sends bytes and comes to no end has GRACE_TIME.
        """
        now = self._room.loop.time()
        if self._overdue != self.deadline:
            self._overdue, self._forgiven_until = self.deadline, now + GRACE_TIME
        if not self._is_warned and now < self._forgiven_until:
            self._is_warned = True
            return
        if self._is_closing or self._is_stalled or self.transport.is_closing():
            self.transport.abort()
        elif self._is_reading_body:
            self._refuse(408, "the body came too slowly")
            self._settle()
        elif self._is_reading_head:
            self._refuse(408, f"the head of the request did not come within {HEAD_TIME:g} s")
            self._settle()
        else:
            self._close()

    @property
    def is_idle(self) -> bool:
        """True between requests: nothing is read, computed or owed."""
        return not self._turns and not self._queue and self.is_between and self.pending is None

    def advance(self) -> None:
        """Writes the answers that are there, up to the first that is not, and takes requests that waited for room."""
        if self.transport.is_closing():
            return
        turns = self._turns
        while turns and (response := turns[0].response) is not None and not (self._is_closing or self._is_stalled):
            turn = turns.popleft()
            self._answer(turn.request, response, turn.header)
        if self._is_paused:
            self._take_queued()
        self._settle()

    def _take_queued(self) -> None:
        self._write()
        while self._queue and self._has_room:
            request, header, response = self._queue.popleft()
            if response is None:
                self._serve(request, header)
            else:
                self._owe(request, header, response)
        if not self._queue and len(self._turns) < PIPELINED and not self._is_stalled:
            self._resume()

    @property
    def _has_room(self) -> bool:
        """False for a client that reads its answers more slowly than it asks, and while so much of it is computed as may be."""
        is_full = len(self._turns) >= PIPELINED or len(self._out) >= PIPELINED
        return not (is_full or self._is_stalled or self._is_closing)

    @property
    def _has_one_head(self) -> bool:
        """True when the parser has read one request since the last time, or all of one but the end of a large body."""
        if self.is_between:
            return self._messages == 1
        return self._messages == 0 and self._is_reading_body and int(self._headers.get("content-length", 0)) > LARGEST

    def _start_large(self, head: Head, data: memoryview) -> None:
        """data: what has come after the head."""
        self._method, self._target, self._headers = head.method, head.target.encode("latin-1"), head.headers
        self._large = LargeBody(head)
        self._is_reading_body = True
        self.deadline = self._room.loop.time() + BODY_TIME + head.size / BODY_RATE
        self._read_large(self._large, data)

    def _read_large(self, large: LargeBody, data: bytes | memoryview) -> None:
        rest = large.take(data)
        if large.is_whole:
            self._large, self._is_reading_body = None, False
            if not self._is_refused_again(large.head):
                self._admit_large(large)
        if self._is_paused and not self._is_stalled:
            self.deadline = NEVER  # until we read again
        self._settle()
        if rest:
            self.data_received(bytes(rest))

    def _admit_large(self, large: LargeBody) -> None:
        head, request_id = large.head, self._room.heads.request_id(None)
        request = Request(head.method, head.target, head.headers, request_id, started=time.perf_counter())
        request.size, request.parts = head.size, large.parts
        self._room.large += head.size
        self._admit(request, "")

    def _remember(self, data: bytes) -> None:
        """data: all bytes of the request that the parser has read so far."""
        # what the parser took for the body is all behind the end of the head as it is found here: both read the same head
        if self._parser.get_http_version() == "1.1" and len(data) - (data.find(END) + 4) == self._body_bytes:
            self._room.repeated.learn(data, self._method, self._target, self._headers)

    def _repeat(self, head: Head, body: bytes) -> None:
        """As the parser would, for a head that it has read before and the whole body."""
        if self._is_refused_again(head):
            return
        self._receive(head.method, head.target, head.headers, body, "")
        if self._out:
            self._settle()

    def _is_refused_again(self, head: Head) -> bool:
        """Answers as the last one was that there was no time for, if this is the only request and there is none for it either."""
        if head.refused_as is None or self._turns or self._out or self._is_paused or not self._may_wait:
            return False
        again = self._room.refusals.again(head)
        if again is None:
            return False
        self.deadline = self._room.idle_until  # first: a client that reads nothing has less (pause_writing)
        self.transport.write(again)
        self._room.large += head.size if head.size > LARGEST else 0
        return True

    def _leave_lane(self) -> None:
        """Nothing has come after what waits in a lane."""
        if self.pending is not None and self.pending.lane is not None:
            self.pending.lane.hand_over()

    def go_the_long_way(self, body: bytes, started: float) -> None:
        """As if the request had never been in a lane; nobody waits for it any more where the connection closes."""
        if self.transport.is_closing():
            self.pending = None
            return
        self._admit(self.pending_request(body, started), "")
        if self._out:
            self._settle()

    def pending_request(self, body: bytes, started: float) -> Request:
        """The request, which is in no lane any more."""
        head, self.pending = self.pending, None
        assert head is not None
        return Request(head.method, head.target, head.headers, self._room.heads.request_id(None), body, started=started)

    def answer_alone(self, request: Request, response: Response) -> None:
        """Writes the answer to the only request."""
        if not self.transport.is_closing():
            self._answer(request, response, "")
            self._settle()

    def _receive(self, method: str, target: str, headers: dict[str, str], body: bytes, header: str) -> None:
        """A request has come completely."""
        request_id = self._room.heads.request_id(headers.get("x-request-id"))
        self._admit(Request(method, target, headers, request_id, body, started=time.perf_counter()), header)

    def _admit(self, request: Request, header: str) -> None:
        if self._is_paused or len(self._turns) >= PIPELINED or len(self._out) >= PIPELINED:
            self._queue.append((request, header, None))
            self._pause()
            return
        self._serve(request, header)

    def open(self, turn: Turn) -> None:
        """Reads a request that waited at the entrance, unless its client has gone."""
        if turn.is_over:
            return
        self._give(turn, self._room.app.open(turn.request))
        if turn.response is not None:
            self.advance()

    def _serve(self, request: Request, header: str) -> None:
        refusal = None
        if request.method == "POST" and not self._room.entrance.is_free(request):
            refusal = self._room.entrance.refusal(request)
            if refusal is not None:
                self._room.app.locate(request)
            elif self._room.entrance.must_wait(request):
                self._wait(request, header)
                return
        opened = refusal or self._room.app.open(request)
        if isinstance(opened, Response) and not self._turns:
            self._answer(request, opened, header)
            return
        turn = Turn(self, request, header)
        self._turns.append(turn)
        self.deadline = NEVER
        self._give(turn, opened)

    def _wait(self, request: Request, header: str) -> None:
        turn = Turn(self, request, header)
        self._turns.append(turn)
        self.deadline = NEVER
        self._room.entrance.wait(turn)

    def _give(self, turn: Turn, opened: Response | Call) -> None:
        turn.is_open = True
        if isinstance(opened, Response):
            turn.response = opened
        else:
            turn.call = opened
            turn.request.let_body_go()
            self._room.engine.submit(turn)

    def _answer(self, request: Request, response: Response, connection: str) -> None:
        if self._is_closing:
            return
        room = self._room
        if room.service.is_draining and not (self._turns or self._queue):
            connection = "close"
        if response.status >= 400:
            response = room.app.worded(request, response)
        self._out.append(room.heads.write(response, request.id, connection, request.method == "HEAD"))
        room.record(request, response.status, time.perf_counter() - request.started, len(response.body))
        if connection == "close":
            self._is_last = self._is_closing = True

    def _settle(self) -> None:
        """Writes what is to be written, and sets the time until which the client has to do its next step."""
        if self._out:
            self._write()
            if not (self._turns or self._is_reading_head or self._is_reading_body or self._is_paused):
                self.deadline = self._room.loop.time() + IDLE_TIME
        if self._is_closing:
            self._shut()
        elif self._queue:
            self._go_on_soon()
        elif self._owes_continue and not self._turns:
            self._owes_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif self._is_last and self.is_idle and not self._is_stalled:
            self._close()

    def _write(self) -> None:
        if self._out:
            self.transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()

    def _go_on_soon(self) -> None:
        """In the next turn: answers that need no model come at once, and other clients wait."""
        if self._has_room and not self._is_going_on:
            self._is_going_on = True
            self._room.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_going_on = False
        self.advance()

    def _shut(self) -> None:
        """Closes our side and waits for the client's: its unread bytes would otherwise make the kernel drop the answer."""
        if self.transport.is_closing() or self._lingered:
            return
        self._lingered = 1
        self._resume()
        self.deadline = self._room.loop.time() + (WRITE_TIME if self._is_stalled else LINGER_TIME)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _close(self) -> None:
        """Closes when everything is written; a client that reads nothing does not hold us longer than WRITE_TIME."""
        self.deadline = self._room.loop.time() + WRITE_TIME
        self.transport.close()

    def _pause(self) -> None:
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()
            self._restart_clock()

    def _restart_clock(self) -> None:
        """The client has its whole time again for what it is sending: while we read nothing, it could not be quick."""
        now = self._room.loop.time()
        if self._is_reading_head:
            self.deadline = now + HEAD_TIME
        elif self._is_reading_body:
            self.deadline = now + BODY_TIME + self._room.max_body / BODY_RATE
        else:
            self.deadline = NEVER if self._turns or self._queue else now + IDLE_TIME

    def _linger(self, size: int) -> None:
        self._lingered += size
        if self._lingered > LINGER_BYTES:
            self.transport.abort()

    def _refuse_broken(self, cause: BaseException | None) -> None:
        if isinstance(cause, Refusal):
            self._refuse(cause.status, cause.message, cause.headers)
        elif cause is not None:
            log.failure("connection_failed", cause)
            self._refuse(500, "the server failed on this request")

    def _refuse(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """One answer, after those that are owed, and the end of the connection."""
        self._is_last = True
        self._large = None
        self._is_reading_head = self._is_reading_body = False
        request = self._refused_request()
        if status in REASON_OF:
            self._room.service.slot.count_refusal(REASON_OF[status])
        response = refused(status, message, request.id, headers=headers)
        if self._queue:
            self._queue.append((request, "close", response))
        else:
            self._owe(request, "close", response)

    def _owe(self, request: Request, header: str, response: Response) -> None:
        """An answer that is there, after those that are not."""
        if self._turns:
            self._turns.append(Turn(self, request, header, response))
            self.deadline = NEVER
        else:
            self._answer(request, response, header)

    def _refused_request(self) -> Request:
        request_id = self._room.heads.request_id(self._headers.get("x-request-id"))
        target = self._target.decode("latin-1")
        return Request(self._method, target, self._headers, request_id, route=NOT_FOUND, started=time.perf_counter())
