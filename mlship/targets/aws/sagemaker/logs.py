"""The lines of all machines as one stream, by time.

A machine's stream is called after its variant, and a variant has one release after the other: what the server says of itself when it is
ready, or when it cannot start, names its release, and so the beginning of a stream tells whose it is. Only streams that were written to of
late are looked at, each of them once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.log_windows import BACK_S, MS, marked, newest, start_time
from mlship.targets.aws.sagemaker.names import Names
from mlship.targets.base import LogLine
from mlship.targets.log_stream import followed
from mlship.targets.waiting import Waiting

LOOK_S = 2.0
HEAD = 1000  # lines of a stream's beginning
# A stream tells its last event late, typically by less than an hour (LogStream, lastEventTimestamp, service model of botocore 1.44.5).
LAST_S = 3600.0
_AT_MOST = 100  # streams that FilterLogEvents takes at once (service model of botocore 1.44.5)
MISSING = "ResourceNotFoundException"
_RELEASE = re.compile(r"\br\d+-[0-9a-f]{6}\b")
Event = dict[str, Any]


def lines_of(
    door: Door,
    names: Names,
    release: str,
    lines: int,
    follow: bool,
    waiting: Waiting,
) -> Iterator[LogLine]:
    """The last `lines`, then what comes, without end, when `follow`. release: empty for all."""
    now, whose = waiting.clock(), dict[tuple[str, str], bool]()
    read = partial(_events, door, names, release, whose=whose)
    told, since = newest(read, lines, now, (*BACK_S, now))
    yield from (_line(event, release) for event in told[len(told) - lines :] if lines)
    if follow:
        come = followed(told, read, marked, since, replace(waiting, every_s=LOOK_S))
        yield from (_line(event, release) for event in come)


def _events(door: Door, names: Names, release: str, since: float, whose: dict[tuple[str, str], bool]) -> list[Event]:
    """Of the endpoint and of the one beside it, sorted by time. whose: group and stream -> whether it is the release's, as far as known."""
    start = start_time(since)
    found: list[Event] = []
    for group in names.log_groups:
        if not release:
            found += _asked(door, group, **start)
            continue
        streams = [name for name in _of_late(door, group, since) if _is_of(door, group, name, release, whose)]
        for first in range(0, len(streams), _AT_MOST):
            found += _asked(door, group, logStreamNames=streams[first : first + _AT_MOST], **start)
    return sorted(found, key=lambda event: event["timestamp"])


def _of_late(door: Door, group: str, since: float) -> list[str]:
    """Streams that may have been written to since then."""
    found: list[str] = []
    said: dict[str, Any] = {"logGroupName": group, "orderBy": "LastEventTime", "descending": True}
    while True:
        try:
            told = door.call("logs", "describe_log_streams", **said)
        except Refused as no:
            if no.said == MISSING:
                return []
            raise
        of_late = [one for one in told["logStreams"] if one.get("lastEventTimestamp", since * MS) / MS + LAST_S >= since]
        found += [str(one["logStreamName"]) for one in of_late]
        if len(of_late) < len(told["logStreams"]) or not told.get("nextToken"):
            return sorted(found)
        said["nextToken"] = told["nextToken"]


def _is_of(door: Door, group: str, stream: str, release: str, whose: dict[tuple[str, str], bool]) -> bool:
    """One that says nothing of any release yet is asked again."""
    if (group, stream) not in whose:
        place = {"logGroupName": group, "logStreamName": stream}
        told = door.call("logs", "get_log_events", **place, startFromHead=True, limit=HEAD)["events"]
        named = {name for event in told for name in _RELEASE.findall(event["message"])}
        if not named and len(told) < HEAD:
            return False
        whose[group, stream] = release in named
    return whose[group, stream]


def _asked(door: Door, group: str, **only: Any) -> list[Event]:
    try:
        told: list[Event] = door.all("logs", "filter_log_events", "events", logGroupName=group, **only)
    except Refused as no:
        if no.said == MISSING:
            return []
        raise
    return told


def _line(event: Event, release: str) -> LogLine:
    when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).isoformat(timespec="milliseconds")
    return LogLine(str(event["logStreamName"]), release, event["message"].rstrip("\n"), when)
