"""The service `sagemaker`: real-time endpoints."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.oci.layout import Layout
from mlship.oci.registry.push_variant import PushVariant
from mlship.releases.history import History
from mlship.targets.aws.caller_sagemaker import PUSH
from mlship.targets.aws.delivery import Images
from mlship.targets.aws.door import Door
from mlship.targets.aws.features import FEATURES
from mlship.targets.aws.operated import as_before
from mlship.targets.aws.preflight import guard
from mlship.targets.aws.records import S3Records, records_of
from mlship.targets.aws.resources import resources
from mlship.targets.aws.sagemaker import preflight, seen, unbuilt
from mlship.targets.aws.sagemaker.asking import ask
from mlship.targets.aws.sagemaker.logs import lines_of
from mlship.targets.aws.sagemaker.measuring import measured
from mlship.targets.aws.sagemaker.names import SLOTS, Names
from mlship.targets.aws.sagemaker.remembering import RememberingDoor
from mlship.targets.aws.sagemaker.rendering import render
from mlship.targets.aws.sagemaker.seen import Endpoint, Seen
from mlship.targets.aws.sagemaker.steps import Steps
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
# Beginning of a region's name -> what its hosts end with; all others with the first (partitions of botocore 1.44.5).
DOMAINS = {
    "": "amazonaws.com",
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}


class SagemakerTarget:
    """Implements targets.base.Target for one project in one environment."""

    name = "aws"

    def __init__(self, opening: Opening, door: Door, poll_s: float = POLL_S) -> None:
        self._opening = opening
        self._door = door = RememberingDoor(door)
        self._names = Names(Scope(opening.project, opening.environment))
        self._records = records_of(opening, door, PUSH)
        self._waiting = Waiting(opening.clock, time.sleep, poll_s)
        layout = Layout(opening.home.images)
        images = Images(door, layout, opening.environ, opening.progress, PUSH, opening.derive)
        self._steps = Steps(door, self._names, images, self._waiting, opening.progress, self._last_lines)

    @property
    def service(self) -> str:
        return "sagemaker"

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        return FEATURES

    @property
    def push(self) -> Mapping[str, PushVariant]:
        return {"sagemaker": PUSH}

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
        found = preflight.findings(self._door, deployment, self._records.read())
        return (*found, *self._steps.stack_changes(deployment))

    def observe(self) -> Observed:
        history = self._records.read()
        present = seen.look(self._door, self._names)
        if present is None:
            return Observed(history, fingerprint=_fingerprint([history.generation if history else 0]))
        models = frozenset(release for release, _ in seen.models(self._door, self._names).values())
        self._records.must_know(history, models)
        lost = self._lost(history, present, models)
        restorable = models - set(lost)
        return Observed(
            history=history,
            endpoint=self._address(present),
            serving=self._serving(present),
            replicas=seen.replicas(present),
            restorable=restorable,
            lost=lost,
            notes=_notes(present),
            repair=_repair(history, present),
            fingerprint=_fingerprint(_told(history, present, restorable)),
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
        present = seen.look(self._door, self._names)
        if present is None:
            return Answer(0, b"nothing is running")
        endpoint, variant = _asked(present, request)
        if endpoint is None:
            return Answer(0, b"nothing is running")
        answer = ask(self._door, endpoint.name, variant, request)
        return _with_release(answer, endpoint)

    def pinned(self, references: Mapping[str, str]) -> Mapping[str, str]:
        """Raises MlshipError: what a model's environment holds, whoever may look at the model sees."""
        raise MlshipError(unbuilt.NO_SECRETS, fix=unbuilt.ELSEWHERE, code="absent-feature")

    def measure(self) -> Mapping[str, Measures]:
        present = seen.look(self._door, self._names)
        return measured(self._door, present.main, self._opening.clock()) if present and present.main else {}

    def why(self) -> tuple[Why, ...]:
        present = seen.look(self._door, self._names)
        return tuple(self._why(present)) if present else ()

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        return lines_of(self._door, self._names, release, lines, follow, self._waiting)

    def _apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        steps = self._steps
        if action.kind == "retire":
            return self._retire(action.subjects)
        if action.kind == "destroy":
            return self._records.taken_away(steps.destroy)
        assert deployment is not None, f"{action.kind} has a deployment"
        if action.kind == "discard":
            return self._discard(action)
        if action.kind == "deliver":
            return steps.deliver(deployment)
        if action.kind == "stage":
            return steps.stage(action, deployment, was_committed=self._was_committed(action.release))
        if action.kind == "weigh":
            return steps.weigh(action, deployment)
        if action.kind == "shift":
            return steps.shift(action, deployment)
        if action.kind == "restore":
            return steps.restore(action, as_before(self._records.read(), deployment))
        history = self._records.read()
        return steps.operate(deployment, (history.operating.get("labels") or {}) if history else {})

    def _retire(self, subjects: tuple[str, ...]) -> Outcome:
        history = self._records.read()
        kept = frozenset(release.served.content for release in history.releases) if history else frozenset()
        return self._steps.retire(subjects, kept)

    def _discard(self, action: Action) -> Outcome:
        """A release that was never committed leaves nothing that could be served again; its callers go to the live one."""
        history = self._records.read()
        live = history.live if history and history.live != action.release else ""
        gone = self._steps.discard(replace(action, before=action.before or live))
        if gone.ok and (history is None or all(known.id != action.release for known in history.releases)):
            return self._steps.retire((action.release,), frozenset())
        return gone

    def _was_committed(self, release: str) -> bool:
        history = self._records.read()
        if history is None or (history.underway is not None and history.underway.release.id == release):
            return False
        return any(entry.release == release and entry.action in ("deploy", "rollback") for entry in history.entries)

    def _last_lines(self, release: str) -> tuple[str, ...]:
        with suppress(MlshipError):
            return tuple(line.text for line in self.logs(release, LOG_LINES))
        return ()

    def _why(self, present: Seen) -> Iterator[Why]:
        for replica in seen.replicas(present):
            one = present.check if replica.name == "check" else present.main
            state = one.status.lower() if one else "gone"
            yield Why(
                replica.name, replica.release, state, probe=one.reason if one else "", log=self._last_lines(replica.release)
            )

    def _lost(self, history: History | None, present: Seen, models: frozenset[str]) -> dict[str, str]:
        """Releases of the records that could not be served again, and why."""
        releases = history.releases if history else ()
        there = self._steps.images.among(present.outputs["Repository"], (release.served.content for release in releases))
        imageless = [release.id for release in releases if release.served.content not in there]
        gone = [release.id for release in releases if release.id not in models]
        return {
            **dict.fromkeys(imageless, "its image is not in the registry any more"),
            **dict.fromkeys(gone, "its model is not there any more"),
        }

    def _serving(self, present: Seen) -> str:
        """As it says itself; where two releases share the callers, the one that most of them reach."""
        main = present.main
        if main is None or main.serving is None or main.status in ("Creating", "Failed", "Deleting"):
            return ""
        variant = main.serving.slot if main.is_pair else ""
        return said_release(ask(self._door, main.name, variant, Request("GET", "/mlship/release")))

    def _address(self, present: Seen) -> str:
        """Where signed calls go (InvokeEndpoint)."""
        if present.main is None:
            return ""
        return address(self._door.region, self._names.endpoint)


