"""What there is of a project's app, read anew each time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlship.errors import MlshipError
from mlship.targets.azure.container_apps.foundation import APIS, APP
from mlship.targets.azure.container_apps.releasing import LIVE, STAGED
from mlship.targets.azure.door import Door
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.scope import Place, Scope
from mlship.targets.base import Replica

API = APIS[APP]
_SUFFIX = re.compile(r"(?P<release>r\d+-[0-9a-f]{6})-[0-9a-f]{4}")


@dataclass(frozen=True)
class Copy:
    """One running copy of a revision. state: of its container, in Azure's words; log: where its lines are to be read."""

    name: str
    release: str
    revision: str
    ready: bool
    since: float
    state: str = ""
    detail: str = ""
    restarts: int = 0
    log: str = ""


@dataclass(frozen=True)
class Revision:
    """suffix: what stands behind the app's name. weight: percent of the callers. image: by digest. least: copies that are
    kept when nobody calls. secrets: by name.
    """

    suffix: str
    release: str
    active: bool
    weight: int
    label: str
    provisioning: str
    health: str
    running: str
    error: str
    since: float
    host: str
    image: str
    least: int = 0
    secrets: frozenset[str] = frozenset()
    copies: tuple[Copy, ...] = ()

    @property
    def is_asleep(self) -> bool:
        """Nobody called lately, and no copy is kept for that."""
        return self.active and not self.copies and not self.least and self.health != "Unhealthy"

    @property
    def ready(self) -> int:
        return sum(copy.ready for copy in self.copies)


@dataclass(frozen=True)
class Seen:
    """host: of the app, empty where it has no ingress. app: as Azure tells it. path: of the app at the resource manager."""

    path: str
    app: Mapping[str, Any]
    host: str
    revisions: tuple[Revision, ...] = ()

    def named(self, suffix: str) -> Revision | None:
        return next((one for one in self.revisions if one.suffix == suffix), None)

    def of(self, release: str) -> Revision | None:
        """The revision that has the release; of several the one that callers reach, that runs, that is the newest."""
        found = [one for one in self.revisions if one.release == release]
        return max(found, key=lambda one: (one.weight, one.active, one.since), default=None)

    @property
    def live(self) -> Revision | None:
        """The one that most callers reach; of two that share them equally, the one with the label."""
        found = max(self.revisions, key=lambda one: (one.weight, one.label == LIVE), default=None)
        return found if found is not None and found.weight else None

    @property
    def staged(self) -> Revision | None:
        return next((one for one in self.revisions if one.active and one.label == STAGED), None)

    @property
    def shares(self) -> dict[str, float]:
        """release -> share of the callers."""
        shares: dict[str, float] = {}
        whole = sum(one.weight for one in self.revisions)
        for one in self.revisions:
            if one.weight:
                shares[one.release] = shares.get(one.release, 0.0) + one.weight / whole
        return shares

    @property
    def is_changing(self) -> bool:
        return str((self.app.get("properties") or {}).get("provisioningState")) in ("InProgress", "Deleting")

    def label_host(self, label: str) -> str:
        """`churn-1a2b3c---staged.happyhill-70162bb9.westeurope.azurecontainerapps.io`."""
        name, _, rest = self.host.partition(".")
        return f"{name}---{label}.{rest}"


def app_path(place: Place, scope: Scope) -> str:
    return place.resource(APP, scope.short)


def look(door: Door, place: Place, scope: Scope) -> Seen | None:
    """None where there is no app. Raises MlshipError for one of that name that is not this project's."""
    path = app_path(place, scope)
    app = door.find(path, API)
    if app is None:
        return None
    if not scope.owns(app.get("tags")):
        what = f"there is a container app {scope.short}, and it is none of this project's"
        raise MlshipError(what, fix="give the project another name, or take that app away", code="not-ours")
    ingress = ((app.get("properties") or {}).get("configuration") or {}).get("ingress") or {}
    traffic = _traffic(app, ingress)
    try:
        told = door.all(f"{path}/revisions", API)
    except Refused as no:  # the app went meanwhile
        if no.is_missing:
            return None
        raise
    found = tuple(_revision(door, path, scope, one, traffic) for one in told)
    return Seen(path, app, str(ingress.get("fqdn") or ""), tuple(one for one in found if one is not None))


def replicas(seen: Seen) -> tuple[Replica, ...]:
    """Every running copy. staged: it has no share of the callers."""
    return tuple(
        Replica(copy.name, copy.release, copy.ready, copy.since, not one.weight, "" if copy.ready else copy.state.lower())
        for one in seen.revisions
        for copy in one.copies
    )


def _traffic(app: Mapping[str, Any], ingress: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """revision -> its percent and its label. Azure leaves a weight of nothing out, and says of the newest only that it is that."""
    newest = str((app.get("properties") or {}).get("latestRevisionName") or "")
    found: dict[str, tuple[int, str]] = {}
    for one in ingress.get("traffic") or ():
        name = str(one.get("revisionName") or (newest if one.get("latestRevision") else ""))
        weight, label = found.get(name, (0, ""))
        found[name] = (weight + int(one.get("weight") or 0), str(one.get("label") or label))
    return found


def _revision(
    door: Door, path: str, scope: Scope, told: Mapping[str, Any], traffic: Mapping[str, tuple[int, str]]
) -> Revision | None:
    """None for one that is not of a release."""
    name = str(told.get("name") or "")
    suffix = name.removeprefix(f"{scope.short}--")
    found = _SUFFIX.fullmatch(suffix)
    if found is None:
        return None
    said: Mapping[str, Any] = told.get("properties") or {}
    active = bool(said.get("active"))
    weight, label = traffic.get(name, (0, ""))
    container: Mapping[str, Any] = next(iter((said.get("template") or {}).get("containers") or ()), {})
    copies = _copies(door, path, name, found["release"]) if active else ()
    return Revision(
        suffix,
        found["release"],
        active,
        weight,
        label,
        str(said.get("provisioningState") or ""),
        str(said.get("healthState") or ""),
        str(said.get("runningState") or ""),
        str(said.get("provisioningError") or ""),
        seconds(str(said.get("createdTime") or "")),
        str(said.get("fqdn") or ""),
        str(container.get("image") or ""),
        int(((said.get("template") or {}).get("scale") or {}).get("minReplicas") or 0),
        frozenset(str(one["secretRef"]) for one in container.get("env") or () if one.get("secretRef")),
        copies,
    )


def _copies(door: Door, path: str, revision: str, release: str) -> tuple[Copy, ...]:
    found = []
    try:
        told = door.all(f"{path}/revisions/{revision}/replicas", API)
    except Refused as no:
        if no.is_missing:
            return ()
        raise
    for one in told:
        said: Mapping[str, Any] = one.get("properties") or {}
        container: Mapping[str, Any] = next(iter(said.get("containers") or ()), {})
        found.append(
            Copy(
                str(one.get("name") or "").rpartition("/")[2],
                release,
                revision,
                bool(container.get("ready")),
                seconds(str(said.get("createdTime") or "")),
                str(container.get("runningState") or said.get("runningState") or ""),
                str(container.get("runningStateDetails") or said.get("runningStateDetails") or ""),
                int(container.get("restartCount") or 0),
                str(container.get("logStreamEndpoint") or ""),
            )
        )
    return tuple(sorted(found, key=lambda copy: (copy.since, copy.name)))


def seconds(text: str) -> float:
    """`2026-11-22T10:00:00+00:00` since the epoch; 0 for what is no time."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0
