"""The steps of a release at ECS. Each looks first, changes what is not so yet, and looks again: none believes a status alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mlship.errors import Finding, MlshipError
from mlship.oci.layout import Layout
from mlship.progress import Progress
from mlship.targets.aws import secrets, stack, stack_changes
from mlship.targets.aws.delivery import Images
from mlship.targets.aws.documents import filled
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.ecs import autoscaling, network, seen, staying, tagging
from mlship.targets.aws.ecs.foundation import Kept, foundation
from mlship.targets.aws.ecs.releasing import WHOLE, actions, capacity, rule, service, task_definition, update
from mlship.targets.aws.ecs.scaling import is_scaled, tasks_for
from mlship.targets.aws.ecs.seen import Seen, Slot
from mlship.targets.aws.given import Given, given
from mlship.targets.aws.scope import CONTENT, SLOTS, Scope
from mlship.targets.aws.stack import Waiting
from mlship.targets.base import Action, Deployment, Outcome
from mlship.targets.plan import shares_before_all

PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
START_MARGIN_S = 300.0  # beside the server's own start: a place for the task, its network, the pull of its image
SETTLE_S = 120.0
AGREE_S = 60.0
GONE_S = 600.0  # targets are let go, a server has 120 s to stop, and then its network interface goes
CRASHED = "EssentialContainerExited"  # Task, stopCode: the server itself ended
# Of a task whose server said nothing of the release: no image, no secret, no role, no capacity, or spot that was taken back.
_NEVER_RAN = ("TaskFailedToStart", "SpotInterruption", "TerminationNotice", "UserInitiated")
_EVENTS = 3  # of a service, that are said


class Steps:
    """Implements the actions of targets.base.Action for one project in one environment."""

    def __init__(
        self,
        door: Door,
        scope: Scope,
        layout: Layout,
        environ: Mapping[str, str],
        waiting: Waiting,
        progress: Progress,
    ) -> None:
        self._door = door
        self._scope = scope
        self.images = Images(door, layout, environ, progress)
        self._waiting = waiting
        self._progress = progress

    def deliver(self, deployment: Deployment) -> Outcome:
        """The foundation stands, the registry has the image, and ECS knows the release."""
        has = given(deployment)
        made = self._found(deployment, has)
        if not made.ok:
            return made
        present = self._present()
        content = deployment.release.served.content
        if deployment.release.id in seen.families(self._door, self._scope):
            return Outcome()
        platform = PLATFORMS[has.arch]
        reference = self.images.deliver(present.outputs["Repository"], content, platform)
        known = {**present.outputs, "Image": reference, "Region": self._door.region}
        self._door.call("ecs", "register_task_definition", **filled(task_definition(deployment, has), known))
        return Outcome()

    def stage(self, action: Action, deployment: Deployment) -> Outcome:
        present = self._present()
        share = next(iter(shares_before_all(deployment.strategy)), 1.0)
        tasks = self._tasks(present, action.release, deployment, share)
        if deployment.strategy.name == "recreate" and action.before not in ("", action.release):
            before = present.of(action.before)
            if before is not None:
                self._stop(before)
                present = self._present()
        return self._run(present, action.release, deployment, tasks)

    def weigh(self, action: Action, deployment: Deployment) -> Outcome:
        present = self._present()
        after = present.of(action.release)
        if after is None:
            return Outcome(False, f"no service has {action.release}", fault="target")
        grown = self._grown(present, after, deployment, action.share)
        return self._led(present, action, deployment) if grown.ok else grown

    def _led(self, present: Seen, action: Action, deployment: Deployment) -> Outcome:
        """So many callers to the release that has its tasks, the others to the one before."""
        after, before = present.of(action.release), present.of(action.before) if action.before else None
        assert after is not None, "who asks for it has looked"
        share = round(action.share * WHOLE)
        weights = dict.fromkeys(SLOTS, 0) | {after.name: share}
        if before is not None and before.name != after.name:
            weights[before.name] = WHOLE - share
        led = self._weigh(present, deployment, weights)
        if led.ok and is_scaled(deployment):
            autoscaling.follow(self._door, deployment, given(deployment), after.name, present.outputs)
        return led

    def shift(self, action: Action, deployment: Deployment) -> Outcome:
        moved = self.weigh(replace(action, share=1.0), deployment)
        if not moved.ok:
            return moved
        present = self._present()
        right = self._identity(present, action.release)
        if not right.ok:
            return right
        for slot in present.slots.values():
            if slot.desired and not present.weights.get(slot.name):
                self._stop(slot)
        return self._identity(self._present(), action.release)

    def restore(self, action: Action, deployment: Deployment) -> Outcome:
        present = self._present()
        if not action.before:
            return self.discard(action.release)
        slot = present.of(action.before)
        if slot is None or not slot.desired:
            tasks = self._tasks(present, action.before, deployment)
            started = self._run(present, action.before, deployment, tasks)
            if not started.ok:
                return started
            present = self._present()
        elif (tasks := self._tasks(present, action.before, deployment)) > slot.desired:
            self._set(slot, tasks)  # whoever waits for them has callers of a release that failed
        back = self._led(present, Action("weigh", action.before), deployment)
        is_other = action.release != action.before  # else only how it is operated has failed
        return self.discard(action.release) if back.ok and is_other else back

    def discard(self, release: str, live: str = "", deployment: Deployment | None = None) -> Outcome:
        """Its tasks go, after its callers: to the other release where that has callers, else to the live one, which is started for
        them. Where nothing is live nobody is led anywhere any more. deployment: as that one is operated.
        """
        present = self._look()
        slot = present.of(release) if present else None
        if present is None or slot is None:
            return Outcome()
        others = [name for name, weight in present.weights.items() if weight and name != slot.name]
        if present.weights.get(slot.name) and not others and deployment is not None and live not in ("", release):
            return self.restore(Action("restore", release, live), deployment)
        if present.weights.get(slot.name) and others:
            said = filled(actions({slot.name: 0, others[0]: WHOLE}), present.outputs)
            self._door.call("elbv2", "modify_rule", RuleArn=present.rule, Actions=said)
        elif present.weights.get(slot.name):
            self._door.call("elbv2", "delete_rule", RuleArn=present.rule)
        if slot.desired:
            self._stop(slot)
        return Outcome()

    def retire(self, subjects: tuple[str, ...], kept: frozenset[str]) -> Outcome:
        """The task definitions of releases that are let go, and their images where no other release has the same content.

        kept: contents that stay.
        """
        known = seen.families(self._door, self._scope)
        going = [known[release] for release in subjects if release in known]
        gone = {content for family in going if (content := self._content(family))} - kept
        present = self._look()
        if present is not None and gone:
            self.images.remove(present.outputs["Repository"], gone)
        for family in going:
            self._forget(family)
        return Outcome()

    def operate(self, deployment: Deployment, former: Mapping[str, str]) -> Outcome:
        """Only how it is operated. No task is replaced, unless what they are bought as is another. former: labels until now."""
        has = given(deployment)
        made = self._found(deployment, has)
        if not made.ok:
            return made
        present = self._present()
        slot = present.of(deployment.release.id)
        if slot is None:
            return Outcome(False, f"no service has {deployment.release.id}", fault="target")
        known = self._stopped_ids(slot.release)
        least, most = deployment.replicas
        tasks = min(max(slot.desired, least), most)
        if not is_scaled(deployment):
            autoscaling.leave(self._door, self._scope, present.outputs["Cluster"], slot.name)
        # between a look and a change autoscaling may have set another number
        own = None if is_scaled(deployment) and tasks == slot.desired else tasks
        self._placed(present, slot, slot.name, slot.task_definition, deployment, own)
        if is_scaled(deployment):
            autoscaling.follow(self._door, deployment, has, slot.name, present.outputs)
        tagging.relabel(self._door, self._scope, (slot.arn, present.rule), former, deployment.labels)
        return self._until_ready(slot.name, slot.release, deployment, known, tasks)

    def destroy(self) -> Outcome:
        """Callers first, then what served them, then what that stood on; only what is called ours."""
        present = self._look()
        if present is not None:
            if present.rule:
                self._door.call("elbv2", "delete_rule", RuleArn=present.rule)
            cluster = present.outputs["Cluster"]
            for slot in present.slots:
                autoscaling.leave(self._door, self._scope, cluster, slot)
                self._door.call("ecs", "delete_service", cluster=cluster, service=self._scope.service(slot), force=True)
            self._waiting.until(lambda: None if seen.are_draining(self._door, self._scope, cluster) else True, GONE_S)
        for family in seen.families(self._door, self._scope).values():
            self._forget(family)
        return stack.delete(self._door, self._scope.stem, self._waiting)

    # -- the foundation ------------------------------------------------------------------------------------------------

    def _found(self, deployment: Deployment, has: Given) -> Outcome:
        self._progress.step("stack", self._scope.stem)
        tags = self._scope.tags("foundation", deployment.labels)
        template = foundation(deployment, has, self._kept(deployment))
        parameters = network.parameters_for(self._door, has)
        made = stack.converge(self._door, self._scope.stem, template, parameters, tags, self._waiting)
        lacking = set(template["Outputs"]) - set(self._present().outputs) if made.ok else set()
        if lacking:  # an administrator's stack is not changed by us
            what = f"the stack {self._scope.stem} was made for something else: it does not tell {', '.join(sorted(lacking))}"
            return Outcome(False, what, ("apply mlship render --target aws --part foundation again",), fault="target")
        return made

    def stack_changes(self, deployment: Deployment) -> tuple[Finding, ...]:
        """What the foundation's stack becomes, for the plan."""
        has = given(deployment)
        template = foundation(deployment, has, self._kept(deployment))
        try:
            parameters = network.parameters_for(self._door, has)
        except MlshipError:  # the preflight has said it
            parameters = {}
        return (
            *stack_changes.findings(self._door, self._scope.stem, template),
            *staying.findings(self._door, self._scope, template, parameters, deployment, has),
        )

    def _kept(self, deployment: Deployment) -> Kept:
        """What tasks need that run now: one that is started again must find it."""
        present = self._look()
        if present is None:
            return Kept()
        running = [slot.task_definition for slot in present.slots.values() if slot.desired]
        read = {arn for definition in running for arn in seen.secrets_of(self._door, definition)}
        known = deployment.references.values()
        others = frozenset(arn for arn in read if not any(secrets.covers(reference, arn) for reference in known))
        return Kept(others, "OperatorKey" in present.outputs)

    def _look(self) -> Seen | None:
        return seen.look(self._door, self._scope)

    def _present(self) -> Seen:
        """Raises MlshipError never: every step but the first stands on the foundation."""
        found = self._look()
        assert found is not None, "deliver makes the foundation"
        return found

    # -- services --------------------------------------------------------------------------------------------------------

    def _tasks(self, present: Seen, release: str, deployment: Deployment, share: float = 1.0) -> int:
        slot = present.of(release)
        return tasks_for(deployment, present.serving, share, slot.desired if slot else 0)

    def _run(self, present: Seen, release: str, deployment: Deployment, tasks: int) -> Outcome:
        """The release in a slot of its own, with tasks that the balancer finds ready."""
        slot = present.of(release)
        name = slot.name if slot is not None else present.free
        family = seen.families(self._door, self._scope).get(release)
        if family is None:
            return Outcome(False, f"ECS has no task definition of {release}", fault="target")
        if name in present.slots and not present.weights.get(name):
            autoscaling.leave(self._door, self._scope, present.outputs["Cluster"], name)
        known = self._stopped_ids(release)
        self._placed(present, present.slots.get(name), name, family, deployment, tasks)
        return self._until_ready(name, release, deployment, known, tasks)

    def _grown(self, present: Seen, slot: Slot, deployment: Deployment, share: float) -> Outcome:
        """Enough tasks for a share of the callers, before these come."""
        tasks = self._tasks(present, slot.release, deployment, share)
        if tasks <= slot.desired:
            return Outcome()
        known = self._stopped_ids(slot.release)
        self._set(slot, tasks)
        return self._until_ready(slot.name, slot.release, deployment, known, tasks)

    def _placed(
        self, present: Seen, slot: Slot | None, name: str, definition: str, deployment: Deployment, tasks: int | None
    ) -> None:
        known = {**present.outputs, "TaskDefinition": definition}
        if slot is None:
            made = service(deployment, given(deployment), name, tasks or 0)
            self._door.call("ecs", "create_service", **filled(made, known))
            return
        # what ECS gave up is only begun again when it is told to, and other capacity changes no task that runs
        is_other = bool(slot.capacity) and slot.capacity != seen.capacity_of(capacity(deployment))
        anew = {"forceNewDeployment": True} if slot.rollout == "FAILED" or is_other else {}
        self._door.call("ecs", "update_service", **filled(update(deployment, name, tasks), known), **anew)

    def _until_ready(self, name: str, release: str, deployment: Deployment, known: frozenset[str], tasks: int) -> Outcome:
        """known: tasks of the release that had ended before."""
        seconds = deployment.startup_timeout_s + START_MARGIN_S
        found: Outcome | None = self._waiting.until(lambda: self._started(name, release, tasks, known), seconds)
        ended = found or Outcome(False, f"{release} is not ready after {seconds:.0f} s")
        return ended if ended.ok else self._explained(ended, name, release, known)

    def _explained(self, failed: Outcome, name: str, release: str, known: frozenset[str]) -> Outcome:
        """Whose fault it was, and what ECS says: of a task that finds no place, only the service's events tell."""
        slot = self._present().slots.get(name)
        ended = [task.stop_code for task in self._stopped(release) if task.id not in known]
        has_run = bool(slot and slot.running) or any(code not in _NEVER_RAN for code in ended)
        events = slot.events[:_EVENTS] if slot and slot.release == release and not has_run else ()
        return replace(failed, evidence=(*self._reasons(release), *events), fault="release" if has_run else "target")

    def _started(self, name: str, release: str, wanted: int, known: frozenset[str]) -> Outcome | None:
        """None while nobody can tell."""
        present = self._present()
        slot = present.slots.get(name)
        if slot is None or slot.release != release:
            return None  # what ECS tells is a moment old
        if present.weights.get(name):  # autoscaling may take some away meanwhile
            wanted = min(wanted, slot.desired)
        healthy = len(seen.healthy_addresses(self._door, present, name))
        if slot.rollout == "COMPLETED" and healthy >= wanted and slot.running >= wanted:
            return Outcome()
        if slot.rollout == "FAILED":
            return Outcome(False, f"ECS gave {release} up: {slot.rollout_reason}")
        ended = [task for task in self._stopped(release) if task.id not in known and task.stop_code == CRASHED]
        if ended and not present.weights.get(name):  # what ends at its start does so again, and no caller waits for it
            return Outcome(False, f"the task ended with exit code {ended[-1].exit_code}")
        return None

    def _stopped(self, release: str) -> list[seen.Task]:
        return [task for task in seen.tasks(self._door, self._scope, self._present(), "STOPPED") if task.release == release]

    def _stopped_ids(self, release: str) -> frozenset[str]:
        return frozenset(task.id for task in self._stopped(release))

    def _reasons(self, release: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(task.reason for task in self._stopped(release) if task.reason))[-3:]

    def _stop(self, slot: Slot) -> None:
        """Autoscaling lets go of it first: it would bring the slot to its minimum again."""
        autoscaling.leave(self._door, self._scope, self._present().outputs["Cluster"], slot.name)
        self._set(slot, 0)
        self._waiting.until(lambda: self._no_tasks(slot.name), SETTLE_S)

    def _set(self, slot: Slot, tasks: int) -> None:
        cluster = self._present().outputs["Cluster"]
        self._door.call("ecs", "update_service", cluster=cluster, service=self._scope.service(slot.name), desiredCount=tasks)

    def _no_tasks(self, slot: str) -> bool | None:
        present = self._look()
        running = seen.tasks(self._door, self._scope, present) if present else []
        return None if any(task.slot == slot for task in running) else True

    # -- callers -----------------------------------------------------------------------------------------------------------

    def _weigh(self, present: Seen, deployment: Deployment, weights: dict[str, int]) -> Outcome:
        if present.rule and dict(present.weights) == weights:
            return Outcome()
        if present.rule:
            said = filled(actions(weights), present.outputs)
            self._door.call("elbv2", "modify_rule", RuleArn=present.rule, Actions=said)
        else:
            self._door.call("elbv2", "create_rule", **filled(rule(deployment, given(deployment), weights), present.outputs))
        # what the balancer tells may be a moment old
        if self._waiting.until(lambda: True if dict(self._present().weights) == weights else None, AGREE_S):
            return Outcome()
        now = dict(self._present().weights)
        return Outcome(False, f"the balancer has other weights than it was given: {now}", fault="target")

    def _identity(self, present: Seen, release: str) -> Outcome:
        """A service can be rolled back without anybody's word: its primary deployment has to be the release's."""
        live = present.live
        if live is None or live.release != release:
            return Outcome(False, f"callers reach {live.release if live else 'nothing'}, and not {release}", fault="target")
        return Outcome()

    def _content(self, family: str) -> str:
        told = self._door.call("ecs", "describe_task_definition", taskDefinition=family, include=["TAGS"])
        return next((tag["value"] for tag in told.get("tags") or () if tag["key"] == CONTENT), "")

    def _forget(self, family: str) -> None:
        for arn in self._door.all("ecs", "list_task_definitions", "taskDefinitionArns", familyPrefix=family, status="ACTIVE"):
            try:
                self._door.call("ecs", "deregister_task_definition", taskDefinition=arn)
            except Refused as no:
                if no.said != "ClientException":  # another command did it meanwhile
                    raise
