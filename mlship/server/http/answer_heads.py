"""The head of each answer, as bytes: status line, date, release and request id on every one."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus

from mlship.server.messages import JSON, Response

ID_BYTES = 20  # of one that is made here
MOST_IDS = 2**31  # that begin alike: half of what eight digits tell apart, the other half is for the second that is left
SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}\Z")


class Heads:
    """Writes answers. What does not change within a second is kept."""

    def __init__(self, release: str) -> None:
        self._release = release
        self._starts: dict[tuple[int, str], bytes] = {}
        self._begin_ids()

    def new_second(self) -> None:
        """Forgets the kept heads: the date has changed. Ids begin anew before their numbers have more digits than eight."""
        self._starts.clear()
        if self._number >= MOST_IDS:
            self._begin_ids()

    def request_id(self, given: str | None) -> str:
        """The caller's own id when it is short and harmless, else a new one."""
        if given is not None and SANE_ID.match(given):
            return given
        self._number += 1
        return self._id(self._number - 1)

    def write(self, response: Response, request_id: str, connection: str, is_head: bool) -> bytes:
        """The whole answer. connection: `` leaves the header out. is_head: everything but the body."""
        body = response.body
        start = self._starts.get((response.status, response.content_type)) or self._start(
            response.status, response.content_type
        )
        if connection or is_head or response.headers:
            head = self._with_extras(start, response, request_id, connection)
            return head if is_head else head + body
        return b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (start, request_id.encode(), len(body), body)

    def write_all(self, bodies: Sequence[bytes]) -> list[bytes]:
        """Whole answers of status 200 in JSON, each under a new id."""
        start = (self._starts.get((200, JSON)) or self._start(200, JSON)) + self._prefix_bytes
        first = self._number
        self._number += len(bodies)
        return [
            b"%b%08x\r\ncontent-length: %d\r\n\r\n%b" % (start, number, len(body), body)
            for number, body in enumerate(bodies, first)
        ]

    def repeated(self, between: bytes) -> bytes:
        """A whole refusal with status 503 under a new id. between: what stands between the id in its head and that in its body."""
        start = self._starts.get((503, JSON)) or self._start(503, JSON)
        self._number += 1
        name = b"%b%08x" % (self._prefix_bytes, self._number - 1)
        return b'%b%b%b%b"}' % (start, name, between, name)

    def last_ids(self, count: int) -> list[str]:
        """The newest ids, oldest first."""
        return [self._id(number) for number in range(self._number - count, self._number)]

    def _begin_ids(self) -> None:
        self._number = 0  # of the next id
        self._prefix = os.urandom(6).hex()
        self._prefix_bytes = self._prefix.encode()

    def _id(self, number: int) -> str:
        return f"{self._prefix}{number:08x}"

    def _with_extras(self, start: bytes, response: Response, request_id: str, connection: str) -> bytes:
        extra = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
        if connection:
            extra += f"connection: {connection}\r\n"
        return start + f"{request_id}\r\ncontent-length: {len(response.body)}\r\n{extra}\r\n".encode("latin-1")

    def _start(self, status: int, content_type: str) -> bytes:
        start = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ndate: {formatdate(usegmt=True)}\r\n"
            f"content-type: {content_type}\r\nx-mlship-release: {self._release}\r\nx-request-id: "
        ).encode("latin-1")
        self._starts[status, content_type] = start
        return start
