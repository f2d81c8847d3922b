"""What all connections of a worker share."""

from __future__ import annotations

import asyncio
from typing import Protocol

from mlship.server.app import App
from mlship.server.batching.engine import Engine
from mlship.server.batching.entrance import Entrance
from mlship.server.http.answer_heads import Heads
from mlship.server.http.quick_lane import QuickLanes
from mlship.server.http.refusals import Refusals
from mlship.server.http.repeated_heads import Judged, Repeated
from mlship.server.messages import Request
from mlship.server.monitoring.access_log import AccessLog

# seconds
IDLE_TIME = 75.0  # between requests; longer than load balancers keep theirs, so that they close first


class Connected(Protocol):
    """A connection, as whoever looks after all of them sees it. deadline: loop time at which it is overdue."""

    deadline: float

    @property
    def is_idle(self) -> bool:
        """True between requests: nothing is read, computed or owed."""

    def expire(self) -> None:
        """Its time is over, or it is not needed any more."""


class Room:
    """One worker's."""

    def __init__(self, app: App, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.engine = engine
        self.loop = loop
        self.service = app.service
        self.heads = Heads(app.service.settings.release)
        self.max_body = app.service.manifest.serving.max_body
        self.entrance = Entrance(loop, engine, app.service.slot, app.service.manifest.serving.request_timeout_s)
        self.connections: set[Connected] = set()
        self.large = 0  # bytes of all large bodies until now
        self.gate = app.service.settings.gate
        self.access = AccessLog(app.service.settings.access_log, app.paths, app.service.settings.release)
        self.idle_until = loop.time() + IDLE_TIME  # loop time: of a connection that is idle from about now on
        self._lanes = QuickLanes(app, engine, self.entrance, self.heads, self.access, self.idle_until)
        self.refusals = Refusals(app.service, self.entrance, self.heads, self.access)
        lane, refused_as = self._lanes.lane, app.refused_as
        self.repeated = Repeated(lane, refused_as) if self.gate is None else Judged(self.gate, app.role, lane, refused_as)

    def close_overdue(self) -> None:
        """Ends connections whose time is over; called about twice a second."""
        now = self.loop.time()
        self.idle_until = self._lanes.idle_until = now + IDLE_TIME
        for connection in [each for each in self.connections if each.deadline <= now]:
            connection.expire()

    def record(self, request: Request, status: int, seconds: float, size: int) -> None:
        """Counts an answered request, and logs it when its turn has come, or when it failed."""
        self.service.slot.count_request(request.route, status, seconds)
        if status >= 500 or self.access.share:
            self.access.record(request, status, seconds, size)
