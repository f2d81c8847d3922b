"""One client's connection: bytes to requests, answers to bytes, in the order in which they came.

No task, no future and no thread for a request: httptools calls back, the answer is written from there. What can be read in two
ways is refused and the connection closed: what a proxy in front of us understood otherwise is how requests are smuggled.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import httptools

from mlship.server import log
from mlship.server.access import AccessLog
from mlship.server.app import NOT_FOUND, App
from mlship.server.auth.gate import Gate
from mlship.server.batching.engine import Engine
from mlship.server.batching.entrance import Entrance
from mlship.server.batching.line import Job
from mlship.server.board import CONNECTIONS
from mlship.server.http.answer_heads import Heads
from mlship.server.http.repeated_heads import Head, Judged, Repeated
from mlship.server.messages import Call, Request, Response, refused

# seconds
HEAD_TIME = 10.0  # from the first byte of a head to its end
BODY_TIME = 30.0  # for a body, and as long again for each 1.5 MB of it
BODY_RATE = 50_000.0  # bytes a second: slower senders hold a connection for nothing
IDLE_TIME = 75.0  # between requests; longer than load balancers keep theirs, so that they close first
WRITE_TIME = 30.0  # for a client that does not read its answer
LINGER_TIME = 2.0  # after a refusal: an answer is lost when the socket closes on unread bytes

HEAD_BYTES = 32_768
HEADERS = 100
TARGET_BYTES = 8_192
CHUNKS = 20_000
LINGER_BYTES = 1_000_000
PIPELINED = 16  # requests of one connection that wait for their answers before reading pauses; no more are computed at a time
SINGLE = frozenset(("host", "content-length", "transfer-encoding", "content-type", "authorization", "x-api-key"))

FRAMING = frozenset(("content-length", "transfer-encoding"))
REASON_OF = {400: "malformed", 408: "timeout", 413: "limit", 417: "malformed", 431: "limit"}  # as refusals are counted

NEVER = float("inf")


class Refusal(Exception):
    """The request is answered before it is read to its end, and the connection closed."""

    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.status = status
        self.message = message
        self.headers = headers
        super().__init__(message)


class Room:
    """What all connections of a worker share."""

    def __init__(self, app: App, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.engine = engine
        self.loop = loop
        self.service = app.service
        self.heads = Heads(app.service.settings.release)
        self.max_body = app.service.manifest.serving.max_body
        self.entrance = Entrance(loop, engine, app.service.slot, app.service.manifest.serving.request_timeout_s)
        self.connections: set[Connection] = set()
        self.gate = app.service.settings.gate
        self.repeated = Repeated() if self.gate is None else Judged(self.gate, app.role)
        self.access = AccessLog(app.service.settings.access_log, app.paths, app.service.settings.release)

    def close_overdue(self) -> None:
        """Ends connections whose time is over; called about twice a second."""
        now = self.loop.time()
        for connection in [each for each in self.connections if each.deadline <= now]:
            connection.expire()

    def record(self, request: Request, status: int, seconds: float, size: int) -> None:
        """Counts an answered request, and logs it when its turn has come, or when it failed."""
        self.service.slot.count_request(request.route, status, seconds)
        if status >= 500 or self.access.share:
            self.access.record(request, status, seconds, size)


class Turn(Job):
    """A request whose answer is owed: it is written when all before it are. response: None while it is not there yet."""

    __slots__ = ("_connection", "header", "is_open", "request", "response")

    def __init__(self, connection: Connection, request: Request, header: str, response: Response | None = None) -> None:
        """header: the value of the answer's header `connection`; empty leaves it out."""
        self.is_over = self.is_waiting = False
        self.timer = None
        self._connection = connection
        self.request = request
        self.header = header
        self.response = response
        self.is_open = response is not None

    def open(self) -> None:
        """It was this request's turn to be read."""
        self._connection.open(self)

    def done(self, response: Response) -> None:
        """The model has answered, or the time was over."""
        self.response = response
        self._connection.advance()


