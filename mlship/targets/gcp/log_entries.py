"""Entries of Cloud Logging as one stream, by time: the last ones, then what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlship.targets.gcp.door import Door
from mlship.targets.gcp.paging import posted_pages
from mlship.targets.gcp.waiting import Waiting
from mlship.targets.log_stream import KNOWN, Mark, followed

LIST = "https://logging.googleapis.com/v2/entries:list"
LOOK_S, PAGE = 5.0, 1000
BEFORE_S = 60.0  # of what was there when following begins: a line that is handed in late is told from it
Entry = Mapping[str, Any]


def entries(door: Door, only: Sequence[str], lines: int, follow: bool, waiting: Waiting) -> Iterator[Entry]:
    """The last `lines`, then what comes, without end, when `follow`. only: conditions of the filter, all of which hold."""
    began = waiting.clock() - BEFORE_S if follow else None

    def is_enough(found: list[Entry]) -> bool:
        return len(found) >= max(lines, 1) and (began is None or len(found) >= KNOWN or _mark(found[-1])[1] < began)

    page = PAGE if follow else min(max(lines, 1), PAGE)
    told, is_all = _read(door, only, "timestamp desc", page, is_enough)
    told.reverse()
    yield from told[len(told) - min(lines, len(told)) :]
    if follow:

        def look(since: float) -> list[Entry]:
            start = datetime.fromtimestamp(since, UTC).isoformat(timespec="microseconds")
            # from the oldest on, so that the next look goes on where this one ends
            return _read(door, [*only, f'timestamp>="{start}"'], "timestamp asc", PAGE, lambda found: len(found) >= 2 * KNOWN)[
                0
            ]

        since = 0.0 if is_all else _mark(told[0])[1]
        yield from followed(told, look, _mark, since, replace(waiting, every_s=LOOK_S))


def _read(
    door: Door, only: Sequence[str], order: str, page: int, is_enough: Callable[[list[Entry]], bool]
) -> tuple[list[Entry], bool]:
    """What there is, page by page until it is enough; and whether that is all."""
    asked = {"resourceNames": [f"projects/{door.project}"], "filter": " AND ".join(only), "orderBy": order, "pageSize": page}
    found: list[Entry] = []
    for answer in posted_pages(door, LIST, asked):
        found += answer.get("entries") or ()
        if is_enough(found):
            return found, False
    return found, True


def _mark(entry: Entry) -> Mark:
    """Entries of one project with the same time and the same insertId are one (LogEntry.insertId, REST reference; from memory)."""
    return (entry["timestamp"], entry["insertId"]), datetime.fromisoformat(entry["timestamp"]).timestamp()


def text_of(entry: Entry) -> str:
    text = entry.get("textPayload")
    if text is None:
        text = str((entry.get("jsonPayload") or {}).get("message") or entry.get("jsonPayload") or "")
    return str(text).rstrip("\n")
