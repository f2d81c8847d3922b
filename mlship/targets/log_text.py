"""The server's log lines in words: they are JSON for machines, and a person reads them at 2 a.m. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

TRACE_LINES = 3  # the end of a trace names the place and the error; the whole of it stands in `mlship logs`


def readable(lines: Iterable[str]) -> tuple[str, ...]:
    """Lines of the server's own as `10:41:19 worker_failed: cannot open centres.json`; any other line as it is."""
    return tuple(text for line in lines for text in _in_words(line))


def _in_words(line: str) -> Iterator[str]:
    event = _event(line)
    if event is None:
        yield line
        return
    clock = str(event["time"])[11:19]
    said = ": ".join(str(event[key]) for key in ("event", "error", "message") if event.get(key))
    yield f"{clock} {said}"
    trace = [text.strip() for text in str(event.get("trace") or "").splitlines() if text.strip(" ^~")]
    for text in trace[-TRACE_LINES:]:
        yield f"         {text}"


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        document = json.loads(line)
    except ValueError:
        return None
    is_own = isinstance(document, dict) and "event" in document and "time" in document
    return document if is_own else None
