"""Releases without a balancer: one service, in which ECS puts the tasks of the next release in the place of those before.

Nothing stands beside what serves: from the first new task that is well on, callers meet the release. So `stage` is the whole change, as
ECS carries it out (ROLLING: new tasks first, old ones when these are well), and `shift` only looks again. What does not come up ECS
takes back itself (its circuit breaker), or we do, by the same call with the task definition before.
"""

from __future__ import annotations

from dataclasses import replace

from mlship.progress import Progress
from mlship.targets.aws.door import Door
from mlship.targets.aws.ecs import autoscaling, seen
from mlship.targets.aws.ecs.scaling import is_scaled, tasks_for
from mlship.targets.aws.ecs.seen import Seen
from mlship.targets.aws.ecs.services import SETTLE_S, START_MARGIN_S, Services
from mlship.targets.aws.given import given
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment, Outcome
from mlship.targets.waiting import Waiting

SLOT = "a"  # the only one
STOPS_S = 120.0  # what an old task may take to end


class InPlace:
    """Of one project in one environment."""

    def __init__(self, door: Door, scope: Scope, waiting: Waiting, services: Services, progress: Progress) -> None:
        self._door = door
        self._scope = scope
        self._waiting = waiting
        self._services = services
        self._progress = progress

    def stage(self, present: Seen, release: str, deployment: Deployment) -> Outcome:
        """The release serves, and nothing else does any more."""
        family = seen.families(self._door, self._scope).get(release)
        if family is None:
            return Outcome(False, f"ECS has no task definition of {release}", fault="target")
        slot = present.slots.get(SLOT)
        known = self._services.stopped_ids(release)
        tasks = tasks_for(deployment, present.serving, 1.0)
        # a number that autoscaling has found for the release before is as good for this one
        own = None if slot is not None and slot.desired == tasks and is_scaled(deployment) else tasks
        self._services.placed(present, slot, SLOT, family, deployment, own)
        settled = self._settled(release, deployment, known)
        return replace(settled, share=1.0) if settled.ok else settled

    def shift(self, release: str, deployment: Deployment) -> Outcome:
        """Believes no status: the primary deployment, and every task that runs, has to be of the release. One that autoscaling has just
        added, or spot has taken, is waited for; another release is not.
        """

        def look() -> Outcome | None:
            present = self._present()
            slot, wrong = present.slots.get(SLOT), self._wrong(present, release)
            if not wrong:
                return Outcome()
            is_other = slot is None or slot.release != release
            return Outcome(False, wrong, fault="target") if is_other else None

        seen_so = self._waiting.until(look, deployment.startup_timeout_s + SETTLE_S)
        present = self._present()
        if seen_so is None or not seen_so.ok:
            return seen_so or Outcome(False, self._wrong(present, release), fault="target")
        slot = present.slots[SLOT]
        if is_scaled(deployment):
            autoscaling.follow(self._door, deployment, given(deployment), slot, present.outputs)
        else:
            autoscaling.leave(self._door, self._scope, present.outputs["Cluster"], slot.service)
        return Outcome()

    def restore(self, present: Seen, before: str, deployment: Deployment) -> Outcome:
        """The release before serves alone again; where there is none, nothing does. deployment: as that one is operated."""
        if not before:
            self._services.end(present.services)
            return Outcome()
        back = self.stage(present, before, deployment)
        return self.shift(before, deployment) if back.ok else back

    def discard(self, present: Seen, release: str, live: str, deployment: Deployment) -> Outcome:
        """The same for what has the release, or what ECS is taking back itself; nothing where the service has a third one by now."""
        slot = present.slots.get(SLOT)
        if slot is None or live == release or slot.release not in (release, live):
            return Outcome()
        return self.restore(present, live, deployment)

    def _settled(self, release: str, deployment: Deployment, known: frozenset[str]) -> Outcome:
        """ECS is through with it. known: tasks of the release that had ended before."""
        was_primary, said = False, ""

        def look() -> Outcome | None:
            nonlocal was_primary, said
            present = self._present()
            slot = present.slots.get(SLOT)
            if slot is None or slot.release != release:
                # what ECS tells may be a moment old; only what was primary can have been set back
                why, said = slot.rollout_reason if slot else "", self._wrong(present, release)
                return Outcome(False, f"ECS took {release} back: {why or 'it does not say why'}") if was_primary else None
            was_primary = True
            if slot.rollout == "FAILED":
                return Outcome(False, f"ECS gave {release} up: {slot.rollout_reason}")
            wrong = self._wrong(present, release)
            if wrong != said:
                self._progress.step("tasks", wrong or f"{slot.desired} of {release} are well, and no others run")
                said = wrong
            return self._services.crashed(release, known) if wrong else Outcome()

        seconds = deployment.startup_timeout_s + START_MARGIN_S + STOPS_S
        ended = self._waiting.until(look, seconds) or Outcome(
            False, f"{release} does not serve alone after {seconds:.0f} s: {said}"
        )
        return ended if ended.ok else self._services.explained(ended, SLOT, release, known)

    def _wrong(self, present: Seen, release: str) -> str:
        """Why the release is not what serves, all of it and alone; empty when it is."""
        slot = present.slots.get(SLOT)
        if slot is None or slot.release != release:
            return f"the primary deployment is of {slot.release if slot else 'nothing'}, and not of {release}"
        tasks = seen.tasks(self._door, self._scope, present)
        others = sorted({task.release for task in tasks if task.release != release})
        if others:
            return f"tasks of {', '.join(others)} still run beside those of {release}"
        well = sum(task.is_well for task in tasks)
        if well < max(slot.desired, 1) or well < len(tasks):
            return f"{well} of {max(slot.desired, len(tasks), 1)} tasks of {release} are well"
        return "" if slot.rollout == "COMPLETED" else f"the deployment of {release} is {slot.rollout or 'not begun'}"

    def _present(self) -> Seen:
        found = seen.look(self._door, self._scope)
        assert found is not None, "deliver makes the foundation"
        return found
