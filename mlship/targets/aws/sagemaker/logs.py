"""The lines of all machines as one stream, by time.

A machine's stream is called after its variant, and a variant has one release after the other: what the server says of itself when it is
ready, or when it cannot start, names its release, and so tells whose stream it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.log_windows import BACK_S, newest
from mlship.targets.aws.sagemaker.names import Names
from mlship.targets.base import LogLine

LOOK_S = 2.0
_AT_MOST = 100  # streams that FilterLogEvents takes at once (service model of botocore 1.44.5)
Event = dict[str, Any]


def lines_of(
    door: Door,
    names: Names,
    release: str,
    lines: int,
    follow: bool,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[LogLine]:
    """The last `lines`, then what comes, without end, when `follow`. release: empty for all."""
    now = clock()
    told = newest(lambda since_ms: _events(door, names, release, since_ms), lines, now, (*BACK_S, now))
    yield from (_line(event, release) for event in told[len(told) - lines :] if lines)
    known = {event["eventId"] for event in told}
    latest = max((event["timestamp"] for event in told), default=0)
    while follow:
        sleep(LOOK_S)
        for event in _events(door, names, release, latest):
            if event["eventId"] not in known:
                known.add(event["eventId"])
                latest = max(latest, event["timestamp"])
                yield _line(event, release)


def _events(door: Door, names: Names, release: str, since_ms: int) -> list[Event]:
    """Of the endpoint and of the one beside it, sorted by time."""
    since = {"startTime": since_ms} if since_ms else {}
    found: list[Event] = []
    for group in names.log_groups:
        if not release:
            found += _asked(door, group, **since)
            continue
        streams = sorted({event["logStreamName"] for event in _asked(door, group, filterPattern=f'"{release}"')})
        for start in range(0, len(streams), _AT_MOST):
            found += _asked(door, group, logStreamNames=streams[start : start + _AT_MOST], **since)
    return sorted(found, key=lambda event: event["timestamp"])


def _asked(door: Door, group: str, **only: Any) -> list[Event]:
    try:
        told: list[Event] = door.all("logs", "filter_log_events", "events", logGroupName=group, **only)
    except Refused as no:
        if no.said == "ResourceNotFoundException":
            return []
        raise
    return told


def _line(event: Event, release: str) -> LogLine:
    when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).isoformat(timespec="milliseconds")
    return LogLine(str(event["logStreamName"]), release, event["message"].rstrip("\n"), when)
