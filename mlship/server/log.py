"""One JSON line for each event: errors and changes of state to stderr, requests to stdout. Never a payload."""

from __future__ import annotations

import json
import os
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

TRACE = 20_000  # characters of a traceback that are kept
MESSAGE = 2_000  # characters of an error's own words, which may quote what a caller sent


def event(level: str, name: str, **fields: Any) -> None:
    """Writes an event to stderr. fields: in JSON's types."""
    _write(sys.stderr, {"time": _now(), "level": level, "event": name, "pid": os.getpid(), **fields})


def failure(name: str, error: BaseException, **fields: Any) -> None:
    """Writes an error with its traceback, which no caller ever sees."""
    trace = "".join(traceback.format_exception(error))[-TRACE:]
    event("error", name, error=type(error).__name__, message=str(error)[:MESSAGE], trace=trace, **fields)


def access(**fields: Any) -> None:
    """Writes a request to stdout."""
    _write(sys.stdout, {"time": _now(), "event": "request", "pid": os.getpid(), **fields})


def _write(stream: Any, line: dict[str, Any]) -> None:
    """A log that nobody reads any more must not end the service."""
    try:
        stream.write(json.dumps(line, default=str) + "\n")
        stream.flush()
    except (OSError, ValueError):
        return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
