"""A target in memory, for rehearsals, documentation and tests: everything happens, nothing leaves this process.

It obeys the same interface and contract suite as the real ones. `World.faults` makes it fail where a test wants it to.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from mlship.errors import Exit, Finding
from mlship.oci.registry.push_variant import PushVariant
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
    PriceKey,
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
        "scale.replicas": Feature("native", "so many pretended copies"),
        "scale": Feature("absent", "a rehearsal has no load to follow", "target docker"),
        "rollout": Feature("native"),
        "canary": Feature("native"),
        "blue-green": Feature("native"),
        "rolling": Feature("native"),
        "recreate": Feature("native"),
        "spot": Feature("absent", "memory has no market", "target aws"),
    }
}


@dataclass
class Copy:
    """A pretended server. broken: what it does wrong: `crash`, `lies` about its release, `answers` otherwise."""

    name: str
    release: Release
    broken: str = ""


@dataclass
class Service:
    """One project in one environment. shares: release id -> share of the callers. kept: releases whose image is there.

    mirror: release id -> share of the requests of which it gets a copy.
    """

    documents: list[bytes] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    kept: dict[str, Release] = field(default_factory=dict)
    mirror: dict[str, float] = field(default_factory=dict)
    lease: Lease | None = None

    @property
    def serving(self) -> str:
        """The release that most callers reach; empty when no copy of it runs."""
        most = max(self.shares, key=lambda release: self.shares[release], default="")
        return most if self.of(most) else ""

    def of(self, release: str) -> list[Copy]:
        return [copy for copy in self.copies if copy.release.id == release]

    def run(self, release: Release, count: int) -> None:
        """As many copies of the release as wanted; those that are there stay."""
        names = [f"copy-{release.id}-{number}" for number in range(1, count + 1)]
        there = {copy.name for copy in self.copies}
        self.copies += [Copy(name, release) for name in names if name not in there]

    def end(self, release: str) -> None:
        self.copies = [copy for copy in self.copies if copy.release.id != release]
        self.shares.pop(release, None)
        self.mirror.pop(release, None)


@dataclass
class World:
    """All services. done: actions, in order. measures: release id -> what its copies are said to have counted.

    faults: action kind -> how it fails: `refuses`, `crash`, `lies`, `answers`; `stage.2` is for the second copy only.
    """

    services: dict[tuple[str, str], Service] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    measures: dict[str, Measures] = field(default_factory=dict)
    done: list[Action] = field(default_factory=list)


WORLD = World()


def open_target(opening: Opening) -> FakeTarget:
    return FakeTarget(opening.project, opening.environment, WORLD)


def services(opening: Opening) -> tuple[ServiceRow, ...]:
    rows = []
    for (project, environment), service in sorted(WORLD.services.items()):
        rows.append(ServiceRow(project, environment, "fake", service.serving, "memory:", bool(service.serving)))
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

    def holder(self, now: float) -> str:
        lease = self._service.lease
        return lease.holder if lease is not None and lease.expires > now else ""

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
    def push(self) -> Mapping[str, PushVariant]:
        return {}

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
        """A pretended copy is billed like a small machine that everybody knows."""
        key = PriceKey("aws", "us-east-1", instance="m7g.medium")
        return (Resource("copy", "pretended m7g.medium", unit="hour", billed="scaled", price=key),)

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        return (Finding("preflight was refused"),) if self._world.faults.get("preflight") == "refuses" else ()

    def observe(self) -> Observed:
        history = self._records.read()
        service = self._seen
        replicas = tuple(
            Replica(copy.name, copy.release.id, copy.broken != "crash", staged=not service.shares.get(copy.release.id))
            for copy in sorted(service.copies, key=lambda copy: copy.name)
        )
        serving = service.serving
        seen = [
            history.generation if history else 0,
            service.shares,
            service.mirror,
            [asdict(replica) for replica in replicas],
            sorted(service.kept),
        ]
        return Observed(
            history,
            "memory:" if serving else "",
            serving,
            replicas,
            frozenset(service.kept),
            fingerprint=hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest(),
            weights=dict(service.shares),
        )

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        try:
            self._records.confirm()
        except LeaseLost as lost:
            return Outcome(False, lost.what, fault="target")
        self._world.done.append(action)
        if self._world.faults.get(action.kind) == "refuses":
            return Outcome(False, f"{action.kind} was refused", fault="target")
        if self._world.faults.get(action.kind) == "denies":
            return Outcome(False, f"{action.kind} was denied", fault="target", exit=Exit.DENIED)
        return getattr(self, f"_{action.kind}")(action, deployment)  # type: ignore[no-any-return]

    def ask(self, request: Request) -> Answer:
        copy = self._asked(request)
        if copy is None or copy.broken == "crash":
            return Answer(0, b"connection refused")
        said = "r0-000000" if copy.broken == "lies" else copy.release.id
        headers = {"x-mlship-release": said}
        if request.path == "/mlship/release":
            return Answer(200, json.dumps({"release": said}).encode(), headers)
        if request.path.startswith("/predict"):
            named = request.path.removeprefix("/predict").removeprefix("/")
            proof = copy.release.proofs.get(named, next(iter(copy.release.proofs.values()), None))
            answers = dict(proof.answers) if proof else {}
            return Answer(200, json.dumps({} if copy.broken == "answers" else answers).encode(), headers)
        return Answer(200, b"{}", headers)

    def measure(self) -> Mapping[str, Measures]:
        running = {copy.release.id for copy in self._seen.copies}
        return {release: self._world.measures.get(release, Measures()) for release in sorted(running)}

    def why(self) -> tuple[Why, ...]:
        return tuple(_why(copy) for copy in self._seen.copies)

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        for copy in self._seen.copies:
            if release in ("", copy.release.id):
                yield LogLine(copy.name, copy.release.id, "ready")

    @property
    def _seen(self) -> Service:
        """The service as it is; looking at it does not make one."""
        return self._world.services.get(self._key, Service())

    def _asked(self, request: Request) -> Copy | None:
        service = self._seen
        if request.replica:
            return next((copy for copy in service.copies if copy.name == request.replica), None)
        live = next(iter(service.of(service.serving)), None)
        staged = [copy for copy in service.copies if not service.shares.get(copy.release.id)]
        return staged[-1] if request.of == "staged" and staged else live

    def _deliver(self, action: Action, deployment: Deployment) -> Outcome:
        self._service.kept[action.release] = deployment.release
        return Outcome()

    def _stage(self, action: Action, deployment: Deployment) -> Outcome:
        service, fault = self._service, self._world.faults.get("stage", "")
        if deployment.strategy.name == "recreate" and action.before != action.release:
            service.end(action.before)
        there = {copy.name for copy in service.of(action.release)}
        service.run(deployment.release, deployment.replicas[0])
        for number, copy in enumerate(service.of(action.release), 1):
            if copy.name not in there:
                copy.broken = fault or self._world.faults.get(f"stage.{number}", "")
        if fault == "crash":
            return Outcome(False, "the copy ended with exit code 1", ("loading model", "killed"))
        return Outcome()

    def _mirror(self, action: Action, deployment: Deployment) -> Outcome:
        self._service.shares, self._service.mirror = {action.before: 1.0}, {action.release: action.share}
        return Outcome()

    def _weigh(self, action: Action, deployment: Deployment) -> Outcome:
        self._service.mirror = {}
        self._service.shares = {action.before: 1 - action.share, action.release: action.share}
        return Outcome()

    def _shift(self, action: Action, deployment: Deployment) -> Outcome:
        service = self._service
        service.shares, service.mirror = {action.release: 1.0}, {}
        for copy in service.of(action.release):
            copy.broken = copy.broken or self._world.faults.get("shift", "")
        if action.before != action.release:
            service.end(action.before)
        return Outcome()

    def _restore(self, action: Action, deployment: Deployment) -> Outcome:
        service = self._service
        service.end(action.release)
        if action.before:
            service.run(service.kept[action.before], deployment.replicas[0])
            service.shares = {action.before: 1.0}
        return Outcome()

    def _discard(self, action: Action, deployment: Deployment) -> Outcome:
        self._service.end(action.release)
        history = self._records.read()
        if not history or all(release.id != action.release for release in history.releases):
            self._service.kept.pop(action.release, None)
        return Outcome()

    def _retire(self, action: Action, deployment: Deployment | None) -> Outcome:
        for name in action.subjects:
            self._service.kept.pop(name, None)
        return Outcome()

    def _operate(self, action: Action, deployment: Deployment) -> Outcome:
        self._service.run(deployment.release, deployment.replicas[0])
        return Outcome()

    def _destroy(self, action: Action, deployment: Deployment | None) -> Outcome:
        self._world.services.pop(self._key, None)
        return Outcome()


def _why(copy: Copy) -> Why:
    if copy.broken == "crash":
        return Why(
            copy.name, copy.release.id, "ended", exit_code=1, probe="connection refused", log=("loading model", "killed")
        )
    return Why(copy.name, copy.release.id, "running", probe="200", log=("ready",))
