"""The steps of a release at ECS. Each looks first, changes what is not so yet, and looks again: none believes a status alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mlship.errors import Finding, MlshipError
from mlship.oci.layout import Layout
from mlship.progress import Progress
from mlship.targets.aws import secrets, stack, stack_changes
from mlship.targets.aws.change_sets import Wanted
from mlship.targets.aws.delivery import Images
from mlship.targets.aws.documents import filled
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.ecs import autoscaling, callers, linked_role, network, priorities, seen, staying, tagging
from mlship.targets.aws.ecs.foundation import INFRASTRUCTURE, Kept, foundation
from mlship.targets.aws.ecs.in_place import InPlace
from mlship.targets.aws.ecs.movers import ERROR_RATE
from mlship.targets.aws.ecs.moves import Moves, can_move
from mlship.targets.aws.ecs.releasing import WHOLE, actions, rule, task_definition
from mlship.targets.aws.ecs.scaling import is_scaled
from mlship.targets.aws.ecs.seen import Seen
from mlship.targets.aws.ecs.services import Services
from mlship.targets.aws.ecs.traffic import in_words, why_weights
from mlship.targets.aws.given import Given, given
from mlship.targets.aws.scope import CONTENT, SLOTS, Scope
from mlship.targets.aws.stack import Waiting
from mlship.targets.base import Action, Deployment, Outcome
from mlship.targets.plan import shares_before_all

PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
AGREE_S = 60.0


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
        self._moves = Moves(door, scope, waiting)
        self._services = Services(door, scope, waiting, self._moves)
        self._in_place = InPlace(door, scope, waiting, self._services, progress)
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

    def stage(self, action: Action, deployment: Deployment, *, was_committed: bool = False, begun: float = -1.0) -> Outcome:
        """was_committed: the release has served before, so its callers are moved at once. begun: the share of the callers that it is
        recorded to have been given; negative where none is.
        """
        present = self._present()
        if not present.is_balanced:
            return self._in_place.stage(present, action.release, deployment)
        move = self._moves.of(present, action.release)
        if move is not None and (move.is_on or move.is_going_back):
            return self._services.held(action.release, deployment)
        if move is not None and move.is_taken_back and begun >= 0 and (begun or move.alarms):
            return move.set_back  # nobody looked when it happened
        live = present.live
        if live is not None and not was_committed and self._services.is_moved(present, live, action, deployment):
            return self._services.begin(present, live, action.release, deployment)
        share = next(iter(shares_before_all(deployment.strategy)), 1.0)
        tasks = self._services.tasks(present, action.release, deployment, share)
        if deployment.strategy.name == "recreate" and action.before not in ("", action.release):
            before = present.of(action.before)
            if before is not None:
                self._services.stop(before)
                present = self._present()
        return self._services.run(present, action.release, deployment, tasks)

    def weigh(self, action: Action, deployment: Deployment) -> Outcome:
        present = self._present()
        if not present.is_balanced:
            return Outcome(False, "without a balancer no callers can be shared", fault="target")
        if self._moves.of(present, action.release) is not None:
            return self._moves.reached(action.release, action.share, deployment)
        after = present.of(action.release)
        if after is None:
            return Outcome(False, f"no service has {action.release}", fault="target")
        grown = self._services.grown(present, after, deployment, action.share)
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
            autoscaling.follow(self._door, deployment, given(deployment), after, present.outputs)
        return led

    def shift(self, action: Action, deployment: Deployment) -> Outcome:
        present = self._present()
        if not present.is_balanced:
            return self._in_place.shift(action.release, deployment)
        is_theirs = self._moves.of(present, action.release) is not None
        moved = (
            self._moves.done(action.release, deployment) if is_theirs else self.weigh(replace(action, share=1.0), deployment)
        )
        if not moved.ok:
            return moved
        present = self._present()
        right = self._identity(present, action.release)
        if not right.ok:
            return right
        for slot in present.slots.values():
            if (slot.desired or slot.is_moved) and not present.weights.get(slot.name):
                self._services.stop(slot)
        return self._identity(self._present(), action.release)

    def restore(self, action: Action, deployment: Deployment) -> Outcome:
        now = self._look()
        if now is not None and not now.is_balanced:
            return self._in_place.restore(now, action.before, deployment)
        taken = self._moves.take_back(action.release) if now is not None else Outcome()
        if not taken.ok:
            return taken
        present = self._present()
        if not action.before:
            return self.discard(action.release)
        slot = present.of(action.before)
        if slot is None or not slot.desired:
            tasks = self._services.tasks(present, action.before, deployment)
            started = self._services.run(present, action.before, deployment, tasks)
            if not started.ok:
                return started
            present = self._present()
        elif (tasks := self._services.tasks(present, action.before, deployment)) > slot.desired:
            self._services.set(slot, tasks)  # whoever waits for them has callers of a release that failed
        back = self._led(present, Action("weigh", action.before), deployment)
        is_other = action.release != action.before  # else only how it is operated has failed
        return self.discard(action.release) if back.ok and is_other else back

    def discard(self, release: str, live: str = "", deployment: Deployment | None = None) -> Outcome:
        """Its tasks go, after its callers: to the other release where that has callers, else to the live one, which is started for
        them. Where nothing is live nobody is led anywhere any more. deployment: as that one is operated.
        """
        present = self._look()
        if present is not None and not present.is_balanced and deployment is not None:
            return self._in_place.discard(present, release, live, deployment)
        taken = self._moves.take_back(release) if present is not None else Outcome()
        if not taken.ok:
            return taken
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
        if slot.desired or slot.is_moved:
            self._services.stop(slot)
        return Outcome()

    def retire(self, subjects: tuple[str, ...], kept: frozenset[str]) -> Outcome:
        """The task definitions of releases that are let go, and their images where no other release has the same content.

        kept: contents that stay.
        """
        known = seen.families(self._door, self._scope)
        going = [known[release] for release in subjects if release in known]
        gone = {content for family in going if (content := self._content(family))} - kept
        present = self._look()
        notes = self.images.remove(present.outputs["Repository"], gone) if present is not None and gone else ()
        for family in going:
            self._forget(family)
        return Outcome(notes=notes)

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
        known = self._services.stopped_ids(slot.release)
        least, most = deployment.replicas
        tasks = min(max(slot.desired, least), most)
        if not is_scaled(deployment):
            autoscaling.leave(self._door, self._scope, present.outputs["Cluster"], slot.service)
        bought = self._services.buy_anew(present, slot, deployment)
        if not bought.ok:
            return bought
        present = self._present()
        slot = present.of(deployment.release.id) or slot
        # between a look and a change autoscaling may have set another number
        own = None if is_scaled(deployment) and tasks == slot.desired else tasks
        self._services.placed(present, slot, slot.name, slot.task_definition, deployment, own)
        if is_scaled(deployment):
            autoscaling.follow(self._door, deployment, has, slot, present.outputs)
        tagging.relabel(self._door, self._scope, (slot.arn, present.rule), former, deployment.labels)
        return self._services.until_ready(slot.name, slot.release, deployment, known, tasks)

    def destroy(self) -> Outcome:
        """Callers first, then what served them, then what that stood on; only what is called ours."""
        present = self._look()
        if present is not None:
            if present.rule:
                self._door.call("elbv2", "delete_rule", RuleArn=present.rule)
            self._services.end(present.services)
        for family in seen.families(self._door, self._scope).values():
            self._forget(family)
        return stack.delete(self._door, self._scope.stem, self._waiting)

    # -- the foundation ------------------------------------------------------------------------------------------------

    def _found(self, deployment: Deployment, has: Given) -> Outcome:
        self._progress.step("stack", self._scope.stem)
        present = self._look()
        if present is not None and present.is_balanced != has.is_balanced:
            return Outcome(False, staying.other_form(self._scope, has), (staying.FIX,), fault="target")
        wanted = self._wanted(deployment, has, network.parameters_for(self._door, has))
        if "Cluster" in wanted.template["Resources"] and stack.read(self._door, self._scope.stem) is None:
            linked_role.ensure(self._door)
        if present is not None and has.is_balanced:
            priorities.follow(self._door, self._scope, present.outputs, has.priority)
        made = stack.converge(self._door, wanted, self._waiting)
        lacking = set(wanted.template["Outputs"]) - {INFRASTRUCTURE} - set(self._present().outputs) if made.ok else set()
        if lacking:  # an administrator's stack is not changed by us
            what = f"the stack {self._scope.stem} was made for something else: it does not tell {', '.join(sorted(lacking))}"
            return Outcome(False, what, ("apply mlship render --target aws --part foundation again",), fault="target")
        if made.ok:
            callers.follow(self._door, has, self._present())
        return made

    def stack_changes(self, deployment: Deployment) -> tuple[Finding, ...]:
        """What the foundation's stack becomes, for the plan."""
        has = given(deployment)
        try:
            parameters = network.parameters_for(self._door, has)
        except MlshipError:  # the preflight has said it
            parameters = {}
        wanted = self._wanted(deployment, has, parameters)
        return (
            *stack_changes.findings(self._door, wanted, self._waiting),
            *staying.findings(self._door, self._scope, wanted.template, parameters, deployment, has),
        )

    def who_moves(self, deployment: Deployment) -> tuple[Finding, ...]:
        """Who moves the callers of a release that is watched, for the plan."""
        if not shares_before_all(deployment.strategy):
            return ()
        why = why_weights(deployment, given(deployment))
        present = stack.read(self._door, self._scope.stem)
        if not why and present is not None and present.spec == stack.OF_ADMINISTRATOR and INFRASTRUCTURE not in present.outputs:
            why = (
                f"the stack {self._scope.stem} was applied without what ECS needs for it (render --part foundation has it now)"
            )
        if why:
            return (
                Finding(
                    f"mlship moves the callers, and has to run until they are moved: {why}", severity="note", code="moved-by"
                ),
            )
        what = f"ECS moves the callers itself: {in_words(deployment.strategy)}. It goes on without this command"
        alarmed = f"{what}, and takes the release back where more than {ERROR_RATE:.0%} of a minute's requests fail"
        return (Finding(alarmed, severity="note", code="moved-by"),)

    def _wanted(self, deployment: Deployment, has: Given, parameters: Mapping[str, str]) -> Wanted:
        template = foundation(deployment, has, self._kept(deployment))
        asked = {name: text for name, text in parameters.items() if name in template["Parameters"]}
        return Wanted(self._scope.stem, template, asked, self._scope.tags("foundation", deployment.labels))

    def _kept(self, deployment: Deployment) -> Kept:
        """What tasks need that run now: one that is started again must find it."""
        present = self._look()
        if present is None:
            return Kept()
        running = [slot.task_definition for slot in present.slots.values() if slot.desired]
        read = {arn for definition in running for arn in seen.secrets_of(self._door, definition)}
        known = deployment.references.values()
        others = frozenset(arn for arn in read if not any(secrets.covers(reference, arn) for reference in known))
        return Kept(others, "OperatorKey" in present.outputs, can_move(present))

    def _look(self) -> Seen | None:
        return seen.look(self._door, self._scope)

    def _present(self) -> Seen:
        """Raises MlshipError never: every step but the first stands on the foundation."""
        found = self._look()
        assert found is not None, "deliver makes the foundation"
        return found

    # -- callers -----------------------------------------------------------------------------------------------------------

    def _weigh(self, present: Seen, deployment: Deployment, weights: dict[str, int]) -> Outcome:
        if present.rule and _same(present.weights, weights):
            return Outcome()
        if present.rule:
            said = filled(actions(weights), present.outputs)
            self._door.call("elbv2", "modify_rule", RuleArn=present.rule, Actions=said)
        else:
            self._door.call("elbv2", "create_rule", **filled(rule(deployment, given(deployment), weights), present.outputs))
        # what the balancer tells may be a moment old
        if self._waiting.until(lambda: True if _same(self._present().weights, weights) else None, AGREE_S):
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


def _same(told: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
    """Whether the callers are shared so. ECS' own weights may have another whole than ours."""
    whole = sum(told.values())
    return bool(whole) and all(told.get(slot, 0) * WHOLE == weight * whole for slot, weight in wanted.items())
