"""A request as it is read: the calls of the HTTP parser, what each part may be, and the refusal of what may not.

What can be read in two ways is refused: what a proxy in front of us understood otherwise is how requests are smuggled.
"""

from __future__ import annotations

from typing import Any

import httptools

from mlship.server.auth.gate import Gate
from mlship.server.http.quick_lane import LARGEST
from mlship.server.http.room import Room

# seconds
HEAD_TIME = 10.0  # from the first byte of a head to its end
BODY_TIME = 30.0  # for a body, and as long again for each 1.5 MB of it
BODY_RATE = 50_000.0  # bytes a second: slower senders hold a connection for nothing
NEVER = float("inf")

HEAD_BYTES = 32_768
HEADERS = 100
TARGET_BYTES = 8_192
CHUNKS = 20_000
BESIDE_BYTES = 1_000_000  # that a chunked body may have between its chunks, beside as much as it may be itself
SINGLE = frozenset(("host", "content-length", "transfer-encoding", "content-type", "authorization", "x-api-key"))
FRAMING = frozenset(("content-length", "transfer-encoding"))


class Refusal(Exception):
    """The request is answered before it is read to its end, and the connection closed."""

    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.status = status
        self.message = message
        self.headers = headers
        super().__init__(message)


class RequestReader:
    """Reads the requests of one connection, which takes each with `_receive`. Its `on_` methods are the parser's, and raise Refusal.

    deadline: loop time at which the connection is overdue, whatever it is doing.
    """

    def __init__(self, room: Room) -> None:
        self.deadline = NEVER
        self._room = room
        self._parser: Any = httptools.HttpRequestParser(self)
        self._is_reading_head = False
        self._is_reading_body = False
        self._is_last = False  # nothing that comes after this request is read
        self._is_closing = False  # the last answer is written
        self._owes_continue = False
        self._head_bytes = self._messages = 0
        self._new_message()

    def _receive(self, method: str, target: str, headers: dict[str, str], body: bytes, header: str) -> None:
        """A request has come completely. header: the value of its answer's header `connection`; empty leaves it out."""
        raise NotImplementedError

    @property
    def is_between(self) -> bool:
        """True when all that has been read is whole requests."""
        return not self._is_reading_head and not self._is_reading_body

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
        self._method = self._parser.get_method().decode("latin-1")
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
            if version == "1.1":  # 1.0 has no interim answers (RFC 9110, 10.1.1)
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
        keeps = parser.should_keep_alive() and not parser.should_upgrade()
        is_old = parser.get_http_version() == "1.0"
        connection = "close" if not keeps else "keep-alive" if is_old else ""
        if not keeps:
            self._is_last = True
        self._messages += 1
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._room.large += len(body) if len(body) > LARGEST else 0
        self._body.clear()  # a connection that is idle afterwards holds none
        self._receive(self._method, self._target.decode("latin-1"), self._headers, body, connection)

    def _new_message(self) -> None:
        self._method = ""
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._header_count = self._header_bytes = self._body_bytes = self._body_sent = self._chunks = 0

    def _is_overlong(self, size: int) -> bool:
        """Counts the bytes of a body as they come, those between its chunks too; True when they are far more than it may be."""
        self._body_sent += size
        return self._body_sent > 2 * self._room.max_body + BESIDE_BYTES

    def _is_head_overlong(self, size: int) -> bool:
        """Counts the bytes of a head that comes in pieces; True when they are more than it may have."""
        self._head_bytes += size
        return self._head_bytes > HEAD_BYTES

    def _ask(self, gate: Gate) -> None:
        """Whether the caller may do this. Raises Refusal."""
        denial = gate.denial(self._headers, self._room.app.role(self._method, self._target.decode("latin-1")))
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
