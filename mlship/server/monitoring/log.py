"""One JSON line for each event, on stderr: errors and changes of state. Never a payload. (Requests: access_log.py)"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import Any

from mlship.server.monitoring.write_behind import Behind

TRACE = 20_000  # characters of a traceback that are kept
MESSAGE = 2_000  # characters of an error's own words, which may quote what a caller sent
AT_ONCE = 20  # failures of one kind; then one a second, so that a storm of them fills no disk
LAST_S = 0.5  # for a reader of the log, when a worker ends


class Allowance:
    """So many at once, then so many a second. left_out: how many were refused since the last that was not."""

    def __init__(self, at_once: int, per_second: float) -> None:
        self._at_once = at_once
        self._per_second = per_second
        self._left = float(at_once)
        self._at = 0.0
        self.left_out = 0

    def takes(self, now: float) -> bool:
        """now: seconds of a clock that never goes back."""
        self._left = min(self._at_once, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            self.left_out += 1
            return False
        self._left -= 1
        return True


_allowances: dict[str, Allowance] = {}
_behind: dict[int, Behind] = {}


def event(level: str, name: str, **fields: Any) -> None:
    """Writes an event. fields: in JSON's types."""
    line = {"time": _now(), "level": level, "event": name, "pid": os.getpid(), **fields}
    write(2, json.dumps(line, default=str).encode() + b"\n")


def failure(name: str, error: BaseException, **fields: Any) -> None:
    """Writes an error with its traceback, which no caller ever sees; of many of one name not all, and how many were left out."""
    allowance = _allowances.setdefault(name, Allowance(AT_ONCE, 1.0))
    if not allowance.takes(time.monotonic()):
        return
    if allowance.left_out:
        fields, allowance.left_out = {**fields, "left_out": allowance.left_out}, 0
    trace = "".join(traceback.format_exception(error))[-TRACE:]
    event("error", name, error=type(error).__name__, message=str(error)[:MESSAGE], trace=trace, **fields)


def write(descriptor: int, lines: bytes) -> None:
    """Whole lines to stdout (1) or stderr (2). A log that nobody reads any more must not end the service."""
    if descriptor in _behind:
        _behind[descriptor].put(lines)
        return
    stream = sys.stdout if descriptor == 1 else sys.stderr
    try:
        stream.write(lines.decode())
        stream.flush()
    except (OSError, ValueError):
        return


def write_behind() -> None:
    """From now on a thread writes, in this process: for workers, whose loop must not wait for the log's reader."""
    _behind.update({descriptor: Behind(descriptor, _lost) for descriptor in (1, 2)})


def finish() -> None:
    """Writes what the thread has not written yet. What comes later is written at once, again."""
    waiting = list(_behind.values())
    _behind.clear()
    for behind in waiting:
        behind.close(LAST_S)


def _lost(count: int) -> bytes:
    line = {"time": _now(), "level": "warning", "event": "log_lines_lost", "pid": os.getpid(), "count": count}
    return json.dumps(line).encode() + b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
