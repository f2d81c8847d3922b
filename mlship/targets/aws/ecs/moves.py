"""A release whose callers ECS moves: begun and held before the first of them, let go, waited for, taken back.

ECS may take a release back without a word to us, and say that the service is well: only its newest deployment tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlship.targets.aws.documents import filled
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.ecs import seen
from mlship.targets.aws.ecs.foundation import INFRASTRUCTURE
from mlship.targets.aws.ecs.releasing import bought_anew, let_go, made_movable, moved
from mlship.targets.aws.ecs.seen import Seen
from mlship.targets.aws.ecs.slots import Slot, family_of
from mlship.targets.aws.ecs.traffic import LONGEST_MIN, MINUTE_S
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment, Outcome
from mlship.targets.plan import shares_before_all
from mlship.targets.waiting import Waiting

_BACK = ("STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
_ON = ("PENDING", "IN_PROGRESS")
_ENDED = ("ConflictException", "InvalidParameterException")  # of StopServiceDeployment (service model of botocore 1.44.5)
MARGIN_S = 1800.0  # of a move beside its pauses: tasks, health checks, what ECS cleans up
BACK_S = 1800.0
NEAR = 0.005  # a share is led as weights, which are whole numbers
Failing = Callable[[], Outcome | None]


@dataclass(frozen=True)
class Move:
    """The newest deployment of a service that ECS moves. release: that callers are moved to. hold: of the hook at which ECS waits for us.

    why: ECS' own words. alarms: that went off.
    """

    arn: str
    release: str
    status: str
    hold: str = ""
    why: str = ""
    alarms: tuple[str, ...] = ()

    @property
    def is_on(self) -> bool:
        return self.status in _ON

    @property
    def is_going_back(self) -> bool:
        return self.status in _BACK

    @property
    def is_done(self) -> bool:
        return self.status == "SUCCESSFUL"

    @property
    def is_taken_back(self) -> bool:
        return not (self.is_on or self.is_going_back or self.is_done)

    @property
    def set_back(self) -> Outcome:
        """Of one that ECS took back: an alarm speaks against the release; anything else may have been its hour, or a person."""
        alarms = f"; alarm: {', '.join(self.alarms)}" if self.alarms else ""
        said = f"ECS took {self.release} back ({self.status}): {self.why or 'it does not say why'}{alarms}"
        return Outcome(False, said, fault="release" if self.alarms else "target")


class Moves:
    """Of one project."""

    def __init__(self, door: Door, scope: Scope, waiting: Waiting) -> None:
        self._door = door
        self._scope = scope
        self._waiting = waiting

    def newest(self, present: Seen) -> Move | None:
        """None where ECS moves no service."""
        return self._newest(present, present.moved) if present.moved else None

    def _newest(self, present: Seen, letter: str) -> Move | None:
        """Of a service, whether ECS moves it or not."""
        place = {"cluster": present.outputs["Cluster"], "service": self._scope.service(letter)}
        known = self._door.all("ecs", "list_service_deployments", "serviceDeployments", **place)
        if not known:
            return None
        arn = max(known, key=lambda one: one["createdAt"])["serviceDeploymentArn"]
        (told,) = self._door.call("ecs", "describe_service_deployments", serviceDeploymentArns=[arn])["serviceDeployments"]
        target = told["targetServiceRevision"]["arn"]
        (revision,) = self._door.call("ecs", "describe_service_revisions", serviceRevisionArns=[target])["serviceRevisions"]
        return _move(told, self._scope.release_of(family_of(revision["taskDefinition"])))

    def of(self, present: Seen, release: str) -> Move | None:
        """The move to this release, while it is what counts: nothing of the release is elsewhere, and nobody led its callers away."""
        move, slot = self.newest(present), present.of(release)
        if move is None or move.release != release or (slot is not None and not slot.is_moved):
            return None
        is_left = move.is_done and present.shares.get(release, 0.0) < 1
        return None if is_left else move

    def begin(self, present: Seen, live: Slot, deployment: Deployment, family: str) -> str:
        """The live service takes the release: ECS starts its tasks in the other slot, and waits there. Gives the deployment before."""
        before = self.newest(present)
        known = {**present.outputs, "TaskDefinition": family}
        self._door.call("ecs", "update_service", **filled(moved(deployment, live.service, live.name), known))
        return before.arn if before else ""

    def ready(self, present: Seen, live: Slot, deployment: Deployment) -> Outcome:
        """The live service knows both slots, and nothing of it moves. Where it does not, its tasks are replaced by others of the same
        release, new ones first.
        """
        quiet = self.quiet(live.service)
        if not quiet.ok:
            return quiet
        before = self._newest(present, live.service)
        is_whole = before is None or before.is_done or before.status == "ROLLBACK_SUCCESSFUL" or before.release != live.release
        if live.is_moved and is_whole:
            return Outcome()
        body = made_movable(deployment, live.service, live.name)
        self._door.call("ecs", "update_service", **filled(body, {**present.outputs, "Rule": present.rule}))
        return self._through(live.service, live.release, before)

    def quiet(self, letter: str) -> Outcome:
        """Nothing of the service is under way any more."""

        def look() -> bool | None:
            move = self._newest(self._look(), letter)
            return None if move is not None and (move.is_on or move.is_going_back) else True

        what = f"a deployment of {self._scope.service(letter)} is under way for more than {MARGIN_S:.0f} s"
        return Outcome() if self._waiting.until(look, MARGIN_S) else Outcome(False, what, fault="target")

    def held(self, release: str, tasks: int, seconds: float, failing: Failing, before: str = "") -> Outcome:
        """ECS waits for our word, with as many well tasks of the release; or is past that. failing: what else ends the wait.

        before: the deployment that is not meant.
        """

        def look() -> Outcome | None:
            present = self._look()
            move = self.of(present, release)
            if move is None or move.arn == before:
                return None  # what ECS tells is a moment old
            if not (move.is_on or move.is_done):
                return move.set_back
            slot = present.of(release)
            if slot is None:
                return None
            if move.is_done or present.weights.get(slot.name):
                return Outcome()
            is_well = len(seen.healthy_addresses(self._door, present, slot.name)) >= tasks
            return Outcome() if move.hold and is_well else failing()

        return self._waiting.until(look, seconds) or Outcome(False, f"{release} is not ready after {seconds:.0f} s")

    def reached(self, release: str, share: float, deployment: Deployment) -> Outcome:
        """So many callers reach the release. They are let go where ECS still waits for that."""

        def look(present: Seen, move: Move) -> bool:
            return present.shares.get(release, 0.0) >= max(share - NEAR, share / 2)

        return self._waited(release, deployment, look)

    def done(self, release: str, deployment: Deployment) -> Outcome:
        """All callers reach the release, and ECS has taken the one before away."""
        return self._waited(release, deployment, lambda present, move: move.is_done)

    def take_back(self, release: str) -> Outcome:
        """ECS leads callers to what they reached before, and lets go of the release. Nothing where it does not move, or where ECS has given
        that up: then the balancer's rule is whose word it is again.
        """
        move = self.of(self._look(), release)
        if move is None or move.is_done or move.is_taken_back:
            return Outcome()
        if move.is_on:
            self._stop(move)

        def look() -> bool | None:
            now = self.of(self._look(), release)
            return True if now is None or now.is_done or now.is_taken_back else None

        if not self._waiting.until(look, BACK_S):
            return Outcome(False, f"ECS still takes {release} back after {BACK_S:.0f} s", fault="target")
        return Outcome()

    def buy_anew(self, present: Seen, release: str, deployment: Deployment) -> Outcome:
        """The tasks of the release are replaced by others of it, on the capacity that is wanted."""
        before = self.newest(present)
        body = bought_anew(deployment, present.moved)
        self._door.call("ecs", "update_service", **filled(body, present.outputs))
        return self._through(present.moved, release, before)

    def _through(self, letter: str, release: str, before: Move | None) -> Outcome:
        """The deployment that was just begun has come to its end. before: the one that is not meant."""

        def look() -> Outcome | None:
            move = self._newest(self._look(), letter)
            if move is None or (before is not None and move.arn == before.arn) or move.is_on or move.is_going_back:
                return None
            return Outcome() if move.is_done else move.set_back

        late = Outcome(False, f"ECS still replaces the tasks of {release} after {MARGIN_S:.0f} s", fault="target")
        return self._waiting.until(look, MARGIN_S) or late

    def _waited(self, release: str, deployment: Deployment, is_so: Callable[[Seen, Move], bool]) -> Outcome:
        said: set[str] = set()  # hooks: what ECS tells of one that was let go is a moment old

        def look() -> Outcome | None:
            present = self._look()
            move = self.of(present, release)
            if move is None:
                return Outcome(False, f"callers of {release} were led elsewhere while ECS moved them", fault="target")
            if is_so(present, move):
                return Outcome()
            if move.is_going_back or move.is_taken_back:
                return move.set_back
            if move.hold and move.hold not in said:
                self._go_on(move)
                said.add(move.hold)
            return None

        seconds = longest_s(deployment)
        late = Outcome(False, f"ECS still moves callers to {release} after {seconds:.0f} s", fault="target")
        return self._waiting.until(look, seconds) or late

    def _go_on(self, move: Move) -> None:
        known = {"ServiceDeployment": move.arn, "Hook": move.hold}
        self._door.call("ecs", "continue_service_deployment", **filled(let_go(), known))

    def _stop(self, move: Move) -> None:
        try:
            self._door.call("ecs", "stop_service_deployment", serviceDeploymentArn=move.arn, stopType="ROLLBACK")
        except Refused as no:
            if no.said not in _ENDED:  # it came to its end, or ECS takes it back, since it was looked at
                raise

    def _look(self) -> Seen:
        present = seen.look(self._door, self._scope)
        assert present is not None, "whoever moves callers stands on the foundation"
        return present


def longest_s(deployment: Deployment) -> float:
    """How long ECS may take for all of its steps."""
    return min(len(shares_before_all(deployment.strategy)) * deployment.strategy.bake_s, LONGEST_MIN * MINUTE_S) + MARGIN_S


def can_move(present: Seen) -> bool:
    """Whether the foundation has what ECS needs: an administrator's may be older."""
    return INFRASTRUCTURE in present.outputs


def _move(told: dict[str, Any], release: str) -> Move:
    hold = next((one["hookId"] for one in told.get("lifecycleHookDetails") or () if one["status"] == "AWAITING_ACTION"), "")
    why = (told.get("rollback") or {}).get("reason") or told.get("statusReason") or ""
    alarms = (told.get("alarms") or {}).get("triggeredAlarmNames") or ()
    return Move(told["serviceDeploymentArn"], release, told["status"], hold, " ".join(str(why).split()), tuple(alarms))
