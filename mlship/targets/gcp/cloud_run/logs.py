"""The lines of all instances as one stream, by time: Cloud Logging."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mlship.targets.base import LogLine
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.paging import posted_pages
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.waiting import Waiting
from mlship.targets.log_stream import followed

LIST = "https://logging.googleapis.com/v2/entries:list"
LOOK_S, PAGE = 5.0, 1000


def lines_of(door: Door, scope: Scope, release: str, lines: int, follow: bool, waiting: Waiting) -> Iterator[LogLine]:
    """The last `lines`, then what comes, without end, when `follow`. release: empty for all."""
    told = _entries(door, scope, release, _OF_SERVER, max(lines, 1), newest_first=True)[::-1]
    yield from (_line(scope, entry) for entry in told[len(told) - lines :] if lines)
    if follow:

        def since(newest: str) -> list[dict[str, Any]]:
            also = f'{_OF_SERVER} AND timestamp>="{newest}"' if newest else _OF_SERVER
            return _entries(door, scope, release, also, PAGE, newest_first=False)

        again = replace(waiting, every_s=LOOK_S)
        come = followed(told, since, lambda entry: (entry["insertId"], entry["timestamp"]), "", again)
        yield from (_line(scope, entry) for entry in come)


# What the server itself says, without the platform's own record of each request.
_OF_SERVER = '(logName:"run.googleapis.com%2Fstdout" OR logName:"run.googleapis.com%2Fstderr")'


def _entries(door: Door, scope: Scope, release: str, also: str, most: int, *, newest_first: bool) -> list[dict[str, Any]]:
    only = [
        'resource.type="cloud_run_revision"',
        f'resource.labels.service_name="{scope.stem}"',
        f'resource.labels.location="{door.region}"',
        also,
    ]
    if release:
        only.append(f'resource.labels.revision_name:"{scope.named(release)}"')
    asked = {
        "resourceNames": [f"projects/{door.project}"],
        "filter": " AND ".join(only),
        "orderBy": "timestamp desc" if newest_first else "timestamp asc",
        "pageSize": min(most, PAGE),
    }
    found: list[dict[str, Any]] = []
    for page in posted_pages(door, LIST, asked):
        found += page.get("entries") or ()
        if len(found) >= most:
            break
    return found[:most]


def _line(scope: Scope, entry: dict[str, Any]) -> LogLine:
    labels = (entry.get("resource") or {}).get("labels") or {}
    text = entry.get("textPayload")
    if text is None:
        text = str((entry.get("jsonPayload") or {}).get("message") or entry.get("jsonPayload") or "")
    instance = str((entry.get("labels") or {}).get("instanceId", ""))[-8:]
    return LogLine(instance, scope.release_of(labels.get("revision_name", "")), text.rstrip("\n"), entry["timestamp"])
