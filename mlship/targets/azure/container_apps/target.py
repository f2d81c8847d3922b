"""The service `container-apps`: an app with a revision for each release."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.oci.layout import Layout
from mlship.oci.registry.push_variant import PushVariant
from mlship.releases.history import History
from mlship.targets.azure import preflight as shared_preflight
from mlship.targets.azure import vault
from mlship.targets.azure.caller_container_apps import PUSH
from mlship.targets.azure.container_apps import app_secrets, listing, measuring, names, preflight, seen
from mlship.targets.azure.container_apps.asking import ask
from mlship.targets.azure.container_apps.logs import lines_of
from mlship.targets.azure.container_apps.releasing import LIVE, OPERATOR, STAGED
from mlship.targets.azure.container_apps.rendering import render
from mlship.targets.azure.container_apps.seen import Seen
from mlship.targets.azure.container_apps.steps import Steps
from mlship.targets.azure.door import Door
from mlship.targets.azure.features import FEATURES
from mlship.targets.azure.keeping import records_of, where_of
from mlship.targets.azure.records import BlobRecords
from mlship.targets.azure.resources import resources
from mlship.targets.azure.scope import Place, Scope
from mlship.targets.azure.waiting import POLL_S, Waiting
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
    ServiceRow,
    Why,
)
from mlship.targets.failing import of_target
from mlship.targets.verify import said_release

LOG_LINES = 8
ASLEEP = "no copy runs: nobody called lately; mlship verify asks it, and starts one"


class ContainerAppsTarget:
    """Implements targets.base.Target and PinsSecrets for one project in one environment."""

    name = "azure"
    service = "container-apps"

    def __init__(
        self, opening: Opening, door: Door, poll_s: float = POLL_S, knows: Callable[[str], bool] = names.is_known
    ) -> None:
        self._opening = opening
        self._door = door
        self._waiting = Waiting(opening.clock, time.sleep, poll_s)
        self._scope = Scope(opening.project, opening.environment)
        self._records = records_of(opening, door)
        layout = Layout(opening.home.images)
        self._steps = Steps(
            *(door, lambda: self._place, self._scope, layout, opening.environ, self._waiting, opening.progress, self._asked),
            *(knows, self._records.confirm),
        )
        self._keys: dict[str, str] = {}

    @functools.cached_property
    def _place(self) -> Place:
        return where_of(self._opening, self._door).place

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        return FEATURES

    @property
    def push(self) -> Mapping[str, PushVariant]:
        return {"container-apps": PUSH}

    @property
    def records(self) -> BlobRecords:
        return self._records

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        return render(deployment)

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        return resources(deployment)

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        found = preflight.findings(self._door, self._place, deployment, self._opening.environ)
        wrong = any(one.severity == "error" for one in found)
        return found if wrong else (*found, *self._steps.without_image(deployment))

    def pinned(self, references: Mapping[str, str]) -> Mapping[str, str]:
        return vault.pinned(self._door, references, {})

    def observe(self) -> Observed:
        history = self._records.read()
        present = self._look()
        if present is None:
            return Observed(history, fingerprint=_fingerprint([history.generation if history else 0]))
        known = frozenset(release.id for release in (history.releases if history else ()))
        broken = app_secrets.missing(present)
        there = frozenset(one.release for one in present.revisions) - set(broken)
        told = [
            history.generation if history else 0,
            sorted((one.suffix, one.active, one.weight, one.label) for one in present.revisions),
        ]
        is_asleep = present.live is not None and present.live.is_asleep
        return Observed(
            history=history,
            endpoint=f"https://{present.host}" if present.live else "",
            serving=present.live.release if is_asleep and present.live else self._serving(present),
            replicas=seen.replicas(present),
            restorable=known & there,
            lost={release: broken.get(release, "its revision is not there any more") for release in known - there},
            notes=(ASLEEP,) if is_asleep else (),
            repair=_repair(history, present),
            fingerprint=_fingerprint(told),
            weights=present.shares,
        )

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        """What Azure refuses is an outcome, and the target's fault."""
        try:
            self._records.confirm()
            if deployment is not None:
                shared_preflight.guard(self._door, deployment, self._opening.environ)
            return self._apply(action, deployment)
        except MlshipError as error:
            return of_target(error)

    def ask(self, request: Request) -> Answer:
        present = self._look()
        if present is None:
            return Answer(0, b"nothing is running")
        if request.replica:
            copies = (copy for one in present.revisions for copy in one.copies)
            revision = next((copy.revision for copy in copies if copy.name == request.replica), "")
            found = present.named(revision.removeprefix(f"{self._scope.short}--"))
            return self._asked(present, found.host, request) if found else Answer(0, b"no such copy is running")
        if request.of == "staged" and present.staged is not None:
            return self._asked(present, present.label_host(STAGED), request)
        if present.live is None:
            return Answer(0, b"nothing is running")
        return self._asked(present, present.host, request)

    def measure(self) -> Mapping[str, Measures]:
        present = self._look()
        return measuring.measured(self._door, present, self._opening.clock()) if present else {}

    def why(self) -> tuple[Why, ...]:
        present = self._look()
        if present is None:
            return ()
        found = []
        for one in present.revisions:
            for copy in one.copies:
                log = tuple(line.text for line in self.logs(one.release, LOG_LINES))
                probe = copy.detail or one.error
                found.append(Why(copy.name, one.release, copy.state.lower(), restarts=copy.restarts, probe=probe, log=log))
        return tuple(found)

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        return lines_of(self._door, self._look, release, lines, follow, self._waiting)

    def _apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        if action.kind == "retire":
            return self._steps.retire(action.subjects, self._kept())
        if action.kind == "destroy":
            gone = self._steps.destroy()
            if gone.ok:
                self._records.destroy()
            return gone
        assert deployment is not None, f"{action.kind} has a deployment"
        if action.kind == "discard":
            return self._discard(action.release)
        if action.kind == "deliver":
            return self._steps.deliver(deployment)
        if action.kind == "stage":
            return self._steps.stage(action, deployment)
        if action.kind == "weigh":
            return self._steps.weigh(action, deployment)
        if action.kind == "shift":
            return self._steps.shift(action, deployment)
        if action.kind == "restore":
            return self._steps.restore(action, deployment)
        return self._steps.operate(deployment)

    def _discard(self, release: str) -> Outcome:
        """A release that was never committed leaves nothing that could be served again."""
        gone = self._steps.discard(release)
        kept = self._kept()
        return self._steps.retire((release,), kept) if gone.ok and release not in kept else gone

    def _kept(self) -> frozenset[str]:
        history = self._records.read()
        return frozenset(release.id for release in history.releases) if history else frozenset()

    def _serving(self, present: Seen) -> str:
        """As it says itself; where two releases share the callers, the one that most of them reach."""
        if present.live is None:
            return ""
        host = present.label_host(LIVE) if len(present.shares) > 1 and present.live.label == LIVE else present.host
        return said_release(self._asked(present, host, Request("GET", "/mlship/release")))

    def _asked(self, present: Seen, host: str, request: Request) -> Answer:
        return ask(host, request, {} if request.key else self._authorization(present))

    def _authorization(self, present: Seen) -> dict[str, str]:
        """What opens the app to mlship: a token of Entra where Container Apps asks for one, or the operator's key."""
        if self._audience:
            return {"Authorization": f"Bearer {self._door.token(f'{self._audience}/.default')}"}
        if any(one.get("name") == OPERATOR for one in app_secrets.told(present)):
            if OPERATOR not in self._keys:
                self._keys[OPERATOR] = app_secrets.operator_key(self._door, present)
            return {"Authorization": f"Bearer {self._keys[OPERATOR]}"}
        return {}

    @functools.cached_property
    def _audience(self) -> str:
        """Of the tokens that callers need, empty where they need none; the records know it where there is no mlship.yaml."""
        settings: Mapping[str, Any] = self._opening.settings
        if "service" not in settings:
            history = self._records.read()
            settings = (history.operating.get("settings") if history else None) or {}
        entra = settings.get("entra") or {}
        return str(entra.get("audience") or f"api://{entra.get('client_id')}") if entra else ""

    def _look(self) -> Seen | None:
        return seen.look(self._door, self._place, self._scope)


def open_service(opening: Opening, door: Door) -> ContainerAppsTarget:
    return ContainerAppsTarget(opening, door)


def services(opening: Opening, door: Door) -> tuple[ServiceRow, ...]:
    return listing.services(opening, door)


def _repair(history: History | None, present: Seen) -> str:
    """Why the live release has to be put in service again although something answers."""
    if history is None or not history.live or history.underway is not None:
        return ""
    revision = present.of(history.live)
    if revision is None or not revision.active:
        return "its revision is not active"
    if revision.health == "Unhealthy":
        return "Azure finds its revision unhealthy"
    return "the app leads callers elsewhere, too" if present.shares.get(history.live, 0.0) < 1 else ""


def _fingerprint(told: list[Any]) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