class Connection(asyncio.Protocol):
    """One connection. deadline: loop time at which it is overdue, whatever it is doing."""

    def __init__(self, room: Room) -> None:
        self.deadline = NEVER
        self._room = room
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._out: list[bytes] = []
        self._turns: deque[Turn] = deque()
        self._is_reading_head = False
        self._is_reading_body = False
        self._is_last = False  # nothing that comes after this request is read
        self._is_closing = False  # the last answer is written
        self._is_stalled = False
        self._is_paused = False
        self._is_warned = False
        self._owes_continue = False
        self._lingered = 0
        self._head_bytes = self._messages = 0
        self._new_message()

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._room.connections.add(self)
        self._room.service.slot.cells[CONNECTIONS] += 1
        self.deadline = self._room.loop.time() + HEAD_TIME

    def connection_lost(self, error: Exception | None) -> None:
        self._room.connections.discard(self)
        self._room.service.slot.cells[CONNECTIONS] -= 1
        for turn in self._turns:
            turn.cancel()
        self._turns.clear()

    def data_received(self, data: bytes) -> None:
        if self._is_last:
            self._linger(len(data))
            return
        self._is_warned = False
        if self._is_reading_body and self._is_overlong(len(data)):
            return
        was_in_head = self._is_reading_head
        is_first = not was_in_head and not self._is_reading_body
        if is_first and (found := self._room.repeated.find(data)) is not None:
            self._repeat(*found, data)
            return
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
        if was_in_head and self._is_reading_head and not self._is_last:
            self._count_head(len(data))
        if is_first and self._messages == 1 and self.is_between and not self._is_last:
            self._remember(data)
        self._settle()

    def eof_received(self) -> bool:
        """A client that has shut its sending side gets what is computed in this turn, or is being computed.

        Who has to wait longer is taken for gone, unless its request said that it would be the last: scripts shut one side, callers
        whose patience has ended close both, and here they look the same.
        """
        if not self._turns:
            return False
        self._is_last = True
        if self._turns[-1].header != "close":
            self._room.loop.call_soon(self._leave)
        return True

    def _leave(self) -> None:
        if self._turns and (self._turns[0].is_waiting or not self._turns[0].is_open) and not self._transport.is_closing():
            self._close()

    def pause_writing(self) -> None:
        self._is_stalled = True
        self._pause()
        self.deadline = self._room.loop.time() + WRITE_TIME

    def resume_writing(self) -> None:
        self._is_stalled = False
        self.deadline = NEVER if self._turns else self._room.loop.time() + IDLE_TIME
        self._resume()
        self._settle()

    # httptools

    def on_message_begin(self) -> None:
        self._new_message()
        self._is_reading_head = True
        self._head_bytes = 0
        self.deadline = self._room.loop.time() + HEAD_TIME

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > TARGET_BYTES:
            raise Refusal(400, f"the path is longer than {TARGET_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        if self._header_count > HEADERS or self._header_bytes > HEAD_BYTES:
            raise Refusal(431, f"the headers are more than {HEADERS} or longer than {HEAD_BYTES} bytes")
        if not self._is_reading_head:
            return  # a trailer: nothing of it is used
        key = name.decode("latin-1").lower()
        if key in self._headers and key in SINGLE:
            raise Refusal(400, f"the header {key} is there twice")
        if "_" in key and key.replace("_", "-") in FRAMING:
            raise Refusal(400, f"the header {key} is spelt with an underscore, which others may read as a hyphen")
        self._headers[key] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        headers = self._headers
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refusal(400, f"HTTP/{version} is not spoken here; send HTTP/1.1")
        if "host" not in headers and version == "1.1":
            raise Refusal(400, "the header host is missing")
        length = headers.get("content-length")
        coding = headers.get("transfer-encoding")
        if coding is not None and (length is not None or coding.strip().lower() != "chunked" or version != "1.1"):
            raise Refusal(
                400, "a body needs either content-length or the transfer coding chunked, not both and no other coding"
            )
        self._is_reading_head = False
        if self._room.gate is not None:
            self._ask(self._room.gate)
        size = int(length) if length else 0
        if size > self._room.max_body:
            raise self._too_large()
        self._is_reading_body = size > 0 or coding is not None
        if self._is_reading_body:
            expected = size if coding is None else self._room.max_body
            self.deadline = self._room.loop.time() + BODY_TIME + expected / BODY_RATE
            self._promise_continue()

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > CHUNKS:
            raise Refusal(400, f"the body has more than {CHUNKS} chunks")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._room.max_body:
            raise self._too_large()
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._is_reading_body = self._is_reading_head = self._owes_continue = False
        if self._is_closing:
            return
        parser = self._parser
        method = parser.get_method().decode("latin-1")
        keeps = parser.should_keep_alive() and not parser.should_upgrade()
        is_old = parser.get_http_version() == "1.0"
        connection = "close" if not keeps else "keep-alive" if is_old else ""
        if not keeps:
            self._is_last = True
        self._messages += 1
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._receive(method, self._target.decode("latin-1"), self._headers, body, connection)

    # from here on our own

    def expire(self) -> None:
        """The deadline has passed: a sender that is too slow is told so, an idle connection closed.

        Only the second call in a row without a byte between counts: after a long turn of the loop, what the client has long
        sent is still to be read.
        """
        if not self._is_warned:
            self._is_warned = True
            return
        if self._is_closing or self._is_stalled or self._transport.is_closing():
            self._transport.abort()
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
        return not self._turns and self.is_between

    @property
    def is_between(self) -> bool:
        """True when all that has been read is whole requests."""
        return not self._is_reading_head and not self._is_reading_body

    def _new_message(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._header_count = self._header_bytes = self._body_bytes = self._body_sent = self._chunks = 0

    def advance(self) -> None:
        """Writes the answers that are there, up to the first that is not, and opens requests that waited for room."""
        if self._transport.is_closing():
            return
        turns = self._turns
        while turns and (response := turns[0].response) is not None and not self._is_closing:
            turn = turns.popleft()
            self._answer(turn.request, response, turn.header)
            if len(turns) >= PIPELINED:
                self._open(turns[PIPELINED - 1])
        if self._is_paused and len(turns) < PIPELINED and not self._is_stalled:
            self._resume()
        self._settle()

    def _remember(self, data: bytes) -> None:
        """data: all bytes of the request that the parser has just read."""
        room, parser = self._room, self._parser
        if parser.get_http_version() == "1.1":
            room.repeated.learn(data, parser.get_method().decode("latin-1"), self._target, self._headers)

    def _repeat(self, head: Head, start: int, data: bytes) -> None:
        """As the parser would, for a head that it has read before and the whole body."""
        self._receive(head.method, head.target, head.headers, data[start:], "")
        if self._out:
            self._settle()

    def _receive(self, method: str, target: str, headers: dict[str, str], body: bytes, header: str) -> None:
        """A request has come completely."""
        request_id = self._room.heads.request_id(headers.get("x-request-id"))
        request = Request(method, target, headers, request_id, body, started=time.perf_counter())
        if len(self._turns) < PIPELINED:
            self._serve(request, header)
            return
        self._turns.append(Turn(self, request, header))
        self.deadline = NEVER
        self._pause()

    def open(self, turn: Turn) -> None:
        """Reads a request that waited at the entrance, unless its client has gone."""
        if turn.is_open or turn.is_over:
            return
        self._open(turn)
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

    def _open(self, turn: Turn) -> None:
        if not turn.is_open:
            self._give(turn, self._room.app.open(turn.request))

    def _give(self, turn: Turn, opened: Response | Call) -> None:
        turn.is_open = True
        if isinstance(opened, Response):
            turn.response = opened
        else:
            turn.call = opened
            self._room.engine.submit(turn)

    def _answer(self, request: Request, response: Response, connection: str) -> None:
        if self._is_closing:
            return
        room = self._room
        if room.service.is_draining:
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
            self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()
            if not (self._turns or self._is_reading_head or self._is_reading_body or self._is_stalled):
                self.deadline = self._room.loop.time() + IDLE_TIME
        if self._is_closing:
            self._shut()
        elif self._owes_continue and not self._turns:
            self._owes_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif self._is_last and self.is_idle and not self._is_stalled:
            self._close()

    def _shut(self) -> None:
        """Closes our side and waits for the client's: its unread bytes would otherwise make the kernel drop the answer."""
        if self._transport.is_closing() or self._lingered:
            return
        self._lingered = 1
        self.deadline = self._room.loop.time() + LINGER_TIME
        if self._is_stalled:
            self.deadline = self._room.loop.time() + WRITE_TIME
        self._resume()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _close(self) -> None:
        """Closes when everything is written; a client that reads nothing does not hold us longer than WRITE_TIME."""
        self.deadline = self._room.loop.time() + WRITE_TIME
        self._transport.close()

    def _pause(self) -> None:
        if not self._is_paused and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    def _linger(self, size: int) -> None:
        self._lingered += size
        if self._lingered > LINGER_BYTES:
            self._transport.abort()

    def _refuse_broken(self, cause: BaseException | None) -> None:
        if isinstance(cause, Refusal):
            self._refuse(cause.status, cause.message, cause.headers)
        elif cause is not None:
            log.failure("connection_failed", cause)
            self._refuse(500, "the server failed on this request")

    def _refuse(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """One answer, after those that are owed, and the end of the connection."""
        self._is_last = True
        self._is_reading_head = self._is_reading_body = False
        request = self._refused_request()
        if status in REASON_OF:
            self._room.service.slot.count_refusal(REASON_OF[status])
        response = refused(status, message, request.id, headers=headers)
        if self._turns:
            self._turns.append(Turn(self, request, "close", response))
        else:
            self._answer(request, response, "close")

    def _refused_request(self) -> Request:
        request_id = self._room.heads.request_id(self._headers.get("x-request-id"))
        target = self._target.decode("latin-1")
        return Request("", target, self._headers, request_id, route=NOT_FOUND, started=time.perf_counter())

    def _ask(self, gate: Gate) -> None:
        """Whether the caller may do this. Raises Refusal."""
        method, target = self._parser.get_method().decode("latin-1"), self._target.decode("latin-1")
        denial = gate.denial(self._headers, self._room.app.role(method, target))
        if denial is not None:
            self._room.service.slot.count_refusal(denial.reason)
            raise Refusal(denial.status, denial.message, denial.headers)

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is larger than {self._room.max_body} bytes (serve.max_body)")

    def _promise_continue(self) -> None:
        expectation = self._headers.get("expect")
        if expectation is None:
            return
        if expectation.lower() != "100-continue":
            raise Refusal(417, "the only expectation that can be met is 100-continue")
        self._owes_continue = True

    def _is_overlong(self, size: int) -> bool:
        """Counts the bytes of a body as they come, those between its chunks too; answers when they are far more than it may be."""
        self._body_sent += size
        if self._body_sent <= 2 * self._room.max_body + LINGER_BYTES:
            return False
        self._refuse(400, "the chunks of the body have too much beside it")
        self._settle()
        return True

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            self._refuse(431, f"the head of the request is longer than {HEAD_BYTES} bytes")
