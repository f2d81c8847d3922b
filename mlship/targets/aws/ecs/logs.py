"""The lines of all tasks as one stream, by time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.ecs.releasing import CONTAINER
from mlship.targets.aws.log_windows import BACK_S, marked, newest, start_time
from mlship.targets.aws.scope import Scope
from mlship.targets.base import LogLine
from mlship.targets.log_stream import followed
from mlship.targets.waiting import Waiting

LOOK_S = 2.0


def lines_of(
    door: Door,
    scope: Scope,
    release: str,
    lines: int,
    follow: bool,
    waiting: Waiting,
) -> Iterator[LogLine]:
    """The last `lines`, then what comes, without end, when `follow`. release: empty for all."""
    now = waiting.clock()
    read = partial(_events, door, scope, release)
    told, since = newest(read, lines, now, (*BACK_S, now))
    yield from (_line(event) for event in told[len(told) - lines :] if lines)
    if follow:
        yield from map(_line, followed(told, read, marked, since, replace(waiting, every_s=LOOK_S)))


def _events(door: Door, scope: Scope, release: str, since: float) -> list[dict[str, Any]]:
    """Sorted by time. Streams are called `<release>/<container>/<task>`."""
    only = {"logStreamNamePrefix": f"{release}/{CONTAINER}/"} if release else {}
    try:
        told = door.all("logs", "filter_log_events", "events", logGroupName=scope.log_group, **only, **start_time(since))
    except Refused as no:
        if no.said == "ResourceNotFoundException":
            return []
        raise
    return sorted(told, key=lambda event: event["timestamp"])


def _line(event: dict[str, Any]) -> LogLine:
    release, _, rest = event["logStreamName"].partition("/")
    when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).isoformat(timespec="milliseconds")
    return LogLine(rest.rpartition("/")[2][:8], release, event["message"].rstrip("\n"), when)
