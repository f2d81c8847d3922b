"""The services of a project: a release comes into a slot, its tasks are waited for, and those that nobody needs go."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from mlship.targets.aws.documents import filled
from mlship.targets.aws.door import Door
from mlship.targets.aws.ecs import autoscaling, seen
from mlship.targets.aws.ecs.moves import Moves, can_move
from mlship.targets.aws.ecs.releasing import capacity, service, update
from mlship.targets.aws.ecs.scaling import tasks_for
from mlship.targets.aws.ecs.seen import Seen
from mlship.targets.aws.ecs.slots import Slot, capacity_of
from mlship.targets.aws.ecs.traffic import by_ecs
from mlship.targets.aws.given import given
from mlship.targets.aws.scope import SLOTS, Scope
from mlship.targets.base import Action, Deployment, Outcome
from mlship.targets.waiting import Waiting

START_MARGIN_S = 300.0  # beside the server's own start: a place for the task, its network, the pull of its image
SETTLE_S = 120.0
GONE_S = 600.0  # targets are let go, a server has 120 s to stop, and then its network interface goes
CRASHED = "EssentialContainerExited"  # Task, stopCode: the server itself ended
# Of a task whose server said nothing of the release: no image, no secret, no role, no capacity, or spot that was taken back.
_NEVER_RAN = ("TaskFailedToStart", "SpotInterruption", "TerminationNotice", "UserInitiated")
_EVENTS = 3  # of a service, that are said


class Services:
    """Of one project in one environment."""

    def __init__(self, door: Door, scope: Scope, waiting: Waiting, moves: Moves) -> None:
        self._door = door
        self._scope = scope
        self._waiting = waiting
        self._moves = moves

    def tasks(self, present: Seen, release: str, deployment: Deployment, share: float = 1.0) -> int:
        slot = present.of(release)
        return tasks_for(deployment, present.serving, share, slot.desired if slot else 0)

    def run(self, present: Seen, release: str, deployment: Deployment, tasks: int) -> Outcome:
        """The release in a slot of its own, with tasks that the balancer finds ready."""
        slot = present.of(release)
        name = slot.name if slot is not None else present.free
        family = seen.families(self._door, self._scope).get(release)
        if family is None:
            return Outcome(False, f"ECS has no task definition of {release}", fault="target")
        there = present.slots.get(name)
        if there is not None and there.is_moved and there.release != release:  # callers have left it
            self.stop(there)
            present = self._present()
            there = present.slots.get(name)
            if there is not None and there.is_moved:
                what = f"ECS still has tasks of {there.release} in the slot that {release} would take"
                return Outcome(False, what, fault="target")
        if there is not None and not present.weights.get(name):
            autoscaling.leave(self._door, self._scope, present.outputs["Cluster"], there.service)
        known = self.stopped_ids(release)
        self.placed(present, there, name, family, deployment, tasks)
        return self.until_ready(name, release, deployment, known, tasks)

    def is_moved(self, present: Seen, live: Slot, action: Action, deployment: Deployment) -> bool:
        """Whether ECS moves the callers to this release: from the one that serves, and all of them from one slot."""
        is_next = live.release == action.before != action.release and present.shares.get(live.release) == 1
        return is_next and can_move(present) and by_ecs(deployment, given(deployment))

    def begin(self, present: Seen, live: Slot, release: str, deployment: Deployment) -> Outcome:
        """ECS starts the release's tasks in the other slot, which nothing else is in then."""
        family = seen.families(self._door, self._scope).get(release)
        if family is None:
            return Outcome(False, f"ECS has no task definition of {release}", fault="target")
        autoscaling.leave(self._door, self._scope, present.outputs["Cluster"], live.service)
        self.end(present.services - {live.service})
        ready = self._moves.ready(present, live, deployment)
        if not ready.ok:
            return ready
        known = self.stopped_ids(release)
        before = self._moves.begin(self._present(), live, deployment, family)
        return self.held(release, deployment, known, before)

    def held(self, release: str, deployment: Deployment, known: frozenset[str] | None = None, before: str = "") -> Outcome:
        """known: tasks of the release that had ended before."""
        known = self.stopped_ids(release) if known is None else known
        seconds = deployment.startup_timeout_s + START_MARGIN_S
        ended = self._moves.held(release, deployment.replicas[0], seconds, lambda: self.crashed(release, known), before)
        if ended.ok or ended.fault == "target":
            return ended
        slot = self._present().of(release)
        return self.explained(ended, slot.name if slot else "", release, known)

    def buy_anew(self, present: Seen, slot: Slot, deployment: Deployment) -> Outcome:
        """On other capacity ECS replaces the tasks of a service that it moves: they come into the other slot, and callers with them."""
        if not (slot.is_moved and _is_bought_otherwise(slot, deployment)):
            return Outcome()
        quiet = self._moves.quiet(slot.service)  # a command that was killed may have begun it
        if not quiet.ok:
            return quiet
        present = self._present()
        now = present.of(slot.release) or slot
        return self._moves.buy_anew(present, slot.release, deployment) if _is_bought_otherwise(now, deployment) else Outcome()

    def grown(self, present: Seen, slot: Slot, deployment: Deployment, share: float) -> Outcome:
        """Enough tasks for a share of the callers, before these come."""
        tasks = self.tasks(present, slot.release, deployment, share)
        if tasks <= slot.desired:
            return Outcome()
        known = self.stopped_ids(slot.release)
        self.set(slot, tasks)
        return self.until_ready(slot.name, slot.release, deployment, known, tasks)

    def placed(
        self, present: Seen, slot: Slot | None, name: str, definition: str, deployment: Deployment, tasks: int | None
    ) -> None:
        known = {**present.outputs, "TaskDefinition": definition}
        if slot is None:
            letter = next(one for one in (name, *SLOTS) if one not in present.services)
            made = service(deployment, given(deployment), name, tasks or 0, letter)
            self._door.call("ecs", "create_service", **filled(made, known))
            return
        if slot.is_moved:  # any other change of it would be a release to ECS
            if tasks is not None:
                self.set(slot, tasks)
            return
        # what ECS gave up is only begun again when it is told to, and other capacity changes no task that runs
        anew = {"forceNewDeployment": True} if slot.rollout == "FAILED" or _is_bought_otherwise(slot, deployment) else {}
        self._door.call(
            "ecs", "update_service", **filled(update(deployment, given(deployment), slot.service, tasks), known), **anew
        )

    def until_ready(self, name: str, release: str, deployment: Deployment, known: frozenset[str], tasks: int) -> Outcome:
        """known: tasks of the release that had ended before."""
        seconds = deployment.startup_timeout_s + START_MARGIN_S
        found: Outcome | None = self._waiting.until(lambda: self._started(name, release, tasks, known), seconds)
        ended = found or Outcome(False, f"{release} is not ready after {seconds:.0f} s")
        return ended if ended.ok else self.explained(ended, name, release, known)

    def explained(self, failed: Outcome, name: str, release: str, known: frozenset[str]) -> Outcome:
        """Whose fault it was, and what ECS says: of a task that finds no place, only the service's events tell."""
        present = self._present()
        slot = present.slots.get(name)
        ended = [task.stop_code for task in self._stopped(release) if task.id not in known]
        has_run = self._runs(present, name, release) or any(code not in _NEVER_RAN for code in ended)
        events = slot.events[:_EVENTS] if slot and slot.release == release and not has_run else ()
        return replace(failed, evidence=(*self._reasons(release), *events), fault="release" if has_run else "target")

    def _runs(self, present: Seen, name: str, release: str) -> bool:
        """Without a balancer the tasks of two releases are in one service."""
        if not present.is_balanced:
            told = seen.tasks(self._door, self._scope, present)
            return any(task.release == release and task.status == "RUNNING" for task in told)
        slot = present.slots.get(name)
        return bool(slot and slot.running)

    def _started(self, name: str, release: str, wanted: int, known: frozenset[str]) -> Outcome | None:
        """None while nobody can tell."""
        present = self._present()
        slot = present.slots.get(name)
        if slot is None or slot.release != release:
            return None  # what ECS tells is a moment old
        if present.weights.get(name):  # autoscaling may take some away meanwhile
            wanted = min(wanted, slot.desired)
        healthy = seen.well(self._door, self._scope, present, name)
        is_settled = slot.is_moved or slot.rollout == "COMPLETED"
        if is_settled and healthy >= wanted and slot.running >= wanted:
            return Outcome()
        if slot.rollout == "FAILED":
            return Outcome(False, f"ECS gave {release} up: {slot.rollout_reason}")
        return None if present.weights.get(name) else self.crashed(release, known)

    def crashed(self, release: str, known: frozenset[str]) -> Outcome | None:
        """What ends at its start does so again, and no caller waits for it."""
        ended = [task for task in self._stopped(release) if task.id not in known and task.stop_code == CRASHED]
        return Outcome(False, f"the task ended with exit code {ended[-1].exit_code}") if ended else None

    def _stopped(self, release: str) -> list[seen.Task]:
        return [task for task in seen.tasks(self._door, self._scope, self._present(), "STOPPED") if task.release == release]

    def stopped_ids(self, release: str) -> frozenset[str]:
        return frozenset(task.id for task in self._stopped(release))

    def _reasons(self, release: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(task.reason for task in self._stopped(release) if task.reason))[-3:]

    def stop(self, slot: Slot) -> None:
        """Autoscaling lets go of it first: it would bring the slot to its minimum again. A service that ECS moves goes as a whole, so that
        it is in nobody's way; while it is in the other slot, too, that is ECS' to tidy.
        """
        present = self._present()
        if any(one.service == slot.service and one.name != slot.name for one in present.slots.values()):
            return
        autoscaling.leave(self._door, self._scope, present.outputs["Cluster"], slot.service)
        if slot.desired:
            self.set(slot, 0)
            self._waiting.until(lambda: self._no_tasks(slot.name), SETTLE_S)
        if slot.is_moved:
            self.end({slot.service})

    def end(self, letters: Collection[str]) -> None:
        """Nobody is led to their tasks. A name is free again only when the last task has ended."""
        cluster = self._present().outputs["Cluster"]
        for letter in sorted(letters):
            autoscaling.leave(self._door, self._scope, cluster, letter)
            self._door.call("ecs", "delete_service", cluster=cluster, service=self._scope.service(letter), force=True)
        self._waiting.until(lambda: None if seen.are_draining(self._door, self._scope, cluster) else True, GONE_S)

    def set(self, slot: Slot, tasks: int) -> None:
        cluster = self._present().outputs["Cluster"]
        self._door.call("ecs", "update_service", cluster=cluster, service=self._scope.service(slot.service), desiredCount=tasks)

    def _no_tasks(self, slot: str) -> bool | None:
        present = self._look()
        running = seen.tasks(self._door, self._scope, present) if present else []
        return None if any(task.slot == slot for task in running) else True

    def _look(self) -> Seen | None:
        return seen.look(self._door, self._scope)

    def _present(self) -> Seen:
        found = self._look()
        assert found is not None, "deliver makes the foundation"
        return found


def _is_bought_otherwise(slot: Slot, deployment: Deployment) -> bool:
    """Other capacity changes no task that runs."""
    return bool(slot.capacity) and slot.capacity != capacity_of(capacity(deployment))
