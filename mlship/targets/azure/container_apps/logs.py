"""The lines of all copies that run, each from its own stream, as `az containerapp logs show` reads them.

Where none runs, because the app sleeps or its copies ended, the environment's workspace of Log Analytics is asked, some minutes late.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from mlship.targets.azure.container_apps import workspace
from mlship.targets.azure.container_apps.seen import API, Copy, Seen
from mlship.targets.azure.door import Door
from mlship.targets.azure.waiting import Waiting
from mlship.targets.base import LogLine
from mlship.targets.log_stream import Mark, followed

LOOK_S = 2.0
MOST = 300  # lines of one stream that Azure gives from before (az containerapp logs show, --tail)


def lines_of(
    door: Door, look: Callable[[], Seen | None], release: str, lines: int, follow: bool, waiting: Waiting
) -> Iterator[LogLine]:
    """The last `lines` of all copies together, by time; then what comes, without end, when `follow`. release: empty for all."""
    present = look()
    told = _told(door, present, release, MOST if follow else lines) or workspace.lines_of(door, present, release, lines)
    yield from told[max(len(told) - lines, 0) :]
    if follow:

        def mark(line: LogLine) -> Mark:
            return (line.replica, line.when, line.text), _written(line, waiting.clock())

        def read(since: float) -> list[LogLine]:
            return [line for line in _told(door, look(), release, MOST) if mark(line)[1] >= since]

        yield from followed(told, read, mark, 0.0, replace(waiting, every_s=LOOK_S))


def _written(line: LogLine, now: float) -> float:
    """In seconds since the epoch. now: for a line whose time is not told, or not in a known form."""
    try:
        return datetime.fromisoformat(line.when).timestamp()
    except ValueError:
        return now


def _told(door: Door, seen: Seen | None, release: str, lines: int) -> list[LogLine]:
    """Sorted by time."""
    copies = [copy for one in seen.revisions for copy in one.copies if copy.log] if seen else []
    copies = [copy for copy in copies if release in ("", copy.release)]
    if seen is None or not copies:
        return []
    token = str((door.arm("POST", f"{seen.path}/getAuthtoken", API).get("properties") or {}).get("token") or "")
    found = [line for copy in copies for line in _lines(door, copy, token, max(1, min(lines, MOST)))]
    return sorted(found, key=lambda line: line.when)


def _lines(door: Door, copy: Copy, token: str, lines: int) -> Iterator[LogLine]:
    told = door.send("GET", _address(copy, lines), headers={"Authorization": f"Bearer {token}"})
    for raw in told.body.decode(errors="replace").splitlines() if told.status == 200 else ():
        if raw:
            yield _line(copy, raw)


def _address(copy: Copy, lines: int) -> str:
    return f"{copy.log}?{urlencode({'follow': 'false', 'output': 'json', 'tailLines': lines})}"


def _line(copy: Copy, raw: str) -> LogLine:
    """`{"TimeStamp": "...", "Log": "F ready"}`: `F ` says that the line is a full one (from memory, verify at a real app)."""
    try:
        said: Any = json.loads(raw)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return LogLine(copy.name, copy.release, raw)
    text = str(said.get("Log") or "")
    return LogLine(copy.name, copy.release, text.removeprefix("F "), str(said.get("TimeStamp") or ""))
