"""The lines of a function as one stream, by time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.lambdas.naming import version_of_stream
from mlship.targets.aws.lambdas.seen import Seen
from mlship.targets.aws.log_windows import marked, newest, start_time
from mlship.targets.base import LogLine
from mlship.targets.log_stream import followed
from mlship.targets.waiting import Waiting

LOOK_S = 2.0  # lines of more than a day ago are in CloudWatch; every stream of a function would have to be read for them


def lines_of(
    door: Door,
    group: str,
    look: Callable[[], Seen | None],
    release: str,
    lines: int,
    follow: bool,
    waiting: Waiting,
) -> Iterator[LogLine]:
    """The last `lines`, then what comes, without end, when `follow`. release: empty for all."""
    now, present = waiting.clock(), look()
    told, since = newest(lambda start: list(_of_release(_events(door, group, start), present, release)), lines, now)
    yield from (line for _, line in told[max(0, len(told) - lines) :])
    if follow:

        def read(start: float) -> Iterator[tuple[dict[str, Any], LogLine]]:
            return _of_release(_events(door, group, start), look(), release)

        again = replace(waiting, every_s=LOOK_S)
        yield from (line for _, line in followed(told, read, lambda both: marked(both[0]), since, again))


def _of_release(events: list[dict[str, Any]], seen: Seen | None, release: str) -> Iterator[tuple[dict[str, Any], LogLine]]:
    """A stream's name has the version that wrote it."""
    for event in events:
        version = version_of_stream(event["logStreamName"])
        of = seen.release(version) if seen else ""
        if not release or of == release:
            when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).isoformat(timespec="milliseconds")
            yield event, LogLine(version, of, event["message"].rstrip("\n"), when)


def _events(door: Door, group: str, since: float) -> list[dict[str, Any]]:
    try:
        told = door.all("logs", "filter_log_events", "events", logGroupName=group, **start_time(since))
    except Refused as no:
        if no.said == "ResourceNotFoundException":
            return []
        raise
    return sorted(told, key=lambda event: event["timestamp"])
