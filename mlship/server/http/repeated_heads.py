"""Heads that come again byte for byte, as those of a keep-alive client do: read once by the parser, recognised from then on.

A head is only kept when the parser has read exactly it and its body, or the start of its body, from the bytes at hand, with nothing
before or after, and only in its plainest form: HTTP/1.1, kept alive, a length or no body. Equal bytes then mean an equal request.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from mlship.server.auth.gate import Gate
from mlship.server.http.quick_lane import QuickLane

END = b"\r\n\r\n"
HEADS = 1024  # kept at most: lengths of bodies vary, and each length is a head
HEAD_BYTES = 1024  # of one
KEPT = "keep-alive"
ONCE = frozenset(("x-request-id", "traceparent", "expect", "transfer-encoding", "upgrade"))
CREDENTIALS = ("authorization", "x-api-key")


@dataclass(frozen=True, slots=True)
class Head:
    """What the parser made of a head. size: of the body, in bytes. headers: shared by requests, so never written to.

    lane: in which its requests may wait to be read with others; None where they must be looked at one by one.
    refused_as: see App.refused_as.
    """

    method: str
    target: str
    headers: dict[str, str]
    size: int
    lane: QuickLane | None = None
    refused_as: int | None = None


Lanes = Callable[[str, str, dict[str, str], int], QuickLane | None]


RefusedAs = Callable[[str, str, dict[str, str]], "int | None"]


def no_lane(method: str, target: str, headers: dict[str, str], size: int) -> None:
    """Every request goes the long way."""


def no_refusal(method: str, target: str, headers: dict[str, str]) -> None:
    """Each refusal has words of its own."""


class Repeated:
    """The heads that a worker knows."""

    def __init__(self, lanes: Lanes = no_lane, refused_as: RefusedAs = no_refusal) -> None:
        """lanes: see QuickLanes.lane. refused_as: see App.refused_as."""
        self._lanes = lanes
        self._refused_as = refused_as
        self._heads: dict[bytes, Head] = {}
        # what is known of a head, given its bytes up to and with END; the dictionary's own method: it is called for each request
        self.find: Callable[[bytes], Head | None] = self._heads.get

    def learn(self, data: bytes, method: str, target: bytes, headers: dict[str, str]) -> None:
        """Keeps the head of one HTTP/1.1 request, of which `data` is every byte, or every byte until now."""
        self._keep(data[: data.find(END) + 4], data, method, target, headers)

    def _keep(self, known: bytes, data: bytes, method: str, target: bytes, headers: dict[str, str]) -> None:
        """known: by what the head is found again."""
        start = data.find(END) + 4
        if start > HEAD_BYTES or not ONCE.isdisjoint(headers) or headers.get("connection", KEPT).lower() != KEPT:
            return
        size = int(headers.get("content-length", 0))
        # empty lines may be before a request (RFC 9112, 2.2): then the first end of lines is not that of its head
        if len(data) - start > size or not data.startswith(method.encode("latin-1")):
            return
        if len(self._heads) >= HEADS:
            self._heads.clear()
        path = target.decode("latin-1")
        lane, refused_as = self._lanes(method, path, headers, size), self._refused_as(method, path, headers)
        self._heads[known] = Head(method, path, headers, size, lane, refused_as)


class Judged(Repeated):
    """The heads that a worker knows where callers are judged (serve.auth): only those that may pass for as long as it lives.

    They have credentials in them, so they are found by a digest under a secret of this process, and kept without.
    """

    def __init__(
        self, gate: Gate, role: Callable[[str, str], str], lanes: Lanes = no_lane, refused_as: RefusedAs = no_refusal
    ) -> None:
        """role: what a method and a target need."""
        super().__init__(lanes, refused_as)
        self._gate = gate
        self._role = role
        self._secret = os.urandom(32)
        self.find = lambda head: self._heads.get(self._digest(head))

    def learn(self, data: bytes, method: str, target: bytes, headers: dict[str, str]) -> None:
        if self._gate.passes_for_good(headers, self._role(method, target.decode("latin-1"))):
            plain = {name: text for name, text in headers.items() if name not in CREDENTIALS}
            self._keep(self._digest(data[: data.find(END) + 4]), data, method, target, plain)

    def _digest(self, head: bytes) -> bytes:
        return blake2b(head, digest_size=32, key=self._secret).digest()
