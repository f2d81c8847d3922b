"""What there is of a project at Cloud Run, read anew each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.targets.base import Replica
from mlship.targets.gcp.door import MISSING, Door, Refused
from mlship.targets.gcp.scope import CONTENT, Scope

READY = "CONDITION_SUCCEEDED"


@dataclass(frozen=True)
class Revision:
    """One release's. state, reason, message: of its condition `Ready`. since: when it was made, seconds since the epoch."""

    name: str
    release: str
    attempt: int
    state: str
    reason: str = ""
    message: str = ""
    since: float = 0.0
    content: str = ""
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_ready(self) -> bool:
        return self.state == READY


@dataclass(frozen=True)
class Share:
    """What really is so (`trafficStatuses`). uri: where this revision alone is asked, by its tag."""

    revision: str
    release: str
    percent: int
    tag: str = ""
    uri: str = ""


@dataclass(frozen=True)
class Seen:
    """uri: of the service. shares: of the callers, and revisions at 0 % that have a tag. latest: the revision made last.

    body: the service as it was told; etag guards what is changed on the strength of it.
    """

    uri: str
    etag: str
    generation: int
    shares: tuple[Share, ...]
    revisions: Mapping[str, Revision] = field(default_factory=dict)
    latest: str = ""
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def percents(self) -> dict[str, int]:
        """revision -> percent, with those that only have a tag at 0."""
        found: dict[str, int] = {}
        for share in self.shares:
            found[share.revision] = found.get(share.revision, 0) + share.percent
        return found

    @property
    def wanted(self) -> frozenset[str]:
        """Revisions that the service was told to lead callers to, or to give a tag: one that never started stays among them."""
        return frozenset(_short(str(one.get("revision", ""))) for one in self.body.get("traffic") or ())

    @property
    def weights(self) -> dict[str, float]:
        """release -> share of the callers."""
        found: dict[str, float] = {}
        for share in self.shares:
            if share.percent:
                found[share.release] = found.get(share.release, 0.0) + share.percent / 100
        return found

    @property
    def live(self) -> Share | None:
        """What most callers reach."""
        return max((share for share in self.shares if share.percent), key=lambda share: share.percent, default=None)

    @property
    def staged(self) -> Share | None:
        return next((share for share in self.shares if not share.percent and share.tag), None)

    def of(self, release: str) -> Revision | None:
        """The release's revision: of several tries the one that is ready, else the last."""
        found = [one for one in self.revisions.values() if one.release == release]
        return max(found, key=lambda one: (one.is_ready, one.attempt), default=None)

    def share_of(self, release: str) -> Share | None:
        found = [share for share in self.shares if share.release == release]
        return max(found, key=lambda share: (share.percent, bool(share.tag)), default=None)

    @property
    def is_public(self) -> bool:
        """Whether callers need no token of Google's."""
        return bool(self.body.get("invokerIamDisabled"))


def name_of(door: Door, scope: Scope) -> str:
    return f"projects/{door.project}/locations/{door.region}/services/{scope.stem}"


def look(door: Door, scope: Scope) -> Seen | None:
    """None where there is no service. Raises MlshipError for one that is not mlship's."""
    name = name_of(door, scope)
    try:
        told = door.call("run services", "get_service", {"name": name})
    except Refused as no:
        if no.code == MISSING:
            return None
        raise
    if not scope.is_ours(told.get("labels") or {}):
        raise MlshipError(
            f"the service {scope.stem} is not mlship's, or another project's",
            fix="choose another name, or delete the service",
            exit=Exit.USAGE,
            code="foreign-service",
        )
    listed = door.all("run revisions", "list_revisions", {"parent": name})
    revisions = (_revision(scope, one) for one in listed)
    return Seen(
        uri=str(told.get("uri", "")),
        etag=str(told.get("etag", "")),
        generation=int(told.get("generation", 0)),
        shares=tuple(_share(scope, one) for one in told.get("trafficStatuses") or ()),
        revisions={one.name: one for one in revisions if one.release},
        latest=_short(told.get("latestCreatedRevision", "")),
        body=told,
    )


def replicas(seen: Seen) -> tuple[Replica, ...]:
    """One for each revision that can be asked: Cloud Run tells of no single instance."""
    made = []
    for release in sorted({share.release for share in seen.shares if share.release}):
        share, revision = seen.share_of(release), seen.of(release)
        if share is not None and revision is not None:
            why = "" if revision.is_ready else revision.reason.lower()
            made.append(Replica(release, release, revision.is_ready, revision.since, not share.percent, why))
    return tuple(sorted(made, key=lambda one: one.since))


def _share(scope: Scope, told: Mapping[str, Any]) -> Share:
    name = _short(told.get("revision", ""))
    return Share(name, scope.release_of(name), int(told.get("percent", 0)), told.get("tag", ""), told.get("uri", ""))


def _revision(scope: Scope, told: Mapping[str, Any]) -> Revision:
    name = _short(told["name"])
    ready: Mapping[str, Any] = next((one for one in told.get("conditions") or () if one.get("type") == "Ready"), {})
    return Revision(
        name=name,
        release=scope.release_of(name),
        attempt=scope.attempt_of(name),
        state=str(ready.get("state", "")),
        reason=str(ready.get("revisionReason") or ready.get("reason") or ""),
        message=str(ready.get("message", "")),
        since=seconds_of(told.get("createTime", "")),
        content=str((told.get("annotations") or {}).get(CONTENT, "")),
        body=told,
    )


def seconds_of(text: str) -> float:
    """`2026-11-23T04:36:30.123456Z`; 0 where nothing is said."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _short(name: str) -> str:
    return name.rpartition("/")[2]
