"""What there is of a project at Vertex AI, read anew each time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlship.targets.base import Replica
from mlship.targets.gcp.door import MISSING, Body, Door, Refused
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.vertex.bodies import PROOF, SPOT, WHOLE, release_of, shared_between

ENDPOINTS, MODELS = "aiplatform endpoints", "aiplatform models"


@dataclass(frozen=True)
class Deployed:
    """A deployed model. available: machines that answer, None where Vertex AI does not tell. version: of the model."""

    id: str
    name: str
    version: str
    since: float
    resources: Mapping[str, Any] = field(default_factory=dict)
    account: str = ""
    available: int | None = None
    message: str = ""

    @property
    def release(self) -> str:
        return release_of(self.name)

    @property
    def is_spot(self) -> bool:
        return self.name.endswith(SPOT)

    @property
    def replicas(self) -> tuple[int, int]:
        least = int(self.resources.get("minReplicaCount") or 1)
        return least, int(self.resources.get("maxReplicaCount") or least)

    @property
    def is_gone(self) -> bool:
        """It stands, and no machine is to be had for it: how preemption and a stockout look."""
        return self.available == 0

    def replica(self, *, staged: bool, prefix: str = "") -> Replica:
        detail = self.message if self.is_gone else ""
        return Replica(prefix + self.id, self.release, not self.is_gone, self.since, staged, detail)


@dataclass(frozen=True)
class Endpoint:
    """split: id of a deployed model -> percent; those at 0 are not in it."""

    name: str
    etag: str
    deployed: tuple[Deployed, ...] = ()
    split: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def of(self, release: str) -> tuple[Deployed, ...]:
        """Its deployed models, the one on demand first."""
        return tuple(sorted((one for one in self.deployed if one.release == release), key=lambda one: (one.is_spot, one.id)))

    def share_of(self, release: str) -> int:
        return sum(self.split.get(one.id, 0) for one in self.of(release))

    @property
    def weights(self) -> dict[str, float]:
        """release -> share of the callers."""
        releases = dict.fromkeys(one.release for one in self.deployed)
        return {release: self.share_of(release) / WHOLE for release in releases if self.share_of(release)}

    @property
    def live(self) -> str:
        """The release that most callers reach; empty for none."""
        return max(self.weights, key=lambda release: self.weights[release], default="")

    def find(self, id: str) -> Deployed | None:
        return next((one for one in self.deployed if one.id == id), None)


@dataclass(frozen=True)
class Seen:
    """proof: the endpoint that only mlship asks; None where nobody made it yet."""

    callers: Endpoint
    proof: Endpoint | None = None

    @property
    def staged(self) -> set[str]:
        """Releases with a deployed model that no caller reaches."""
        idle = {one.release for one in self.callers.deployed if not self.callers.share_of(one.release)}
        return idle | {one.release for one in (self.proof.deployed if self.proof else ())}

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """A deployed model is one here: Vertex AI has no names for its machines. One that is at 0 % is shown where mlship asks it;

        a sibling that has neither machines nor callers is none.
        """
        proving = [one for one in (self.proof.deployed if self.proof else ()) if not self.callers.share_of(one.release)]
        found = [one.replica(staged=True, prefix=PROVING) for one in proving]
        releases = {one.release for one in proving}
        for one in self.callers.deployed:
            is_met = bool(self.callers.share_of(one.release))
            if is_met and one.is_gone and not self.callers.split.get(one.id):
                continue
            if is_met or one.release not in releases:
                found.append(one.replica(staged=not is_met))
        return tuple(found)


PROVING = "proof-"  # what the names of replicas at the other endpoint begin with


def look(door: Door, scope: Scope) -> Seen | None:
    """None where there is no endpoint of ours."""
    callers = endpoint(door, scope, "")
    return Seen(callers, endpoint(door, scope, PROOF)) if callers else None


def endpoint(door: Door, scope: Scope, end: str) -> Endpoint | None:
    """end: PROOF for the one that only mlship asks."""
    try:
        told = door.call(ENDPOINTS, "get_endpoint", {"name": endpoint_name(door, scope, end)})
    except Refused as no:
        if no.code == MISSING:
            return None
        raise
    if not scope.is_ours(told.get("labels") or {}):
        return None
    split = {id: int(share) for id, share in (told.get("trafficSplit") or {}).items() if int(share)}
    deployed = tuple(_deployed(one) for one in told.get("deployedModels") or ())
    # as we name it: Vertex AI puts the project's number there
    return Endpoint(endpoint_name(door, scope, end), str(told.get("etag", "")), deployed, split, told.get("labels") or {})


def versions(door: Door, scope: Scope) -> dict[str, Body]:
    """release -> version of the model: what could be served again."""
    try:
        told = door.all(MODELS, "list_model_versions", {"name": model_name(door, scope)})
    except Refused as no:
        if no.code == MISSING:
            return {}
        raise
    own = [one for one in told if scope.is_ours(one.get("labels") or {})]
    return {alias: one for one in own for alias in one.get("versionAliases") or () if alias != "default"}


def split_of(shares: Mapping[str, int], callers: Endpoint, unfit: Collection[str] = ()) -> dict[str, int]:
    """Id -> percent, for shares by release. A sibling that has no machine gets no callers while the other one has.

    unfit: ids that are of such a release and not as it is wanted.
    """
    found: dict[str, int] = {}
    for release, percents in shares.items():
        own = callers.of(release)
        fitting = [one for one in own if one.id not in unfit] or list(own)
        standing = [one for one in fitting if not one.is_gone] or fitting
        found |= shared_between(percents, {one.id: one.replicas[0] for one in standing})
    return {id: share for id, share in found.items() if share}


def without_machines(callers: Endpoint) -> Iterable[Deployed]:
    """Those that callers are led to although they have no machine."""
    return (one for one in callers.deployed if one.is_gone and callers.split.get(one.id))


def endpoint_name(door: Door, scope: Scope, end: str = "") -> str:
    return f"projects/{door.project}/locations/{door.region}/endpoints/{scope.stem}{end}"


def model_name(door: Door, scope: Scope) -> str:
    return f"projects/{door.project}/locations/{door.region}/models/{scope.stem}"


def _deployed(told: Mapping[str, Any]) -> Deployed:
    status = told.get("status") or {}
    has_status = bool(status.get("lastUpdateTime") or status.get("message") or "availableReplicaCount" in status)
    made = told.get("createTime")
    return Deployed(
        id=str(told["id"]),
        name=str(told.get("displayName", "")),
        version=str(told.get("modelVersionId", "")),
        since=datetime.fromisoformat(made).timestamp() if made else 0.0,
        resources=told.get("dedicatedResources") or {},
        account=str(told.get("serviceAccount", "")),
        available=int(status.get("availableReplicaCount") or 0) if has_status else None,
        message=str(status.get("message", "")),
    )
