"""Refusals for want of time, as the last one was: under a head that is known, in the same words, and with another id.

A server that is asked three times as much as it can do spends its time on what it does not do. Such a request takes 14.1 us of a
processor the long way (entrance.py, connection.py) and 10.4 here, of which the kernel has 8; with a body of 80 kB 36.7 and 28.4, the
kernel 20. Nothing is decided here: the entrance says whether its last refusal still holds.
"""

from __future__ import annotations

from time import perf_counter

from mlship.server.batching.entrance import Entrance, Refused
from mlship.server.http.answer_heads import ID_BYTES, Heads
from mlship.server.http.repeated_heads import Head
from mlship.server.messages import Request
from mlship.server.monitoring.access_log import AccessLog
from mlship.server.service import Service


class Refusals:
    """Of one worker."""

    def __init__(self, service: Service, entrance: Entrance, heads: Heads, access: AccessLog) -> None:
        self._service = service
        self._entrance = entrance
        self._heads = heads
        self._access = access
        self._last: Refused | None = None
        self._between = b""
        self._size = 0

    def again(self, head: Head) -> bytes | None:
        """The whole answer to a request that has come with this head and its body, counted; None where it goes the long way."""
        route = head.refused_as
        if route is None or self._service.is_draining:
            return None
        started = perf_counter()
        last = self._entrance.again(started)
        if last is None:
            return None
        if last is not self._last:
            self._keep(last)
        answer = self._heads.repeated(self._between)
        seconds = perf_counter() - started
        self._service.slot.count_request(route, 503, seconds)
        if self._access.wants(503):
            name = answer[-ID_BYTES - 2 : -2].decode()
            self._access.write(
                Request(head.method, head.target, head.headers, name, route=route, size=head.size), 503, seconds, self._size
            )
        return answer

    def _keep(self, last: Refused) -> None:
        self._last = last
        self._size = len(last.start) + ID_BYTES + 2
        extra = "".join(f"{name}: {value}\r\n" for name, value in last.headers)
        self._between = f"\r\ncontent-length: {self._size}\r\n{extra}\r\n".encode("latin-1") + last.start
