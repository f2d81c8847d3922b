"""What there is of a project in a workspace of Azure ML, read anew each time; nothing that Azure may leave out is relied on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlship.targets.azure.azureml.site import INSIGHTS_API, ML_API, SCALING, Site
from mlship.targets.azure.door import Door
from mlship.targets.azure.scope import CONTENT, Scope, name_of
from mlship.targets.base import Replica

READY = "Succeeded"


@dataclass(frozen=True)
class Placed:
    """A deployment. state: `Creating`, `Updating`, `Succeeded`, `Failed`, ... capacity: machines; 0 where Azure tells none."""

    release: str
    state: str
    capacity: int
    environment: str
    since: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        return self.state == READY


@dataclass(frozen=True)
class Seen:
    """address: of the scoring route. traffic, mirror: release -> hundredths. placed: release -> its deployment.

    others: names of deployments that somebody else put there; they are let be. auth: as Azure's API says it, `Key`; access: `Enabled`
    where it has a public address. state: of the endpoint itself. identities: paths of those that were given to it, in lower case.
    """

    address: str = ""
    auth: str = ""
    access: str = ""
    state: str = READY
    traffic: Mapping[str, int] = field(default_factory=dict)
    mirror: Mapping[str, int] = field(default_factory=dict)
    placed: Mapping[str, Placed] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    others: frozenset[str] = frozenset()
    identities: frozenset[str] = frozenset()

    @property
    def live(self) -> str:
        """The release that most callers reach; empty for none."""
        reached = {release: share for release, share in self.traffic.items() if share}
        return max(reached, key=lambda release: reached[release], default="")

    @property
    def staged(self) -> str:
        """One that no caller reaches."""
        return next((release for release, one in self.placed.items() if one.is_ready and not self.traffic.get(release)), "")

    @property
    def shares(self) -> dict[str, float]:
        whole = sum(self.traffic.values())
        return {release: share / whole for release, share in self.traffic.items() if share}

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """One a deployment: Azure tells how many machines it has, and lets nobody ask one of them."""
        return tuple(_replica(one, staged=not self.traffic.get(one.release)) for one in self.placed.values())


def look(door: Door, scope: Scope, site: Site) -> Seen | None:
    """None where there is no endpoint of this project."""
    told = door.find(site.endpoint_path, ML_API)
    if told is None or not scope.owns(told.get("tags")):
        return None
    said = told.get("properties") or {}
    there = sorted((_placed(one) for one in door.all(site.deployments, ML_API)), key=lambda one: (one.since, one.release))
    return Seen(
        address=str(said.get("scoringUri") or ""),
        auth=str(said.get("authMode") or ""),
        access=str(said.get("publicNetworkAccess") or ""),
        state=str(said.get("provisioningState") or READY),
        traffic=_shares(said.get("traffic")),
        mirror=_shares(said.get("mirrorTraffic")),
        placed={one.release: one for one in there if scope.owns(one.tags)},
        tags=told.get("tags") or {},
        others=frozenset(one.release for one in there if not scope.owns(one.tags)),
        identities=frozenset(path.lower() for path in (told.get("identity") or {}).get("userAssignedIdentities") or ()),
    )


def is_foreign(door: Door, scope: Scope, site: Site) -> bool:
    """Whether something that is not this project's has the endpoint's name."""
    told = door.find(site.endpoint_path, ML_API)
    return told is not None and not scope.owns(told.get("tags"))


def versions(door: Door, scope: Scope, site: Site) -> dict[str, str]:
    """release -> content id of the version of the environment that it is: what could be served again."""
    found = {}
    for one in door.all(site.versions, ML_API) if door.find(site.versions.rpartition("/")[0], ML_API) else ():
        said = one.get("properties") or {}
        tags = said.get("tags") or {}
        if scope.owns(tags) and not said.get("isArchived"):
            found[name_of(str(one["id"]))] = str(tags.get(CONTENT) or "")
    return found


def settings_of_scaling(door: Door, scope: Scope, site: Site) -> list[str]:
    """Paths of the autoscale settings of this project."""
    kind = f"{site.place.path}/providers/{SCALING}"
    return [str(one["id"]) for one in door.all(kind, INSIGHTS_API) if scope.owns(one.get("tags"))]


def _placed(told: Mapping[str, Any]) -> Placed:
    said = told.get("properties") or {}
    return Placed(
        release=name_of(str(told["id"])),
        state=str(said.get("provisioningState") or READY),
        capacity=int((told.get("sku") or {}).get("capacity") or 0),
        environment=name_of(str(said.get("environmentId") or "")),
        since=_time(str((told.get("systemData") or {}).get("createdAt") or "")),
        settings=said,
        tags=told.get("tags") or {},
    )


def _replica(one: Placed, *, staged: bool) -> Replica:
    several = f"{one.capacity} machines" if one.capacity > 1 else ""
    detail = ", ".join(filter(None, ("" if one.is_ready else one.state.lower(), several)))
    return Replica(one.release, one.release, one.is_ready, one.since, staged, detail)


def _shares(told: Mapping[str, Any] | None) -> dict[str, int]:
    return {str(name): int(share) for name, share in sorted((told or {}).items())}


def _time(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
