"""The service `lambda`: a function whose published versions are the releases."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from mlship.errors import Finding, FindingsError, MlshipError
from mlship.masks import learn
from mlship.oci.layout import Layout
from mlship.oci.registry.push_variant import PushVariant
from mlship.releases.history import History
from mlship.targets.asked import asked
from mlship.targets.aws import secrets
from mlship.targets.aws.caller_lambda import PUSH
from mlship.targets.aws.delivery import Images
from mlship.targets.aws.door import Door
from mlship.targets.aws.features import FEATURES
from mlship.targets.aws.given import given
from mlship.targets.aws.lambdas import preflight, seen
from mlship.targets.aws.lambdas.asking import invoked, of_version, through_url
from mlship.targets.aws.lambdas.logs import lines_of
from mlship.targets.aws.lambdas.measuring import measures
from mlship.targets.aws.lambdas.naming import function_name
from mlship.targets.aws.lambdas.rendering import render
from mlship.targets.aws.lambdas.seen import Seen
from mlship.targets.aws.lambdas.steps import Steps
from mlship.targets.aws.operated import as_before
from mlship.targets.aws.preflight import guard
from mlship.targets.aws.records import S3Records, records_of
from mlship.targets.aws.resources import resources
from mlship.targets.aws.scope import Scope
from mlship.targets.aws.stack import POLL_S, Waiting
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
    Why,
)
from mlship.targets.failing import of_target
from mlship.targets.verify import said_release

SERVICE = "lambda"
LOG_LINES = 8
NOTHING = Answer(0, b"nothing is running")


class LambdaTarget:
    """Implements targets.base.Target for one project in one environment."""

    name = "aws"
    service = SERVICE

    def __init__(self, opening: Opening, door: Door, poll_s: float = POLL_S) -> None:
        self._opening = opening
        self._door = door
        self._waiting = Waiting(opening.clock, time.sleep, poll_s)
        self._scope = Scope(opening.project, opening.environment)
        self._function = function_name(self._scope)
        self._records = records_of(opening, door, PUSH)
        self._images = Images(door, Layout(opening.home.images), opening.environ, opening.progress, PUSH, opening.derive)
        self._steps = Steps(door, self._scope, self._images, self._waiting, opening.progress)

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        return FEATURES

    @property
    def push(self) -> Mapping[str, PushVariant]:
        return {SERVICE: PUSH}

    @property
    def records(self) -> S3Records:
        return self._records

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        """Raises FindingsError for what no function can be."""
        wrong = [finding for finding in preflight.in_documents(deployment, given(deployment)) if finding.severity == "error"]
        if wrong:
            raise FindingsError(f"{deployment.project} cannot be rendered for aws", wrong, code="impossible")
        return render(deployment)

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        return resources(deployment)

    def findings_of_file(self, deployment: Deployment) -> tuple[Finding, ...]:
        return preflight.of_file(deployment)

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        return (*preflight.findings(self._door, deployment), *self._steps.stack_changes(deployment))

    def findings_of_image(self, deployment: Deployment) -> tuple[Finding, ...]:
        return tuple(preflight.of_image(deployment, self._image_bytes(deployment.release.served.content)))

    def observe(self) -> Observed:
        history = self._records.read()
        present = seen.look(self._door, self._scope)
        if present is None:
            return Observed(history, fingerprint=_fingerprint([history.generation if history else 0]))
        releases = present.releases
        self._records.must_know(history, releases)
        lost = self._lost(history, present)
        told = [
            history.generation if history else 0,
            sorted((release, version.number) for release, version in releases.items()),
            sorted(lost),
            sorted(present.live.shares.items()) if present.live else [],
            present.staged.version if present.staged else "",
            present.url,
        ]
        return Observed(
            history=history,
            endpoint=present.url,
            serving=self._serving(present),
            replicas=tuple(_replicas(present)),
            restorable=frozenset(releases) - frozenset(lost),
            lost=lost,
            repair=_repair(history, present) or self._unready(history, present),
            fingerprint=_fingerprint(told),
            weights=present.shares,
        )

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        """What AWS refuses is an outcome, and the target's fault; what it denies, quotas among it, is said by the exit code, too."""
        try:
            self._records.confirm()
            if deployment is not None:
                guard(self._door, deployment)
            return self._apply(action, deployment)
        except MlshipError as error:
            return of_target(error)

    def ask(self, request: Request) -> Answer:
        """Through the URL, as callers go; a version that is named, or staged, by an event of its own."""
        present = seen.look(self._door, self._scope)
        if present is None or not present.function:
            return NOTHING
        number = request.replica
        if not number and request.of == "staged":
            aimed = present.staged or present.live
            number = aimed.version if aimed else ""
        return asked(lambda one: self._asked(present, number, one), request, lambda: self._own_key(present))

    def pinned(self, references: Mapping[str, str]) -> Mapping[str, str]:
        return secrets.pinned(self._door, references)

    def measure(self) -> Mapping[str, Measures]:
        present = seen.look(self._door, self._scope)
        return measures(self._door, self._function, present, self._opening.clock()) if present else {}

    def why(self) -> tuple[Why, ...]:
        present = seen.look(self._door, self._scope)
        return tuple(self._why(replica) for replica in (_replicas(present) if present else ()))

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        def look() -> Seen | None:
            return seen.look(self._door, self._scope)

        return lines_of(self._door, self._scope.log_group, look, release, lines, follow, self._waiting)

    def _apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        if action.kind == "retire":
            history = self._records.read()
            kept = frozenset(release.served.content for release in history.releases) if history else frozenset()
            return self._steps.retire(action.subjects, kept)
        if action.kind == "destroy":
            return self._records.taken_away(self._steps.destroy)
        assert deployment is not None, f"{action.kind} has a deployment"
        if action.kind == "discard":
            return self._discard(action.release)
        if action.kind == "deliver":
            return self._steps.deliver(deployment)
        if action.kind == "stage":
            return self._staged(action, deployment)
        if action.kind == "weigh":
            return self._steps.weigh(action, deployment)
        if action.kind == "shift":
            return self._steps.shift(action, deployment)
        if action.kind == "restore":
            history = self._records.read()
            was_public = bool(history and history.operating.get("public"))
            return self._steps.restore(action, as_before(history, deployment), deployment, was_public=was_public)
        return self._steps.operate(deployment)

    def _staged(self, action: Action, deployment: Deployment) -> Outcome:
        """A version that cannot start says so to whoever asks it first."""
        done = self._steps.stage(action, deployment)
        present = seen.look(self._door, self._scope) if done.ok else None
        version = present.of(action.release) if present else None
        if version is None:
            return done
        started = invoked(self._door, self._function, version.number, Request("GET", "/readyz"))
        if started.status:
            return done
        lines = tuple(line.text for line in self.logs(action.release, LOG_LINES))
        return Outcome(False, f"{action.release} does not start: {started.body.decode(errors='replace')}", lines)

    def _discard(self, release: str) -> Outcome:
        """A release that was never committed leaves nothing that could be served again."""
        history = self._records.read()
        was_public = bool(history and history.operating.get("public"))
        gone = self._steps.discard(release, history.live if history else "", was_public=was_public)
        if gone.ok and (history is None or all(known.id != release for known in history.releases)):
            kept = frozenset(known.served.content for known in history.releases) if history else frozenset()
            return self._steps.retire((release,), kept)
        return gone

    def _unready(self, history: History | None, present: Seen) -> str:
        """Why fewer copies of the live release are kept ready than the records say; asked only where they say any."""
        said = history.operating.get("replicas") or {} if history and history.live and history.underway is None else {}
        version = present.of(history.live) if history else None
        if version is None or said.get("max", 1) <= 1 or not said.get("min"):
            return ""
        found = self._steps.kept_ready(version.number)
        return f"{found} of {said['min']} copies are kept ready" if found < said["min"] else ""

    def _lost(self, history: History | None, present: Seen) -> dict[str, str]:
        """Releases of the records that could not be served again, and why: Lambda reads a version's image again after weeks of rest."""
        known = history.releases if history else ()
        there = self._images.among(present.outputs["Repository"], (release.served.content for release in known))
        imageless = [release.id for release in known if release.served.content not in there]
        gone = [release.id for release in known if present.of(release.id) is None]
        return {
            **dict.fromkeys(imageless, "its image is not in the registry any more"),
            **dict.fromkeys(gone, "its version is not there any more"),
        }

    def _image_bytes(self, content: str) -> int:
        """0 where this machine does not have the image."""
        try:
            return Layout(self._opening.home.images).find(content).size
        except MlshipError:
            return 0

    def _why(self, replica: Replica) -> Why:
        told = seen.configuration(self._door, self._function, replica.name) or {}
        log = tuple(line.text for line in self.logs(replica.release, LOG_LINES))
        state, reason = str(told.get("State") or "gone").lower(), str(told.get("StateReason") or "")
        memory = any("Runtime.OutOfMemory" in line or "signal: killed" in line for line in log)
        return Why(replica.name, replica.release, state, None, memory, probe=reason, log=log)

    def _serving(self, present: Seen) -> str:
        """As it says itself; where two releases share the callers, the one that most of them reach."""
        if present.live is None:
            return ""
        shares = present.live.shares
        number = max(shares, key=lambda one: shares[one]) if len(shares) > 1 else ""
        return said_release(self._asked(present, number, Request("GET", "/mlship/release")))

    def _asked(self, present: Seen, version: str, request: Request) -> Answer:
        """version: empty for the way of all callers."""
        if version:
            return of_version(self._door, self._function, version, request)
        if not present.url:
            return NOTHING
        return through_url(self._door, present.url, request)

    def _own_key(self, present: Seen) -> str:
        """With which mlship asks a server that judges its callers."""
        place = present.outputs.get("OperatorKey")
        if not place:
            return ""
        key = str(self._door.call("secretsmanager", "get_secret_value", SecretId=place)["SecretString"])
        learn(key)
        return key


def open_service(opening: Opening, door: Door) -> LambdaTarget:
    return LambdaTarget(opening, door)


def _replicas(present: Seen) -> Iterator[Replica]:
    """Versions that an alias leads to: a copy of them runs whenever somebody asks."""
    live = present.live.shares if present.live else {}
    staged = {present.staged.version: 0.0} if present.staged else {}
    for number in {**staged, **live}:
        version = present.versions.get(number)
        if version is not None:
            yield Replica(number, version.of.release, True, version.since, staged=number not in live)


def _repair(history: History | None, present: Seen) -> str:
    """Why the live release has to be put in service again although something answers."""
    if history is None or not history.live or history.underway is not None:
        return ""
    if present.of(history.live) is None:
        return "its version is gone"
    return "the alias leads callers elsewhere, too" if present.shares.get(history.live, 0.0) < 1 else ""


def _fingerprint(told: list[Any]) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
