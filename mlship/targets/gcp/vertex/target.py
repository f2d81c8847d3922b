"""The service `vertex`: one endpoint, a version of the model and its deployed models for each release."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.oci.layout import Layout
from mlship.oci.registry.push_variant import PushVariant
from mlship.releases.history import History
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
    Request,
    Resource,
    Why,
)
from mlship.targets.failing import of_target
from mlship.targets.gcp import preflight
from mlship.targets.gcp.caller_vertex import PUSH
from mlship.targets.gcp.delivery import Images
from mlship.targets.gcp.door import Door, Refused
from mlship.targets.gcp.features import FEATURES
from mlship.targets.gcp.records import StorageRecords, records_of
from mlship.targets.gcp.resources import resources
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.vertex import checks, seen
from mlship.targets.gcp.vertex.asking import ANSWERED_BY, ask, ask_one
from mlship.targets.gcp.vertex.bodies import WHOLE
from mlship.targets.gcp.vertex.logs import lines_of
from mlship.targets.gcp.vertex.measuring import measures_of
from mlship.targets.gcp.vertex.operations import Operations
from mlship.targets.gcp.vertex.rendering import render
from mlship.targets.gcp.vertex.seen import PROVING, Endpoint, Seen
from mlship.targets.gcp.vertex.steps import Steps
from mlship.targets.gcp.waiting import Waiting
from mlship.targets.verify import said_release

LOG_LINES = 8
POLL_S = 10.0  # a machine takes minutes
RELEASE = "x-mlship-release"


class VertexTarget:
    """Implements targets.base.Target and OneOfSeveral for one project in one environment."""

    name = "gcp"
    service = "vertex"

    def __init__(self, opening: Opening, door: Door, poll_s: float = POLL_S) -> None:
        self._opening = opening
        self._door = door
        self._waiting = Waiting(opening.clock, time.sleep, poll_s)
        self._scope = Scope(opening.project, opening.environment)
        self._records = records_of(opening, door)

    @functools.cached_property
    def _steps(self) -> Steps:
        opening, door = self._opening, self._door
        repository, layout = str(self._setting("repository")), Layout(opening.home.images)
        form = (self._waiting, PUSH, opening.derive)
        images = Images(door, self._scope, repository, layout, opening.environ, opening.progress, *form)
        return Steps(door, self._scope, images, Operations(door, self._waiting))

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        return FEATURES

    @property
    def push(self) -> Mapping[str, PushVariant]:
        return {"vertex": PUSH}

    @property
    def records(self) -> StorageRecords:
        return self._records

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        return render(deployment)

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        return resources(deployment)

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        common = preflight.findings(self._door, deployment, checks.needs(deployment))
        return (*common, *checks.findings(self._door, self._scope, deployment, self._records.read()))

    def observe(self) -> Observed:
        history = self._records.read()
        present = seen.look(self._door, self._scope)
        versions = frozenset(seen.versions(self._door, self._scope))
        known = frozenset(release.id for release in (history.releases if history else ()))
        told: list[Any] = [history.generation if history else 0, sorted(versions)]
        common = Observed(
            history, restorable=versions, lost=dict.fromkeys(known - versions, "the model has no version of it any more")
        )
        if present is None:
            return replace(common, fingerprint=_fingerprint(told))
        told += [
            [(one.name, one.id, one.replicas) for one in part.deployed] for part in (present.callers, present.proof) if part
        ]
        return replace(
            common,
            endpoint=self._url(present.callers) + ":predict",
            serving=self._serving(present),
            replicas=present.replicas,
            notes=tuple(f"{one.name} has no machine: {one.message}" for one in present.callers.deployed if one.is_gone),
            fingerprint=_fingerprint([*told, sorted(present.callers.split.items())]),
            repair=_repair(history, present),
            weights=present.callers.weights,
        )

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        """What Google Cloud refuses is an outcome, and the target's fault."""
        try:
            self._records.confirm()
            return self._apply(action, deployment)
        except MlshipError as error:
            return of_target(error)

    def ask(self, request: Request) -> Answer:
        present = seen.look(self._door, self._scope)
        if present is None or not present.callers.deployed:
            return Answer(0, b"nothing is running")
        if request.replica:
            return self._asked_one(present, request)
        proof = present.proof
        if request.of == "staged" and proof is not None and proof.live:
            return self._asked_one(present, replace(request, replica=PROVING + proof.of(proof.live)[0].id))
        return _named(ask(self._door, self._url(present.callers), request), present.callers)

    def measure(self) -> Mapping[str, Measures]:
        """As Cloud Monitoring has counted, which is some minutes behind."""
        present = seen.look(self._door, self._scope)
        return measures_of(self._door, self._scope, present.callers, self._opening.clock()) if present else {}

    def why(self) -> tuple[Why, ...]:
        present = seen.look(self._door, self._scope)
        if present is None:
            return ()
        proving = present.proof.deployed if present.proof else ()
        return (
            *(self._why(one) for one in present.callers.deployed),
            *(self._why(one, PROVING) for one in proving),
        )

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        present = seen.look(self._door, self._scope)
        return lines_of(self._door, self._scope, present, release, lines, follow, self._waiting)

    def _apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        if action.kind == "retire":
            running, kept = self._committed()
            return self._steps.retire(running, kept)
        if action.kind == "destroy":
            gone = self._steps.destroy()
            if gone.ok:
                self._records.destroy()
            return gone
        assert deployment is not None, f"{action.kind} has a deployment"
        preflight.guard(self._door, deployment)
        steps: Mapping[str, Callable[[], Outcome]] = {
            "deliver": lambda: self._steps.deliver(deployment),
            "stage": lambda: self._steps.stage(action, deployment),
            "weigh": lambda: self._steps.weigh(action, deployment),
            "shift": lambda: self._steps.shift(action, deployment),
            "restore": lambda: self._steps.restore(action, deployment),
            "discard": lambda: self._discard(action.release),
            "operate": lambda: self._steps.operate(deployment),
        }
        return steps[action.kind]()

    def _discard(self, release: str) -> Outcome:
        """A release that was never committed leaves nothing that could be served again."""
        history, (_, kept) = self._records.read(), self._committed()
        gone = self._steps.discard(release, history.live if history else "")
        return self._steps.forget(kept) if gone.ok and release not in kept else gone

    def _committed(self) -> tuple[frozenset[str], dict[str, str]]:
        """Releases that keep their machines; and release -> content of all that stay."""
        history = self._records.read()
        if history is None:
            return frozenset(), {}
        under_way = [history.underway.release] if history.underway else []
        kept = {release.id: release.served.content for release in (*history.releases, *under_way)}
        return frozenset({history.live, *(release.id for release in under_way)}), kept

    def _why(self, one: seen.Deployed, prefix: str = "") -> Why:
        """prefix: with which its replica's name begins."""
        try:
            log = tuple(line.text for line in self.logs(one.release, LOG_LINES))
        except Refused as no:  # who may not read lines is told the rest all the same
            log = (no.what,)
        state = "no machine" if one.is_gone else "deployed"
        return Why(prefix + one.id, one.release, f"{state}: {one.message}" if one.message else state, log=log)

    def _serving(self, present: Seen) -> str:
        """As it says itself; where two releases share the callers, the one that most of them reach."""
        live = present.callers.of(present.callers.live)
        if not live:
            return ""
        request = Request("GET", "/mlship/release")
        if len(present.callers.weights) > 1:
            most = max(live, key=lambda one: present.callers.split.get(one.id, 0))
            return said_release(self._asked_one(present, replace(request, replica=most.id)))
        return said_release(ask(self._door, self._url(present.callers), request))

    def _asked_one(self, present: Seen, request: Request) -> Answer:
        at = present.proof if request.replica.startswith(PROVING) else present.callers
        id = request.replica.removeprefix(PROVING)
        share = at.split.get(id, 0) / WHOLE if at else 0.0
        if at is None or not share:
            return Answer(0, f"nobody is led to {request.replica}, and Vertex AI asks nothing else".encode())
        return _named(ask_one(self._door, self._url(at), request, id, share), at)

    def _setting(self, name: str) -> Any:
        """Where there is no YAML the records say it."""
        if name in self._opening.settings:
            return self._opening.settings[name] or ""
        history = self._records.read()
        return ((history.operating.get("settings") if history else None) or {}).get(name) or ""

    def _url(self, endpoint: Endpoint) -> str:
        return f"https://{self._door.region}-aiplatform.googleapis.com/v1/{endpoint.name}"


def open_service(opening: Opening, door: Door) -> VertexTarget:
    return VertexTarget(opening, door)


def _named(answer: Answer, endpoint: Endpoint) -> Answer:
    """With the release that Vertex AI says has answered: the server's own word is compared with it."""
    by = endpoint.find(answer.headers.get(ANSWERED_BY, ""))
    return replace(answer, headers={**answer.headers, RELEASE: by.release}) if by else answer


def _repair(history: History | None, present: Seen) -> str:
    """Why the live release has to be put in service again although something answers."""
    if history is None or not history.live or history.underway is not None:
        return ""
    callers = present.callers
    if not callers.of(history.live):
        return "the endpoint has no deployed model of it"
    if callers.share_of(history.live) < WHOLE:
        return f"{callers.share_of(history.live)}% of the callers reach {history.live}, and not all"
    if dict(callers.split) == seen.split_of({history.live: WHOLE}, callers):
        return ""
    if any(True for _ in seen.without_machines(callers)):
        return "callers go to a deployed model that has no machine"
    return "callers are not shared by the machines that there are now"


def _fingerprint(told: list[Any]) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
