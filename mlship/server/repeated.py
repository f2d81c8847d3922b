"""Heads that come again byte for byte, as those of a keep-alive client do: read once by the parser, recognised from then on.

A head is only kept when the parser has read exactly it and its body from the bytes at hand, with nothing before or after, and only
in its plainest form: HTTP/1.1, kept alive, a length or no body. Equal bytes then mean an equal request.
"""

from __future__ import annotations

from dataclasses import dataclass

END = b"\r\n\r\n"
HEADS = 1024  # kept at most: lengths of bodies vary, and each length is a head
HEAD_BYTES = 1024  # of one
KEPT = "keep-alive"
# with a credential it is judged each time, and it stands nowhere in memory as it is (serve.auth)
ONCE = frozenset(("x-request-id", "traceparent", "expect", "transfer-encoding", "upgrade", "authorization", "x-api-key"))


@dataclass(frozen=True, slots=True)
class Head:
    """What the parser made of a head. size: of the body, in bytes. headers: shared by requests, so never written to."""

    method: str
    target: str
    headers: dict[str, str]
    size: int


class Repeated:
    """The heads that a worker knows."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def find(self, data: bytes) -> tuple[Head, int] | None:
        """The known head with which the bytes begin, and where its body begins; None unless they end with that body."""
        start = data.find(END) + 4
        head = self._heads.get(data[:start])
        return (head, start) if head is not None and len(data) - start == head.size else None

    def learn(self, data: bytes, method: str, target: bytes, headers: dict[str, str]) -> None:
        """Keeps the head of one HTTP/1.1 request, of which `data` is every byte."""
        start = data.find(END) + 4
        if start > HEAD_BYTES or not ONCE.isdisjoint(headers) or headers.get("connection", KEPT).lower() != KEPT:
            return
        size = int(headers.get("content-length", 0))
        if len(data) - start != size:
            return
        if len(self._heads) >= HEADS:
            self._heads.clear()
        self._heads[data[:start]] = Head(method, target.decode("latin-1"), headers, size)
