"""The access log: a share of all requests and each failure, as JSON lines on stdout. Never a payload, a header or a key.

The path is the route's own label, not what was sent: people put keys and names into queries.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import orjson

from mlship.server.messages import Request
from mlship.server.monitoring import log

TOGETHER = 64  # lines that are handed on at once, at the latest with the next tick
FAILURES_AT_ONCE = 100  # answers with 5xx beside the share; then FAILURES_PER_S
FAILURES_PER_S = 10.0


class AccessLog:
    """Of one worker. share: of the requests, 0 to 1. paths: label of each route, by its index."""

    def __init__(self, share: float, paths: Sequence[str], release: str) -> None:
        self.share = share
        self._paths = paths
        self._fixed = {"event": "request", "pid": os.getpid(), "release": release}
        self._due = 0.0
        self._failures = log.Allowance(FAILURES_AT_ONCE, FAILURES_PER_S)
        self._lines: list[bytes] = []
        self._second = 0
        self._kept = ""

    def record(self, request: Request, status: int, seconds: float, size: int) -> None:
        """One answer; need only be called when `share` is not zero or the status is 5xx. size: bytes of the answer's body."""
        if self.wants(status):
            self.write(request, status, seconds, size)

    def wants(self, status: int) -> bool:
        """Whether the next answer is one of those that are written; to be asked once for each."""
        self._due += self.share
        if self._due >= 1:
            self._due -= 1
            return True
        return status >= 500 and self._failures.takes(time.monotonic())

    def write(self, request: Request, status: int, seconds: float, size: int) -> None:
        """As `record`, of one that is wanted."""
        self._lines.append(self._line(request, status, seconds, size))
        if len(self._lines) >= TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Hands the lines on; called at each tick."""
        if self._lines:
            log.write(1, b"".join(self._lines))
            self._lines.clear()

    def _time(self, now: float) -> str:
        """ISO 8601 in UTC; what does not change within a second is kept."""
        if int(now) != self._second:
            self._second = int(now)
            self._kept = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        return f"{self._kept}.{int(now % 1 * 1000):03d}Z"

    def _line(self, request: Request, status: int, seconds: float, size: int) -> bytes:
        line = {
            "time": self._time(time.time()),
            **self._fixed,
            "request_id": request.id,
            "method": request.method,
            "route": self._paths[request.route],
            "status": status,
            "ms": round(seconds * 1000, 3),
            "bytes_in": request.size or len(request.body),
            "bytes_out": size,
            "rows": request.rows,
        }
        if status >= 500 and self._failures.left_out:
            line["left_out"], self._failures.left_out = self._failures.left_out, 0
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
