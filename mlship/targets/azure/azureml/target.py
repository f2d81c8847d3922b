"""The service `azureml`: a managed online endpoint of Azure Machine Learning."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.oci.layout import Layout
from mlship.oci.registry.push_variant import PushVariant
from mlship.releases.history import History
from mlship.targets.azure import vault
from mlship.targets.azure.azureml import logs, measuring, preflight, seen
from mlship.targets.azure.azureml.asking import Caller
from mlship.targets.azure.azureml.rendering import render
from mlship.targets.azure.azureml.seen import Placed, Seen
from mlship.targets.azure.azureml.site import Site, site_of
from mlship.targets.azure.azureml.steps import Steps
from mlship.targets.azure.caller_azureml import PUSH
from mlship.targets.azure.door import Door
from mlship.targets.azure.features import FEATURES
from mlship.targets.azure.keeping import records_of
from mlship.targets.azure.preflight import guard
from mlship.targets.azure.records import BlobRecords
from mlship.targets.azure.resources import resources
from mlship.targets.azure.scope import ENV, PROJECT, Scope
from mlship.targets.azure.waiting import Waiting
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
RESOURCES_API = "2021-04-01"
KIND = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"


class AzureMlTarget:
    """Implements targets.base.Target, PinsSecrets and OneOfSeveral for one project in one environment."""

    name = "azure"
    service = "azureml"

    def __init__(self, opening: Opening, door: Door, sleep: Callable[[float], None] = time.sleep) -> None:
        self._opening = opening
        self._door = door
        self._waiting = Waiting(opening.clock, sleep)
        self._scope = Scope(opening.project, opening.environment)
        self._records = records_of(opening, door)
        self._made: dict[str, Any] = {}

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        return FEATURES

    @property
    def push(self) -> Mapping[str, PushVariant]:
        return {"azureml": PUSH}

    @property
    def records(self) -> BlobRecords:
        return self._records

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        return render(deployment)

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        return resources(deployment)

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        found = preflight.findings(self._door, self._scope, deployment, self._opening.environ)
        wrong = any(one.severity == "error" for one in found)
        return found if wrong else (*found, *self._steps.without_image(deployment))

    def pinned(self, references: Mapping[str, str]) -> Mapping[str, str]:
        return vault.pinned(self._door, references, {})

    def observe(self) -> Observed:
        history = self._records.read()
        generation = history.generation if history else 0
        if not self._settings(history).get("workspace"):
            return Observed(history, fingerprint=_fingerprint([generation]))
        present = self._look()
        known = seen.versions(self._door, self._scope, self._site)
        if present is None:
            return Observed(history, restorable=frozenset(known), fingerprint=_fingerprint([generation, sorted(known)]))
        releases = frozenset(release.id for release in (history.releases if history else ()))
        told = [
            generation,
            sorted(present.traffic.items()),
            sorted(present.mirror.items()),
            sorted((one.release, one.state) for one in present.placed.values()),
            sorted(known),
        ]
        return Observed(
            history=history,
            endpoint=present.address if present.live else "",
            serving=self._serving(present),
            replicas=present.replicas,
            restorable=frozenset(known),
            lost=dict.fromkeys(releases - set(known), "its version of the environment is not in the workspace any more"),
            repair=_repair(history, present),
            notes=_notes(present),
            fingerprint=_fingerprint(told),
            weights=present.shares,
        )

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        """What Azure refuses is an outcome, and the target's fault."""
        self._made.pop("seen", None)
        try:
            self._records.confirm()
            if deployment is not None:
                guard(self._door, deployment, self._opening.environ)
            return self._apply(action, deployment)
        except MlshipError as error:
            return of_target(error)

    def ask(self, request: Request) -> Answer:
        """Where the endpoint is known already, it is not looked for again to ask it for whom its callers or a name would get."""
        known = self._made.get("seen") if request.replica or request.of == "live" else None
        present = known or self._look()
        if present is None:
            return Answer(0, b"nothing is running")
        release = request.replica
        if not release and request.of == "staged":
            release = present.staged or present.live
        if not release and not present.live:
            return Answer(0, b"nothing is running")
        return self._caller.ask(present, request, release)

    def measure(self) -> Mapping[str, Measures]:
        present = self._look()
        return measuring.measured(self._door, self._site, present, self._opening.clock()) if present else {}

    def why(self) -> tuple[Why, ...]:
        present = self._look()
        return tuple(self._why(one) for one in present.placed.values()) if present else ()

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        def releases() -> list[str]:
            present = self._look()
            return [name for name in (present.placed if present else ()) if release in ("", name)]

        return logs.lines_of(self._door, self._site, releases, lines, follow, self._waiting)

    def _apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        if action.kind == "retire":
            history = self._records.read()
            going = frozenset(action.subjects)
            left = history.releases if history else ()
            kept = frozenset(release.served.content for release in left if release.id not in going)
            return self._steps.retire(action.subjects, kept, self._settings(history))
        if action.kind == "destroy":
            return self._destroy()
        assert deployment is not None, f"{action.kind} has a deployment"
        if action.kind == "discard":
            return self._discard(action.release, deployment)
        if action.kind == "deliver":
            return self._steps.deliver(deployment)
        if action.kind == "stage":
            return self._steps.stage(action, deployment)
        if action.kind == "mirror":
            return self._steps.mirror(action, deployment)
        if action.kind == "weigh":
            return self._steps.weigh(action, deployment)
        if action.kind == "shift":
            return self._steps.shift(action, deployment)
        if action.kind == "restore":
            return self._steps.restore(action, deployment)
        return self._steps.operate(deployment)

    def _discard(self, release: str, deployment: Deployment) -> Outcome:
        """A release that was never committed leaves nothing that could be served again."""
        gone = self._steps.discard(release, deployment)
        history = self._records.read()
        if gone.ok and (history is None or all(known.id != release for known in history.releases)):
            kept = frozenset(one.served.content for one in (history.releases if history else ()))
            return self._steps.retire((release,), kept, deployment.settings)
        return gone

    def _destroy(self) -> Outcome:
        history = self._records.read()
        settings = self._settings(history)
        gone = self._steps.destroy(settings) if settings.get("workspace") else Outcome()
        if gone.ok and history is not None:
            self._records.destroy()
        return gone

    def _why(self, one: Placed) -> Why:
        log = tuple(line.text for line in self.logs(one.release, LOG_LINES))
        return Why(one.release, one.release, one.state.lower(), log=log)

    def _serving(self, present: Seen) -> str:
        """As it says itself; where two releases share the callers, the one that most of them reach."""
        if not present.live:
            return ""
        release = present.live if len(present.shares) > 1 else ""
        return said_release(self._caller.ask(present, Request("GET", "/mlship/release"), release))

    def _settings(self, history: History | None) -> Mapping[str, Any]:
        """Of mlship.yaml; where there is none, of the records."""
        said = self._opening.settings
        return said if said.get("workspace") else (history.operating.get("settings") or {}) if history else said

    @property
    def _site(self) -> Site:
        if "site" not in self._made:
            settings = self._settings(None if self._opening.settings.get("workspace") else self._records.read())
            self._made["site"] = site_of(self._scope, settings, self._door.subscription)
        site: Site = self._made["site"]
        return site

    @property
    def _caller(self) -> Caller:
        if "caller" not in self._made:
            self._made["caller"] = Caller(self._door, self._site)
        caller: Caller = self._made["caller"]
        return caller

    @property
    def _steps(self) -> Steps:
        if "steps" not in self._made:
            opening = self._opening
            layout = Layout(opening.home.images)
            self._made["steps"] = Steps(
                *(self._door, self._scope, self._site, layout, opening.environ, opening.progress, self._waiting),
                self._records.confirm,
                self._caller,
                self._records.read,
            )
        steps: Steps = self._made["steps"]
        return steps

    def _look(self) -> Seen | None:
        found = seen.look(self._door, self._scope, self._site)
        self._made["seen"] = found
        return found


