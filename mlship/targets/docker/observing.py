"""What is there: records, containers and the front's document as one value. Reads only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from mlship.releases.history import History
from mlship.targets.base import Observed, Replica
from mlship.targets.docker import spec, traffic
from mlship.targets.docker.autoscaler import is_range
from mlship.targets.docker.engine import Container
from mlship.targets.docker.fleet import UP, Fleet, ended, unready
from mlship.targets.docker.front import FrontState
from mlship.targets.docker.reconcile import committed_document


@dataclass(frozen=True)
class Seen:
    """What was read, before anything is concluded. replicas: stopped ones too."""

    history: History | None
    state: FrontState
    front: Container | None
    replicas: tuple[Container, ...]
    autoscaler: Container | None = None

    @property
    def document(self) -> traffic.Document | None:
        return self.state.document

    def weight_of(self, server: str) -> int:
        return next((entry.weight for entry in traffic.servers_of(self.document) if entry.name == server), 0)


def observed(seen: Seen, fleet: Fleet, serving: str, endpoint: str, restorable: Collection[str], notes: Any) -> Observed:
    """serving: what the endpoint says of itself. fleet: asks the replicas."""
    weights = {release: share for release, share in traffic.shares(seen.document).items() if share}
    up = [entry for entry in seen.replicas if _counts(entry, seen)]
    return Observed(
        history=seen.history,
        endpoint=endpoint if seen.front is not None else "",
        serving=serving,
        replicas=tuple(_replica(entry, seen, fleet) for entry in up),
        restorable=frozenset(restorable),
        notes=tuple(notes),
        fingerprint=_fingerprint(seen, restorable),
        repair=repair(seen, fleet),
        weights=weights,
    )


def repair(seen: Seen, fleet: Fleet) -> str:
    """Why the live release has to be put in service again although callers may be answered; empty when all is well."""
    history = seen.history
    if history is None or not history.live:
        return ""
    if seen.front is None or not seen.front.is_running:
        return "the front does not run"
    if committed_document(seen.document, history) != seen.document:
        return f"callers reach a release that is not committed; committed is {history.live}"
    up = {fleet.server_name(entry) for entry in seen.replicas if entry.state in UP}
    named = [server.name for server in traffic.servers_of(seen.document)]
    missing = [name for name in named if name not in up]
    if not named:
        return "the front names no replica"
    if not missing and is_range(history.operating) and (seen.autoscaler is None or seen.autoscaler.state not in UP):
        return "the autoscaler does not run"
    return f"{len(missing)} of {len(named)} replicas do not run: {', '.join(missing)}" if missing else ""


def _replica(container: Container, seen: Seen, fleet: Fleet) -> Replica:
    answer = fleet.ready(container) if container.is_running else None
    if answer is None:
        container = fleet.replica(container.name) or container
    is_ready = answer is not None and answer.status == 200
    return Replica(
        name=container.name,
        release=container.labels[spec.RELEASE],
        ready=is_ready,
        since=container.started,
        staged=not seen.weight_of(fleet.server_name(container)),
        detail="" if is_ready else ended(container) or unready(answer),
    )


def _counts(container: Container, seen: Seen) -> bool:
    """Stopped containers are kept releases, unless the records know theirs no more; one that should be serving always counts."""
    release = container.labels[spec.RELEASE]
    is_named = bool(seen.weight_of(spec.server_name(release, spec.number_of(container.name))))
    return container.state in UP or is_named or not _is_known(release, seen.history)


def _is_known(release: str, history: History | None) -> bool:
    """Without records nothing is judged."""
    if history is None:
        return True
    underway = history.underway.release.id if history.underway else ""
    return release in {underway, *(known.id for known in history.releases)}


def _fingerprint(seen: Seen, restorable: Collection[str]) -> str:
    """Not how many replicas there are, nor whether they answer at this instant: an autoscaler and a busy model change no plan."""
    facts = [
        seen.history.generation if seen.history else 0,
        sorted((release, round(share, 2)) for release, share in traffic.shares(seen.document).items()),
        sorted({entry.labels[spec.RELEASE] for entry in seen.replicas if entry.state in UP}),
        sorted(restorable),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
