"""A target in memory, for rehearsals, documentation and tests: everything happens, nothing leaves this process.

It obeys the same interface and contract suite as the real ones. `World.faults` makes it fail where a test wants it to.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from mlship.errors import Finding
from mlship.releases.history import History
from mlship.releases.records import Lease, LeaseHeld, LeaseLost, history_from_json, history_to_json
from mlship.releases.release import Release
from mlship.targets.base import (
    Action,
    Answer,
    Deployment,
    Feature,
    LogLine,
    Measures,
    Observed,
    Opening,
    Outcome,
    Replica,
    Request,
    Resource,
    ServiceRow,
    Why,
)

FEATURES: Mapping[str, Mapping[str, Feature]] = {
    "memory": {
        "env": Feature("native"),
        "labels": Feature("native"),
        "resources": Feature("emulated", "nothing really runs"),
        "scale.replicas": Feature("absent", "a rehearsal has one copy", "target docker"),
        "canary": Feature("absent", "a rehearsal has one copy", "target docker"),
        "spot": Feature("absent", "memory has no market", "target aws"),
    }
}


@dataclass
class Copy:
    """A pretended server. broken: what it does wrong: `crash`, `lies` about its release, `answers` otherwise."""

    release: Release
    staged: bool
    broken: str = ""


@dataclass
class Service:
    """One project in one environment. kept: releases whose image is there."""

    documents: list[bytes] = field(default_factory=list)
    copies: dict[str, Copy] = field(default_factory=dict)
    kept: dict[str, Release] = field(default_factory=dict)
    lease: Lease | None = None
    live: str = ""


@dataclass
class World:
    """All services. faults: action kind -> how it fails: `refuses`, `crash`, `lies`, `answers`. done: actions, in order."""

    services: dict[tuple[str, str], Service] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    done: list[Action] = field(default_factory=list)


WORLD = World()


def open_target(opening: Opening) -> FakeTarget:
    return FakeTarget(opening.project, opening.environment, WORLD)


def services(opening: Opening) -> tuple[ServiceRow, ...]:
    rows = []
    for (project, environment), service in sorted(WORLD.services.items()):
        rows.append(ServiceRow(project, environment, "fake", service.live, "memory:", bool(service.live)))
    return tuple(rows)


class FakeRecords:
    """Records in memory, as documents, so that their shape is exercised too."""

    def __init__(self, world: World, key: tuple[str, str]) -> None:
        self._world = world
        self._key = key
        self._token = ""

    @property
    def _service(self) -> Service:
        return self._world.services.setdefault(self._key, Service())

    def confirm(self) -> None:
        """Raises LeaseLost when somebody else has the lease that was taken here."""
        lease = self._service.lease
        if self._token and (lease is None or lease.token != self._token):
            raise LeaseLost()

    def read(self) -> History | None:
        service = self._world.services.get(self._key)
        return history_from_json(service.documents[-1], "memory") if service and service.documents else None

    def commit(self, history: History, expected: int) -> None:
        present = self.read()
        if (present.generation if present else 0) != expected:
            raise LeaseLost()
        self._service.documents.append(history_to_json(history, ""))

    def acquire(self, holder: str, now: float, ttl_s: float) -> Lease:
        lease = self._service.lease
        if lease is not None and lease.expires > now:
            raise LeaseHeld(lease.holder, lease.expires - now)
        taken = Lease(secrets.token_hex(16), holder, now + ttl_s, ttl_s)
        self._service.lease = taken
        self._token = taken.token
        return taken

    def renew(self, lease: Lease, now: float) -> Lease:
        present = self._service.lease
        if present is None or present.token != lease.token:
            raise LeaseLost()
        renewed = replace(lease, expires=now + lease.ttl_s)
        self._service.lease = renewed
        return renewed

    def release(self, lease: Lease) -> None:
        self._token = ""
        service = self._world.services.get(self._key)
        if service and service.lease and service.lease.token == lease.token:
            service.lease = None


class FakeTarget:
    """Implements targets.base.Target."""

    name = "fake"

    def __init__(self, project: str, environment: str, world: World) -> None:
        self._world = world
        self._key = (project, environment)
        self._records = FakeRecords(world, self._key)

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        return FEATURES

    @property
    def records(self) -> FakeRecords:
        return self._records

    @property
    def _service(self) -> Service:
        return self._world.services.setdefault(self._key, Service())

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        described = {"release": deployment.release.id, "served": asdict(deployment.release.served)}
        document = json.dumps(described, sort_keys=True, indent=1).encode() + b"\n"
        return {"apply/service.json": document, "eject/service.json": document}

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        return (Resource("copy", deployment.project, billed="free"),)

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        return ()

    def observe(self) -> Observed:
        history = self._records.read()
        service = self._world.services.get(self._key, Service())
        replicas = tuple(
            Replica(f"copy-{name}", name, copy.broken != "crash", staged=copy.staged)
            for name, copy in sorted(service.copies.items())
        )
        serving = service.live if self._live_copy() else ""
        seen = [history.generation if history else 0, serving, [asdict(replica) for replica in replicas], sorted(service.kept)]
        fingerprint = hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()
        return Observed(
            history, "memory:" if serving else "", serving, replicas, frozenset(service.kept), fingerprint=fingerprint
        )

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        try:
            self._records.confirm()
        except LeaseLost as lost:
            return Outcome(False, lost.what, fault="target")
        self._world.done.append(action)
        if self._world.faults.get(action.kind) == "refuses":
            return Outcome(False, f"{action.kind} was refused", fault="target")
        return getattr(self, f"_{action.kind}")(action, deployment)  # type: ignore[no-any-return]

    def ask(self, request: Request) -> Answer:
        copy = self._staged_copy() if request.of == "staged" else self._live_copy()
        if copy is None or copy.broken == "crash":
            return Answer(0, b"connection refused")
        said = "r0-000000" if copy.broken == "lies" else copy.release.id
        headers = {"x-mlship-release": said}
        if request.path == "/mlship/release":
            return Answer(200, json.dumps({"release": said}).encode(), headers)
        if request.path == "/predict":
            proof = next(iter(copy.release.proofs.values()), None)
            answers = dict(proof.answers) if proof else {}
            return Answer(200, json.dumps({} if copy.broken == "answers" else answers).encode(), headers)
        return Answer(200, b"{}", headers)

    def measure(self) -> Mapping[str, Measures]:
        return {}

    def why(self) -> tuple[Why, ...]:
        return ()

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        for name in sorted(self._service.copies):
            if release in ("", name):
                yield LogLine(f"copy-{name}", name, "ready")

    def _live_copy(self) -> Copy | None:
        service = self._world.services.get(self._key, Service())
        return service.copies.get(service.live)

    def _staged_copy(self) -> Copy | None:
        service = self._world.services.get(self._key, Service())
        staged = [copy for copy in service.copies.values() if copy.staged]
        return staged[-1] if staged else self._live_copy()

    def _deliver(self, action: Action, deployment: Deployment) -> Outcome:
        self._service.kept[action.release] = deployment.release
        return Outcome()

    def _stage(self, action: Action, deployment: Deployment) -> Outcome:
        fault = self._world.faults.get("stage", "")
        if action.release not in self._service.copies:
            self._service.copies[action.release] = Copy(deployment.release, True, fault)
        if fault == "crash":
            return Outcome(False, "the copy ended with exit code 1", ("loading model", "killed"))
        return Outcome()

    def _shift(self, action: Action, deployment: Deployment) -> Outcome:
        service = self._service
        copy = service.copies[action.release]
        copy.staged = False
        copy.broken = copy.broken or self._world.faults.get("shift", "")
        service.live = action.release
        if action.before != action.release:
            service.copies.pop(action.before, None)
        return Outcome()

    def _restore(self, action: Action, deployment: Deployment) -> Outcome:
        service = self._service
        service.copies.pop(action.release, None)
        service.live = action.before
        if action.before:
            service.copies[action.before] = Copy(service.kept[action.before], False)
        return Outcome()

    def _discard(self, action: Action, deployment: Deployment) -> Outcome:
        self._service.copies.pop(action.release, None)
        history = self._records.read()
        if not history or all(release.id != action.release for release in history.releases):
            self._service.kept.pop(action.release, None)
        return Outcome()

    def _retire(self, action: Action, deployment: Deployment | None) -> Outcome:
        for name in action.subjects:
            self._service.kept.pop(name, None)
        return Outcome()

    def _operate(self, action: Action, deployment: Deployment) -> Outcome:
        return Outcome()

    def _destroy(self, action: Action, deployment: Deployment | None) -> Outcome:
        self._world.services.pop(self._key, None)
        return Outcome()