def open_service(opening: Opening, door: Door) -> AzureMlTarget:
    return AzureMlTarget(opening, door)


def services(opening: Opening, door: Door) -> tuple[ServiceRow, ...]:
    """Every project that has an endpoint of Azure ML in the subscription."""
    return tuple(_rows(door))


def _rows(door: Door) -> Iterator[ServiceRow]:
    asked = {"$filter": f"resourceType eq '{KIND}'"}
    for one in door.all(f"/subscriptions/{door.subscription}/resources", RESOURCES_API, **asked):
        tags: Mapping[str, str] = one.get("tags") or {}
        if tags.get(PROJECT):
            scope = Scope(tags[PROJECT], tags.get(ENV, ""))
            workspace, _, _ = str(one["id"]).partition("/onlineEndpoints/")
            present = seen.look(door, scope, site_of(scope, {"workspace": workspace}, door.subscription))
            if present is not None:
                placed = present.placed.get(present.live)
                ready = bool(placed and placed.is_ready)
                yield ServiceRow(scope.project, scope.environment, "azure", present.live, present.address, ready)


def _repair(history: History | None, present: Seen) -> str:
    """Why the live release has to be put in service again although something answers."""
    if history is None or not history.live or history.underway is not None:
        return ""
    placed = present.placed.get(history.live)
    if placed is None:
        return "its deployment is not there"
    if not placed.is_ready:
        return f"its deployment is {placed.state}"
    if placed.environment and placed.environment != history.live:
        return f"its deployment runs {placed.environment}"
    return "the endpoint leads callers elsewhere, too" if present.shares.get(history.live, 0.0) < 1 else ""


def _notes(present: Seen) -> tuple[str, ...]:
    return tuple(f"{share} % of the requests are copied to {release}" for release, share in present.mirror.items() if share)


def _fingerprint(told: list[Any]) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
