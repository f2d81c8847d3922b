"""The service `ecs`: Fargate behind an application load balancer, or without one."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.masks import learn
from mlship.oci.layout import Layout
from mlship.oci.registry.push_variant import PushVariant
from mlship.releases.history import History
from mlship.targets.asked import asked
from mlship.targets.aws import secrets
from mlship.targets.aws.delivery import VARIANT
from mlship.targets.aws.door import Door, trusted
from mlship.targets.aws.ecs import preflight, seen
from mlship.targets.aws.ecs.asking import ask, endpoint
from mlship.targets.aws.ecs.discovery import NAMESPACE, address
from mlship.targets.aws.ecs.foundation import SLOT_HEADER
from mlship.targets.aws.ecs.inside import Inside
from mlship.targets.aws.ecs.logs import lines_of
from mlship.targets.aws.ecs.measuring import measures
from mlship.targets.aws.ecs.rendering import render
from mlship.targets.aws.ecs.seen import Seen
from mlship.targets.aws.ecs.steps import Steps
from mlship.targets.aws.ecs.unbuilt import from_inside
from mlship.targets.aws.features import FEATURES, WITHOUT_BALANCER
from mlship.targets.aws.given import given
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
    Request,
    Resource,
    Why,
)
from mlship.targets.failing import of_target
from mlship.targets.verify import said_release

LOG_LINES = 8


class EcsTarget:
    """Implements targets.base.Target for one project in one environment."""

    name = "aws"
    service = "ecs"

    def __init__(self, opening: Opening, door: Door, poll_s: float = POLL_S) -> None:
        self._opening = opening
        self._door = door
        self._waiting = Waiting(opening.clock, time.sleep, poll_s)
        self._scope = Scope(opening.project, opening.environment)
        self._records = records_of(opening, door)
        self._inside = Inside(door, self._scope)
        layout = Layout(opening.home.images)
        self._steps = Steps(door, self._scope, layout, opening.environ, self._waiting, opening.progress)

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        is_balanced = self._opening.settings.get("balancer") is not False
        return FEATURES if is_balanced else {**FEATURES, self.service: WITHOUT_BALANCER}

    @property
    def push(self) -> Mapping[str, PushVariant]:
        return {"ecs": VARIANT}

    @property
    def records(self) -> S3Records:
        return self._records

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        return render(deployment)

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        return resources(deployment)

    def findings_of_file(self, deployment: Deployment) -> tuple[Finding, ...]:
        return preflight.of_file(deployment)

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        found = preflight.findings(self._door, deployment)
        history = self._records.read()
        is_reached = bool(history and history.live)
        inside = () if is_reached else from_inside(deployment, given(deployment))
        moved = self._steps.who_moves(deployment) if is_reached else ()
        return (*found, *inside, *self._steps.stack_changes(deployment), *moved)

    def observe(self) -> Observed:
        history = self._records.read()
        present = seen.look(self._door, self._scope)
        if present is None:
            return Observed(history, fingerprint=_fingerprint([history.generation if history else 0]))
        replicas = seen.replicas(self._door, self._scope, present)
        families = seen.families(self._door, self._scope)
        self._records.must_know(history, families)
        lost = self._lost(history, present, families)
        told = [
            history.generation if history else 0,
            sorted((slot.name, slot.release, slot.desired) for slot in present.slots.values()),
            sorted(present.weights.items()),
            sorted(families),
            sorted(lost),
        ]
        return Observed(
            history=history,
            endpoint=self._endpoint(present) if present.live else "",
            serving=self._serving(present),
            replicas=replicas,
            restorable=frozenset(families) - set(lost),
            lost=lost,
            repair=_repair(history, present, {replica.release for replica in replicas}),
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
        present = seen.look(self._door, self._scope)
        if present is None:
            return Answer(0, b"nothing is running")
        if not present.is_balanced:
            return self._asked_inside(present, request)
        slot = request.replica.partition("-")[0]
        if not slot and request.of == "staged":
            staged = present.staged or present.live
            slot = staged.name if staged else ""
        if not slot and present.live is None:
            return Answer(0, b"nothing is running")
        headers = {SLOT_HEADER: slot} if slot else {}
        return asked(lambda one: self._asked(present, one, headers), request, lambda: self._own_key(present))

    def pinned(self, references: Mapping[str, str]) -> Mapping[str, str]:
        return secrets.pinned(self._door, references)

    def measure(self) -> Mapping[str, Measures]:
        present = seen.look(self._door, self._scope)
        is_counted = present is not None and present.is_balanced  # by the balancer; nobody else counts over all tasks
        return measures(self._door, present, self._opening.clock()) if present and is_counted else {}

    def why(self) -> tuple[Why, ...]:
        present = seen.look(self._door, self._scope)
        if present is None:
            return ()
        found = [*seen.tasks(self._door, self._scope, present), *seen.tasks(self._door, self._scope, present, "STOPPED")[-3:]]
        return tuple(self._why(task) for task in found)

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        return lines_of(self._door, self._scope, release, lines, follow, self._waiting)

    def _apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        if action.kind == "retire":
            history = self._records.read()
            kept = frozenset(release.served.content for release in history.releases) if history else frozenset()
            return self._steps.retire(action.subjects, kept)
        if action.kind == "destroy":
            return self._records.taken_away(self._steps.destroy)
        assert deployment is not None, f"{action.kind} has a deployment"
        if action.kind == "discard":
            return self._discard(action.release, deployment)
        if action.kind == "deliver":
            return self._steps.deliver(deployment)
        if action.kind == "stage":
            return self._told(action.release, self._staged(action, deployment))
        if action.kind == "weigh":
            return self._steps.weigh(action, deployment)
        if action.kind == "shift":
            return self._steps.shift(action, deployment)
        if action.kind == "restore":
            return self._steps.restore(action, as_before(self._records.read(), deployment))
        history = self._records.read()
        return self._steps.operate(deployment, (history.operating.get("labels") or {}) if history else {})

    def _staged(self, action: Action, deployment: Deployment) -> Outcome:
        """The records say what ECS cannot: whether the release has served before, and how many callers it was given."""
        history = self._records.read()
        underway = history.underway if history else None
        if underway is not None and underway.release.id == action.release:
            return self._steps.stage(action, deployment, begun=underway.share)
        entries = history.entries if history else ()
        was_committed = any(one.release == action.release and one.action in ("deploy", "rollback") for one in entries)
        return self._steps.stage(action, deployment, was_committed=was_committed)

    def _told(self, release: str, staged: Outcome) -> Outcome:
        """With what its tasks said last, where they ran, and these credentials may read it."""
        if staged.ok or staged.fault != "release":
            return staged
        with suppress(MlshipError):
            return replace(staged, evidence=(*staged.evidence, *(line.text for line in self.logs(release, LOG_LINES))))
        return staged

    def _discard(self, release: str, deployment: Deployment) -> Outcome:
        """A release that was never committed leaves nothing that could be served again."""
        history = self._records.read()
        gone = self._steps.discard(release, history.live if history else "", as_before(history, deployment))
        if gone.ok and (history is None or all(known.id != release for known in history.releases)):
            return self._steps.retire((release,), frozenset())
        return gone

    def _lost(self, history: History | None, present: Seen, families: Collection[str]) -> dict[str, str]:
        """Releases of the records that could not be served again, and why."""
        releases = history.releases if history else ()
        there = self._steps.images.among(present.outputs["Repository"], (release.served.content for release in releases))
        imageless = [release.id for release in releases if release.served.content not in there]
        gone = [release.id for release in releases if release.id not in families]
        return {
            **dict.fromkeys(imageless, "its image is not in the registry any more"),
            **dict.fromkeys(gone, "its task definition is not there any more"),
        }

    def _why(self, task: seen.Task) -> Why:
        log = tuple(line.text for line in self.logs(task.release, LOG_LINES))
        memory = task.exit_code == 137 and "memory" in task.reason.lower()
        return Why(task.name, task.release, task.status.lower(), task.exit_code, memory, probe=task.reason, log=log)

    def _serving(self, present: Seen) -> str:
        """As it says itself; where two releases share the callers, the one that most of them reach. Without a balancer, and a way to
        the tasks: as ECS says.
        """
        if present.live is None:
            return ""
        if not present.is_balanced:
            answer = self._inside.ask(present, Request("GET", "/mlship/release"))
            return answer.vouched if answer.is_unreached else said_release(answer)
        headers = {SLOT_HEADER: present.live.name} if len(present.shares) > 1 else {}
        return said_release(self._asked(present, Request("GET", "/mlship/release"), headers))

    def _asked_inside(self, present: Seen, request: Request) -> Answer:
        return asked(lambda one: self._inside.ask(present, one), request, lambda: self._own_key(present))

    def _asked(self, present: Seen, request: Request, headers: Mapping[str, str]) -> Answer:
        """A balancer that mlship made is asked by its own address, whether its name leads there yet or not."""
        host = present.outputs.get("Host", "")
        own = endpoint(self._door, present.outputs["Listener"], present.outputs.get("Address", host))
        return ask(own, request, {**({"Host": host} if host else {}), **headers}, name=host, authorities=trusted(self._door))

    def _own_key(self, present: Seen) -> str:
        """With which mlship asks a server that judges its callers."""
        place = present.outputs.get("OperatorKey")
        if not place:
            return ""
        key = str(self._door.call("secretsmanager", "get_secret_value", SecretId=place)["SecretString"])
        learn(key)
        return key

    def _endpoint(self, present: Seen) -> str:
        if not present.is_balanced:
            told = self._door.call("servicediscovery", "get_namespace", Id=present.outputs[NAMESPACE])
            return address(self._scope, told["Namespace"]["Name"])
        return endpoint(self._door, present.outputs["Listener"], present.outputs.get("Host", ""))


def open_service(opening: Opening, door: Door) -> EcsTarget:
    return EcsTarget(opening, door)


def _repair(history: History | None, present: Seen, running: Collection[str]) -> str:
    """Why the live release has to be put in service again although something answers. running: releases that have tasks."""
    if history is None or not history.live or history.underway is not None:
        return ""
    slot = present.of(history.live)
    if slot is None or slot.desired == 0:
        return "its service has no tasks"
    if not present.is_balanced:
        others = sorted(set(running) - {history.live})
        return f"tasks of {', '.join(others)} run beside it" if others else ""
    return "the balancer leads callers elsewhere, too" if present.shares.get(history.live, 0.0) < 1 else ""


def _fingerprint(told: list[Any]) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
