"""The lines of all machines as one stream, by time: Cloud Logging.

Of the log `prediction_container`: what the server itself says; its resource has the endpoint's id, its labels the deployed model's
(entries that public projects show, 2026-05). Lines of deployed models that do not stand any more have no release's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlship.targets.base import LogLine
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.log_entries import Entry, entries, text_of
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.vertex.bodies import PROOF
from mlship.targets.gcp.vertex.seen import Seen
from mlship.targets.gcp.waiting import Waiting


def lines_of(
    door: Door, scope: Scope, present: Seen | None, release: str, lines: int, follow: bool, waiting: Waiting
) -> Iterator[LogLine]:
    """The last `lines`, then what comes, without end, when `follow`. release: empty for all."""
    releases = _releases(present)
    ids = [id for id, known in releases.items() if known == release]
    if release and not ids:
        return
    endpoints = f'resource.labels.endpoint_id=("{scope.stem}" OR "{scope.stem}{PROOF}")'
    only = ['resource.type="aiplatform.googleapis.com/Endpoint"', endpoints, 'logName:"prediction_container"']
    if ids:
        quoted = " OR ".join(f'"{id}"' for id in sorted(ids))
        only.append(f"labels.deployed_model_id=({quoted})")
    yield from (_line(releases, entry) for entry in entries(door, only, lines, follow, waiting))


def _releases(present: Seen | None) -> dict[str, str]:
    """Id of a deployed model -> release."""
    if present is None:
        return {}
    return {one.id: one.release for part in (present.callers, present.proof) if part for one in part.deployed}


def _line(releases: Mapping[str, str], entry: Entry) -> LogLine:
    labels = entry.get("labels") or {}
    id = str(labels.get("deployed_model_id", ""))
    return LogLine(str(labels.get("replica_id", id))[-8:], releases.get(id, ""), text_of(entry), entry["timestamp"])
