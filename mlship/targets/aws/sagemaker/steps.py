"""The steps of a release at SageMaker. Each looks first, changes what is not so yet, and looks again: none believes a status alone.

stage     a first release: the endpoint itself. Later: one machine at an endpoint of its own, where no caller comes; where callers are
          moved by weights, a second variant of the endpoint, at weight 0. What was committed once has proven itself: the only call
          of a rollback, UpdateEndpoint, is made here
weigh     SageMaker's own shifting begins, or the weights of two variants change
shift     the endpoint has the release's configuration and no other one
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil
from typing import Any

from mlship.errors import Finding
from mlship.progress import Progress
from mlship.targets.aws.delivery import Images
from mlship.targets.aws.door import Door
from mlship.targets.aws.given import Given, given
from mlship.targets.aws.sagemaker import releasing, scaling
from mlship.targets.aws.sagemaker.belongings import Belongings
from mlship.targets.aws.sagemaker.endpoints import Endpoints
from mlship.targets.aws.sagemaker.kept import configured, kept
from mlship.targets.aws.sagemaker.names import SLOTS, Names
from mlship.targets.aws.sagemaker.releasing import Alone
from mlship.targets.aws.sagemaker.seen import Endpoint, Seen, Variant
from mlship.targets.aws.sagemaker.traffic import by_weights, policy, seconds
from mlship.targets.aws.stack import Waiting
from mlship.targets.base import Action, Deployment, Outcome


class Steps:
    """Implements the actions of targets.base.Action for one project in one environment."""

    def __init__(
        self,
        door: Door,
        names: Names,
        images: Images,
        waiting: Waiting,
        progress: Progress,
        last_lines: Callable[[str], tuple[str, ...]],
    ) -> None:
        self._door = door
        self._names = names
        self.images = images
        self._belongings = Belongings(door, names, images, waiting, progress)
        self._endpoints = Endpoints(door, names, waiting, last_lines)

    # -- actions -----------------------------------------------------------------------------------------------------------

    def deliver(self, deployment: Deployment) -> Outcome:
        """The foundation stands, the registry has the image, and SageMaker knows the release as a model."""
        self._refuse_foreign()
        has = given(deployment)
        made = self._belongings.found(deployment, has)
        if made.ok:
            self._belongings.model(deployment, has)
        return made

    def stack_changes(self, deployment: Deployment) -> tuple[Finding, ...]:
        return self._belongings.stack_changes(deployment)

    def stage(self, action: Action, deployment: Deployment, *, was_committed: bool) -> Outcome:
        """was_committed: the release has served before."""
        has, main = given(deployment), self._settled()
        if main is not None and main.status == "Failed":
            if any(variant.count for variant in main.variants):  # callers may still be answered
                return Outcome(False, f"SageMaker has {main.name} Failed, and takes no update: {main.reason}", fault="target")
            self._endpoints.delete(main.name)  # it never came up
            main = None
        if main is None and deployment.strategy.approve != "manual":
            return self._created(deployment, has)
        if main is None:
            return self._checked(deployment, has)
        if main.is_pair and main.of(action.release):
            return Outcome()
        if main.is_pair:
            alone_again = self._only(main, main.serving.slot if main.serving else SLOTS[0])
            if not alone_again.ok:
                return alone_again
        if was_committed or main.of(action.release):
            return self._back_to(deployment, has)
        return self._paired(deployment, has) if by_weights(deployment) else self._checked(deployment, has)

    def weigh(self, action: Action, deployment: Deployment) -> Outcome:
        has, main = given(deployment), self._main()
        if main is None:
            return Outcome(False, f"{self._names.endpoint} is gone", fault="target")
        wanted = releasing.alone(deployment, has, self._slot(main, action.release))
        if wanted.name in (main.config, main.pending):
            return self._endpoints.shifting(wanted.name, action.release, seconds(policy(deployment)))
        if not main.is_pair and by_weights(deployment):  # it was begun with steps that SageMaker makes itself
            beside = self._paired(deployment, has)
            if not beside.ok:
                return beside
            main = self._main() or main
        if main.is_pair:
            return self._weighed(main, action, deployment)
        self._endpoints.configure(wanted)
        self._endpoints.begin(self._shifting(main, deployment, wanted))
        return self._endpoints.shifting(wanted.name, action.release, seconds(policy(deployment)))

    def shift(self, action: Action, deployment: Deployment) -> Outcome:
        has, main = given(deployment), self._main()
        moved = self._created(deployment, has) if main is None else self._moved(main, action, deployment, has)
        if not moved.ok:
            return moved
        self._endpoints.delete(self._names.check)
        main = self._main()
        if main is None or main.is_pair or main.of(action.release) is None:
            present = main.config if main else "nothing"
            return Outcome(False, f"callers reach {present}, and not {action.release}", fault="target")
        return self._sized(main, action.release, deployment)

    def restore(self, action: Action, deployment: Deployment) -> Outcome:
        """Callers first: by weights that takes seconds, else SageMaker's own update is taken back, or made backwards. Then autoscaling
        is as it was: an update to machines of another type has it leave. deployment: as it was operated before.
        """
        if not action.before:
            return self.discard(action)
        main = self._main()
        if main is not None and main.pending and self._names.release_of(main.pending) == action.release:
            self._endpoints.stop(self._slot(main, action.before))
        main = self._settled()
        if main is None:
            return Outcome(False, f"{self._names.endpoint} is gone", fault="target")
        back = self._served_again(main, action.before)
        if back.ok:
            again = self._main()
            scaling.follow(self._door, deployment, self._names, self._slot(again or main, action.before))
        is_other = action.release != action.before  # else only how it is operated has failed
        return self.discard(replace(action, before="")) if back.ok and is_other else back

    def discard(self, action: Action) -> Outcome:
        """Its machines go, after its callers: to the release before, else nobody is led anywhere any more."""
        release = action.release
        check = self._endpoints.look(self._names.check)
        if check is not None and (check.of(release) or self._names.release_of(check.config) == release):
            self._endpoints.delete(check.name)
        main = self._main()
        if main is None or (main.of(release) is None and self._names.release_of(main.pending) != release):
            return Outcome()
        main = self._settled()
        if main is None or main.of(release) is None:
            return Outcome()
        others = [variant.release for variant in main.variants if variant.release != release]
        before = action.before or next(iter(others), "")
        if before:
            return self._served_again(main, before)
        if main.status == "UpdateRollbackFailed":  # callers are answered by a mix of releases
            return Outcome(False, f"SageMaker has {main.name} {main.status}: {main.reason}", fault="target")
        self._endpoints.leave(SLOTS)
        self._endpoints.delete(main.name)
        return Outcome()

    def retire(self, subjects: tuple[str, ...], kept: frozenset[str]) -> Outcome:
        """kept: contents that stay."""
        return self._belongings.retire(subjects, kept)

    def operate(self, deployment: Deployment, before: Mapping[str, str]) -> Outcome:
        """Only how it is operated: other machines where their type is another one. before: labels that were said until now."""
        has = given(deployment)
        made = self._belongings.found(deployment, has)
        if not made.ok:
            return made
        main = self._settled()
        variant = main.of(deployment.release.id) if main else None
        if main is None or variant is None:
            return Outcome(False, f"{self._names.endpoint} does not serve {deployment.release.id}", fault="target")
        if not main.is_pair:
            self._belongings.model(deployment, has)
            changed = self._back_to(deployment, has)
            if not changed.ok:
                return changed
        self._belongings.tag(main, deployment, before)
        return self._sized(main, variant.release, deployment)

    def destroy(self) -> Outcome:
        """Callers first, then what served them, then what that stood on; only what is ours."""
        self._refuse_foreign()
        self._endpoints.leave(SLOTS)
        for name in (self._names.endpoint, self._names.check):
            self._endpoints.delete(name)
        return self._belongings.destroy()

    def _refuse_foreign(self) -> None:
        """Raises MlshipError for an endpoint of this name that somebody else has made."""
        for one in filter(None, (self._main(), self._endpoints.look(self._names.check))):
            told = self._door.all("sagemaker", "list_tags", "Tags", ResourceArn=one.arn)
            self._names.scope.refuse_foreign(f"the endpoint {one.name}", {tag["Key"]: tag["Value"] for tag in told})

    def _main(self) -> Endpoint | None:
        return self._endpoints.look(self._names.endpoint)

    def _settled(self) -> Endpoint | None:
        return self._endpoints.settled(self._names.endpoint)

    def _slot(self, main: Endpoint, release: str) -> str:
        return Seen({}, main).slot_of(release)

    # -- staging -----------------------------------------------------------------------------------------------------------

    def _created(self, deployment: Deployment, has: Given) -> Outcome:
        """Nobody knows the endpoint before."""
        self._endpoints.delete(self._names.check)
        wanted = releasing.alone(deployment, has, SLOTS[0])
        self._endpoints.configure(wanted)
        body = releasing.created(deployment, self._names.endpoint, wanted.name)
        return self._endpoints.create(body, deployment.release.id)

    def _checked(self, deployment: Deployment, has: Given) -> Outcome:
        """One machine beside the endpoint, on the same model, type, role and network."""
        wanted = releasing.check(deployment, has)
        present = self._endpoints.settled(self._names.check)
        if present is not None and present.is_well and present.config == wanted.name:
            return Outcome()
        self._endpoints.delete(self._names.check)
        self._endpoints.configure(wanted)
        body = releasing.created(deployment, self._names.check, wanted.name)
        return self._endpoints.create(body, deployment.release.id)

    def _paired(self, deployment: Deployment, has: Given) -> Outcome:
        """A second variant at weight 0. The one that serves keeps its machines' number."""
        main = self._settled()
        serving = main.serving if main else None
        if serving is None:
            return Outcome(False, f"nobody is led anywhere by {self._names.endpoint}", fault="target")
        wanted = releasing.pair(deployment, has, configured(serving.told), max(serving.desired, 1))
        self._endpoints.configure(wanted)
        return self._endpoints.update(releasing.plainly_updated(deployment, wanted.name), deployment.release.id)

    def _back_to(self, deployment: Deployment, has: Given) -> Outcome:
        """One call: a configuration that served before serves again."""
        main = self._main()
        slot = self._slot(main, deployment.release.id) if main else SLOTS[0]
        wanted = releasing.alone(deployment, has, slot)
        if main is not None and wanted.name == main.config and not main.pending:
            return Outcome()
        self._endpoints.configure(wanted)
        if main is not None and main.serving and main.serving.told.get("InstanceType") != releasing.instance_type(deployment):
            self._endpoints.leave(SLOTS)
        return self._endpoints.update(releasing.plainly_updated(deployment, wanted.name), deployment.release.id)

    # -- callers -----------------------------------------------------------------------------------------------------------

    def _weighed(self, main: Endpoint, action: Action, deployment: Deployment) -> Outcome:
        after = main.of(action.release)
        if after is None:
            return Outcome(False, f"no variant has {action.release}", fault="target")
        others = [variant.slot for variant in main.variants if variant.slot != after.slot]
        grown = self._grown(main, after, action.share, deployment)
        if not grown.ok:
            return grown
        moved = self._endpoints.weigh({after.slot: action.share, **dict.fromkeys(others, 1 - action.share)})
        if moved.ok:
            scaling.follow(self._door, deployment, self._names, after.slot)
        return moved

    def _grown(self, main: Endpoint, after: Variant, share: float, deployment: Deployment) -> Outcome:
        """More machines before more callers: as many of those that serve now as its share is."""
        serving = max(variant.desired for variant in main.variants)
        needed = min(max(ceil(share * serving), deployment.replicas[0]), deployment.replicas[1])
        return self._endpoints.resize(after.slot, needed) if needed > after.desired else Outcome()

    def _sized(self, main: Endpoint, release: str, deployment: Deployment) -> Outcome:
        """Within the range of replicas: an update keeps the number of machines, which autoscaling or a person may have set."""
        variant = main.of(release)
        assert variant is not None, "who asks for it has looked"
        scaling.follow(self._door, deployment, self._names, variant.slot)
        count = min(max(variant.desired, deployment.replicas[0]), deployment.replicas[1])
        return self._endpoints.resize(variant.slot, count) if count != variant.desired else Outcome()

    def _moved(self, main: Endpoint, action: Action, deployment: Deployment, has: Given) -> Outcome:
        slot = self._slot(main, action.release)
        wanted = releasing.alone(deployment, has, slot)
        if wanted.name in (main.config, main.pending):
            return self._endpoints.became(main.name, wanted.name, action.release)
        if main.is_pair and main.of(action.release):
            weighed = self._weighed(main, replace(action, share=1.0), deployment)
            return weighed if not weighed.ok else self._only(main, slot, wanted)
        self._endpoints.configure(wanted)
        longest = seconds(policy(deployment))
        return self._endpoints.update(self._shifting(main, deployment, wanted), action.release, longest)

    def _shifting(self, main: Endpoint, deployment: Deployment, wanted: Alone) -> dict[str, Any]:
        """SageMaker's own shifting; all at once where the machines are of another type, which autoscaling has to leave before."""
        slot = self._slot(main, deployment.release.id)
        if main.serving and main.serving.told.get("InstanceType") != releasing.instance_type(deployment):
            self._endpoints.leave(SLOTS)
        return releasing.updated(deployment, wanted.name, releasing.alarms(self._names, slot))

    def _only(self, main: Endpoint, slot: str, wanted: Alone | None = None) -> Outcome:
        """The variant of the slot alone, with its machines; wanted: its configuration, a kept one where nobody says."""
        release = next(variant.release for variant in main.variants if variant.slot == slot)
        chosen = wanted or kept(self._door, self._names, release, slot)
        if chosen is None:
            return Outcome(False, f"SageMaker has no configuration of {release} any more", fault="target")
        self._endpoints.configure(chosen)
        self._endpoints.leave(tuple(one for one in SLOTS if one != slot))
        body = {"EndpointName": main.name, "EndpointConfigName": chosen.name, **releasing.RETAINED}
        return self._endpoints.update(body, release)

    def _served_again(self, main: Endpoint, before: str) -> Outcome:
        """What served before, alone."""
        variant = main.of(before)
        if variant is not None and main.is_pair:
            others = [one.slot for one in main.variants if one.slot != variant.slot]
            back = self._endpoints.weigh({variant.slot: 1.0, **dict.fromkeys(others, 0.0)})
            return back if not back.ok else self._only(main, variant.slot)
        if variant is not None and main.is_well:
            return Outcome()
        slot = self._slot(main, before)
        chosen = kept(self._door, self._names, before, slot)
        if chosen is None:
            return Outcome(False, f"SageMaker has no configuration of {before} any more", fault="target")
        self._endpoints.configure(chosen)
        body = {"EndpointName": main.name, "EndpointConfigName": chosen.name, **releasing.RETAINED}
        return self._endpoints.update(body, before)
