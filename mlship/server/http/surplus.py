"""Connections beyond those that a worker may hold."""

from __future__ import annotations

import resource

from mlship.server.http.connection import Connection
from mlship.server.http.room import Room
from mlship.server.messages import Request, refused

MOST = 10_000  # of one worker: an idle one takes some 5 kB here and as much in the kernel
RESERVED = 256  # descriptors that are no connections


class Surplus(Connection):
    """Its one request is answered when it asks about health, which must not fail because others hold connections."""

    _may_wait = False

    def _serve(self, request: Request, header: str) -> None:
        if request.method != "POST":
            super()._serve(request, "close")
            return
        room = self._room
        room.service.slot.count_refusal("connections")
        room.app.locate(request)
        message = "the server holds as many connections as it may; try again"
        response = refused(503, message, request.id, "overloaded", headers=(("retry-after", "1"),))
        self._answer(request, response, "close")


def newcomer(room: Room, most: int) -> Connection:
    """What serves the next connection of a worker that may hold so many."""
    return Connection(room) if len(room.connections) < most else Surplus(room)


def most_connections() -> int:
    """How many connections a worker may hold: within its limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft - RESERVED))