def open_service(opening: Opening, door: Door) -> SagemakerTarget:
    return SagemakerTarget(opening, door)


def address(region: str, endpoint: str) -> str:
    """Of InvokeEndpoint. Pure."""
    domain = next((end for start, end in DOMAINS.items() if start and region.startswith(start)), DOMAINS[""])
    return f"https://runtime.sagemaker.{region}.{domain}/endpoints/{endpoint}/invocations"


def _asked(present: Seen, request: Request) -> tuple[Endpoint | None, str]:
    """Which endpoint and which variant; empty for whichever SageMaker takes."""
    main, check = present.main, present.check
    if request.replica == "check" or (not request.replica and request.of == "staged" and check is not None):
        return check, ""
    if main is None or request.replica in SLOTS:
        return main, request.replica if main and main.is_pair else ""
    staged = next((variant.slot for variant in main.variants if not variant.weight), "")
    return main, staged if request.of == "staged" and main.is_pair else ""


def _with_release(answer: Answer, endpoint: Endpoint) -> Answer:
    """Of an answer in which the server does not name its release: that of the variant which SageMaker says it came from."""
    slot = answer.headers.get("x-amzn-invoked-production-variant", "")
    release = next((variant.release for variant in endpoint.variants if variant.slot == slot), "")
    if "x-mlship-release" in answer.headers or not release or endpoint.pending:
        return answer
    return replace(answer, headers={**answer.headers, "x-mlship-release": release})


def _repair(history: History | None, present: Seen) -> str:
    """Why the live release has to be put in service again although something answers."""
    if history is None or not history.live or history.underway is not None or present.main is None:
        return ""
    main = present.main
    if main.status in seen.FAILED:
        return f"the endpoint is {main.status}"
    if main.of(history.live) is None:
        return f"the endpoint has the configuration {main.config}"
    return "a second variant is left beside it" if main.is_pair else ""


def _notes(present: Seen) -> tuple[str, ...]:
    main = present.main
    if main is None or main.is_well:
        return ()
    return (" ".join(filter(None, (f"the endpoint is {main.status}", main.reason))),)


def _told(history: History | None, present: Seen, restorable: frozenset[str]) -> list[Any]:
    """What a plan is made from. An update that goes on as it was begun changes nothing of it."""
    ends = [
        [
            one.name,
            one.pending or one.config,
            sorted([slot, round(share, 4)] for slot, share in one.weights().items() if 0 < share < 1),
        ]
        for one in (present.main, present.check)
        if one is not None and one.status != "Deleting"
    ]
    return [history.generation if history else 0, ends, sorted(restorable)]


def _fingerprint(told: list[Any]) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
