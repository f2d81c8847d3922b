"""The lines of all machines as one stream, by time: Cloud Logging.

Of the log `prediction_container`: what the server itself says; its resource has the endpoint's id, its labels the deployed model's
(entries that public projects show, 2026-05). Lines of deployed models that do not stand any more have no release's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mlship.targets.base import LogLine
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.paging import posted_pages
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.vertex.bodies import PROOF
from mlship.targets.gcp.vertex.seen import Seen
from mlship.targets.gcp.waiting import Waiting
from mlship.targets.log_stream import followed

LIST = "https://logging.googleapis.com/v2/entries:list"
LOOK_S, PAGE = 5.0, 1000


def lines_of(
    door: Door, scope: Scope, present: Seen | None, release: str, lines: int, follow: bool, waiting: Waiting
) -> Iterator[LogLine]:
    """The last `lines`, then what comes, without end, when `follow`. release: empty for all."""
    releases = _releases(present)
    ids = [id for id, known in releases.items() if known == release]
    if release and not ids:
        return
    told = _entries(door, scope, ids, "", max(lines, 1), newest_first=True)[::-1]
    yield from (_line(releases, entry) for entry in told[len(told) - lines :] if lines)
    if follow:

        def since(newest: str) -> list[dict[str, Any]]:
            also = f' AND timestamp>="{newest}"' if newest else ""
            return _entries(door, scope, ids, also, PAGE, newest_first=False)

        again = replace(waiting, every_s=LOOK_S)
        come = followed(told, since, lambda entry: (entry["insertId"], entry["timestamp"]), "", again)
        yield from (_line(releases, entry) for entry in come)


def _releases(present: Seen | None) -> dict[str, str]:
    """Id of a deployed model -> release."""
    if present is None:
        return {}
    return {one.id: one.release for part in (present.callers, present.proof) if part for one in part.deployed}


def _entries(door: Door, scope: Scope, ids: list[str], since: str, most: int, *, newest_first: bool) -> list[dict[str, Any]]:
    endpoints = f'resource.labels.endpoint_id=("{scope.stem}" OR "{scope.stem}{PROOF}")'
    only = ['resource.type="aiplatform.googleapis.com/Endpoint"', endpoints, 'logName:"prediction_container"']
    if ids:
        quoted = " OR ".join(f'"{id}"' for id in sorted(ids))
        only.append(f"labels.deployed_model_id=({quoted})")
    asked = {
        "resourceNames": [f"projects/{door.project}"],
        "filter": " AND ".join(only) + since,
        "orderBy": "timestamp desc" if newest_first else "timestamp asc",
        "pageSize": min(most, PAGE),
    }
    found: list[dict[str, Any]] = []
    for page in posted_pages(door, LIST, asked):
        found += page.get("entries") or ()
        if len(found) >= most:
            break
    return found[:most]


def _line(releases: Mapping[str, str], entry: Mapping[str, Any]) -> LogLine:
    labels = entry.get("labels") or {}
    text = entry.get("textPayload")
    if text is None:
        text = str((entry.get("jsonPayload") or {}).get("message") or entry.get("jsonPayload") or "")
    id = str(labels.get("deployed_model_id", ""))
    return LogLine(str(labels.get("replica_id", id))[-8:], releases.get(id, ""), text.rstrip("\n"), entry["timestamp"])
