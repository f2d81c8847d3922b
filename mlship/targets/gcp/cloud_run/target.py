"""The service `cloud-run`: one service, a revision for each release."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.oci.layout import Layout
from mlship.oci.registry.push_variant import PushVariant
from mlship.releases.history import History
from mlship.targets.asked import asked
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
from mlship.targets.gcp.caller_cloud_run import PUSH
from mlship.targets.gcp.cloud_run import checks, seen
from mlship.targets.gcp.cloud_run.asking import ask
from mlship.targets.gcp.cloud_run.logs import lines_of
from mlship.targets.gcp.cloud_run.measuring import measures_of
from mlship.targets.gcp.cloud_run.operator_key import OperatorKey
from mlship.targets.gcp.cloud_run.rendering import render
from mlship.targets.gcp.cloud_run.seen import Seen
from mlship.targets.gcp.cloud_run.steps import Steps
from mlship.targets.gcp.delivery import Images
from mlship.targets.gcp.door import UNIDENTIFIED, Door, Refused
from mlship.targets.gcp.features import FEATURES
from mlship.targets.gcp.records import StorageRecords, records_of
from mlship.targets.gcp.resources import resources
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.secret_versions import pinned
from mlship.targets.gcp.waiting import POLL_S, Waiting
from mlship.targets.verify import said_release

LOG_LINES = 8
START_S = 60.0  # of an instance, for the first caller after a while without any


class CloudRunTarget:
    """Implements targets.base.Target, PinsSecrets, JudgesImages and OneOfSeveral for one project in one environment."""

    name = "gcp"
    service = "cloud-run"

    def __init__(self, opening: Opening, door: Door, poll_s: float = POLL_S) -> None:
        self._opening = opening
        self._door = door
        self._waiting = Waiting(opening.clock, time.sleep, poll_s)
        self._scope = Scope(opening.project, opening.environment)
        self._records = records_of(opening, door)
        self._operator = OperatorKey(door, self._scope)

    @functools.cached_property
    def _steps(self) -> Steps:
        opening, door = self._opening, self._door
        repository, layout = str(self._setting("repository")), Layout(opening.home.images)
        form = (self._waiting, PUSH, opening.derive)
        images = Images(door, self._scope, repository, layout, opening.environ, opening.progress, *form)
        return Steps(door, self._scope, images, self._waiting, self._operator)

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        return FEATURES

    @property
    def push(self) -> Mapping[str, PushVariant]:
        return {"cloud-run": PUSH}

    @property
    def records(self) -> StorageRecords:
        return self._records

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        return render(deployment)

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        return resources(deployment)

    def pinned(self, references: Mapping[str, str]) -> Mapping[str, str]:
        return pinned(self._door, references)

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        common = preflight.findings(self._door, deployment, checks.needs(deployment))
        return (*common, *checks.findings(self._door, self._scope, deployment))

    def findings_of_image(self, deployment: Deployment) -> tuple[Finding, ...]:
        """Which release it is is known once its image is."""
        return tuple(checks.restorable(self._door, self._scope, deployment, self._records.read()))

    def observe(self) -> Observed:
        history = self._records.read()
        present = seen.look(self._door, self._scope)
        generation = history.generation if history else 0
        if present is None:
            return Observed(history, fingerprint=_fingerprint([generation]))
        ready = frozenset(one.release for one in present.revisions.values() if one.is_ready)
        known = frozenset(release.id for release in (history.releases if history else ()))
        told = [generation, present.generation, sorted(present.percents.items()), sorted(ready)]
        serving, notes = self._serving(present)
        return Observed(
            history=history,
            endpoint=present.uri,
            serving=serving,
            notes=notes,
            replicas=seen.replicas(present),
            restorable=ready,
            lost={release: _lost(present, release) for release in sorted(known - ready)},
            repair=_repair(history, present),
            fingerprint=_fingerprint(told),
            weights=present.weights,
        )

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        """What Google Cloud refuses is an outcome, and the target's fault."""
        try:
            self._records.confirm()
            if deployment is not None:
                preflight.guard(self._door, deployment)
            return self._apply(action, deployment)
        except MlshipError as error:
            return of_target(error)

    def ask(self, request: Request) -> Answer:
        present = seen.look(self._door, self._scope)
        if present is None:
            return Answer(0, b"nothing is running")
        share = present.share_of(request.replica) if request.replica else None
        if share is None and request.of == "staged":
            share = present.staged or present.live
        if request.replica and share is None:
            return Answer(0, f"Cloud Run leads nobody to {request.replica}".encode())
        return self._asked(present, (share.uri if share else "") or present.uri, request)

    def measure(self) -> Mapping[str, Measures]:
        """As Cloud Monitoring has counted, which is some minutes behind."""
        present = seen.look(self._door, self._scope)
        return measures_of(self._door, self._scope, present, self._opening.clock()) if present else {}

    def why(self) -> tuple[Why, ...]:
        present = seen.look(self._door, self._scope)
        if present is None:
            return ()
        met = {share.revision for share in present.shares} | {present.latest}
        return tuple(self._why(one) for one in present.revisions.values() if one.name in met)

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        return lines_of(self._door, self._scope, release, lines, follow, self._waiting)

    def _apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        if action.kind == "retire":
            return self._retire()
        if action.kind == "destroy":
            gone = self._steps.destroy()
            if gone.ok:
                self._records.destroy()
            return gone
        assert deployment is not None, f"{action.kind} has a deployment"
        if action.kind == "discard":
            history = self._records.read()
            return self._steps.discard(action.release, history.live if history else "")
        if action.kind == "operate":
            return self._steps.operate(deployment)
        steps = {
            "deliver": lambda: self._steps.deliver(deployment),
            "stage": lambda: self._steps.stage(action, deployment),
            "weigh": lambda: self._steps.weigh(action, deployment),
            "shift": lambda: self._steps.shift(action, deployment),
            "restore": lambda: self._steps.restore(action, self._as_before(deployment)),
        }
        return steps[action.kind]()

    def _as_before(self, deployment: Deployment) -> Deployment:
        """Operated as the records say: what was shifted may have brought other instances, labels and callers with it."""
        history = self._records.read()
        if history is None or not history.live:
            return deployment
        said = history.operating
        replicas = said.get("replicas") or {}
        least, most = deployment.replicas
        return replace(
            deployment,
            operating=said,
            labels=said.get("labels") or {},
            settings=said.get("settings") or deployment.settings,
            replicas=(replicas.get("min", least), replicas.get("max", most)),
        )

    def _retire(self) -> Outcome:
        history = self._records.read()
        releases = [*history.releases, *([history.underway.release] if history.underway else ())] if history else []
        kept = frozenset(release.id for release in releases)
        return self._steps.retire(kept, frozenset(release.served.content for release in releases))

    def _why(self, one: seen.Revision) -> Why:
        try:
            log = tuple(line.text for line in self.logs(one.release, LOG_LINES))
        except Refused as no:  # who may not read lines is told the rest all the same
            log = (no.what,)
        state = "ready" if one.is_ready else _together(one.reason.lower() or one.state.lower(), one.message)
        return Why(one.release, one.release, state, log=log)  # as its replica is named

    def _serving(self, present: Seen) -> tuple[str, tuple[str, ...]]:
        """As it says itself; where two releases share the callers, the one that most of them reach.

        Who has no way to ask is told what Google says, and that nobody was asked: nothing is changed on the strength of that.
        """
        live = present.live
        if live is None:
            return "", ()
        address = live.uri if len(present.weights) > 1 and live.uri else present.uri
        try:
            return said_release(self._asked(present, address, Request("GET", "/mlship/release"))), ()
        except MlshipError as error:
            if error.code != UNIDENTIFIED:
                raise
            return live.release, (
                f"the server was not asked, Google says that callers are led to {live.release}: {error.what}",
            )

    def _asked(self, present: Seen, address: str, request: Request) -> Answer:
        """A tag's callers say the service's own address in their token ("Authenticating service-to-service").

        Whoever asks may be the one for whom an instance starts.
        """
        request = replace(request, timeout_s=request.timeout_s + START_S)
        if present.is_public:
            return asked(lambda sent: ask(address, sent, None), request, self._operator.value)
        token = self._door.identity_token(present.uri, str(self._setting("service_account")))
        return asked(lambda sent: ask(address, sent, token), request, self._operator.value)

    def _setting(self, name: str) -> Any:
        """Where there is no YAML the records say it."""
        if name in self._opening.settings:
            return self._opening.settings[name] or ""
        history = self._records.read()
        return ((history.operating.get("settings") if history else None) or {}).get(name) or ""


def open_service(opening: Opening, door: Door) -> CloudRunTarget:
    return CloudRunTarget(opening, door)


def _together(reason: str, message: str) -> str:
    return f"{reason}: {message}" if message else reason


def _lost(present: Seen, release: str) -> str:
    revision = present.of(release)
    return "its revision is not there any more" if revision is None else f"its revision is not ready: {revision.message}"


def _repair(history: History | None, present: Seen) -> str:
    """Why the live release has to be put in service again although something answers."""
    if history is None or not history.live or history.underway is not None:
        return ""
    share = present.weights.get(history.live, 0.0)
    if share < 1:
        return f"{share:.0%} of the callers reach {history.live}, and not all"
    revision = present.of(history.live)
    return "" if revision is not None and revision.is_ready else "its revision is not ready"


def _fingerprint(told: list[Any]) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
