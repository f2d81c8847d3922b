"""A large body under a head that is known: its end is where the head says, so the parser need not see it."""

from __future__ import annotations

from mlship.server.http.repeated_heads import Head


class LargeBody:
    """What has come of it, in the pieces that the loop read: nobody copies those of a request that is refused."""

    __slots__ = ("_left", "head", "parts")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.parts: list[bytes | memoryview] = []
        self._left = head.size

    @property
    def is_whole(self) -> bool:
        return self._left == 0

    def take(self, data: bytes | memoryview) -> bytes | memoryview:
        """Keeps what belongs to it. Returns the rest, which is the next request's."""
        part, rest = data[: self._left], data[self._left :]
        if part:
            self.parts.append(part)
            self._left -= len(part)
        return rest
