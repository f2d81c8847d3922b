"""The lines of all instances as one stream, by time."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.targets.base import LogLine
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.log_entries import Entry, entries, text_of
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.waiting import Waiting

# What the server itself says, without the platform's own record of each request.
_OF_SERVER = '(logName:"run.googleapis.com%2Fstdout" OR logName:"run.googleapis.com%2Fstderr")'


def lines_of(door: Door, scope: Scope, release: str, lines: int, follow: bool, waiting: Waiting) -> Iterator[LogLine]:
    """The last `lines`, then what comes, without end, when `follow`. release: empty for all."""
    only = [
        'resource.type="cloud_run_revision"',
        f'resource.labels.service_name="{scope.stem}"',
        f'resource.labels.location="{door.region}"',
        _OF_SERVER,
    ]
    if release:
        only.append(f'resource.labels.revision_name:"{scope.named(release)}"')
    yield from (_line(scope, entry) for entry in entries(door, only, lines, follow, waiting))


def _line(scope: Scope, entry: Entry) -> LogLine:
    labels = (entry.get("resource") or {}).get("labels") or {}
    instance = str((entry.get("labels") or {}).get("instanceId", ""))[-8:]
    return LogLine(instance, scope.release_of(labels.get("revision_name", "")), text_of(entry), entry["timestamp"])
