"""What a project has at AWS beside its endpoints: the stack, models, configurations, images, tags."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.errors import Finding, MlshipError
from mlship.progress import Progress
from mlship.targets.aws import stack, stack_changes
from mlship.targets.aws.change_sets import Wanted
from mlship.targets.aws.delivery import Images
from mlship.targets.aws.documents import cfn_tags, filled
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.given import Given, given
from mlship.targets.aws.sagemaker import network, releasing, seen
from mlship.targets.aws.sagemaker.foundation import foundation
from mlship.targets.aws.sagemaker.names import SLOTS, Names
from mlship.targets.aws.sagemaker.seen import Endpoint
from mlship.targets.aws.scope import CONTENT
from mlship.targets.aws.stack import Waiting
from mlship.targets.base import Deployment, Outcome

PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}


class Belongings:
    """Of one project in one environment."""

    def __init__(self, door: Door, names: Names, images: Images, waiting: Waiting, progress: Progress) -> None:
        self._door = door
        self._names = names
        self._images = images
        self._waiting = waiting
        self._progress = progress

    def found(self, deployment: Deployment, has: Given) -> Outcome:
        self._progress.step("stack", self._names.scope.stem)
        wanted = self._wanted(deployment, has, network.parameters_for(self._door, has))
        return stack.converge(self._door, wanted, self._waiting)

    def stack_changes(self, deployment: Deployment) -> tuple[Finding, ...]:
        """What the stack becomes, for the plan."""
        has = given(deployment)
        try:
            parameters = network.parameters_for(self._door, has)
        except MlshipError:  # the preflight has said it
            parameters = {}
        return tuple(stack_changes.findings(self._door, self._wanted(deployment, has, parameters), self._waiting))

    def _wanted(self, deployment: Deployment, has: Given, parameters: Mapping[str, str]) -> Wanted:
        scope = self._names.scope
        return Wanted(scope.stem, foundation(deployment, has), parameters, scope.tags("foundation", deployment.labels))

    def model(self, deployment: Deployment, has: Given) -> None:
        wanted = releasing.model(deployment, has)
        if wanted["ModelName"] in seen.models(self._door, self._names):
            return
        found = stack.read(self._door, self._names.scope.stem)
        assert found is not None, "it was made before"
        platform = PLATFORMS[releasing.architecture(deployment)]
        content = deployment.release.served.content
        reference = self._images.deliver(found.outputs["Repository"], content, platform)
        self._door.call("sagemaker", "create_model", **filled(wanted, {**found.outputs, "Image": reference}))

    def retire(self, subjects: tuple[str, ...], kept: frozenset[str]) -> Outcome:
        """Configurations and models of releases that are let go, and their images where no other release has the same content.

        kept: contents that stay. Configurations of what was staged go, too, unless they serve.
        """
        present = seen.look(self._door, self._names)
        ends = (present.main, present.check) if present else ()
        in_use = {name for one in ends if one is not None for name in (one.config, one.pending)}
        for name, release in seen.configs(self._door, self._names).items():
            passing = self._names.kind_of(name) not in SLOTS
            if name not in in_use and (release in subjects or passing):
                self._forget("delete_endpoint_config", EndpointConfigName=name)
        going = {name: arn for name, (release, arn) in seen.models(self._door, self._names).items() if release in subjects}
        gone = {content for arn in going.values() if (content := self._content(arn))} - kept
        notes = self._images.remove(present.outputs["Repository"], gone) if present is not None and gone else ()
        for name in going:
            self._forget("delete_model", ModelName=name)
        return Outcome(notes=notes)

    def destroy(self) -> Outcome:
        """All of it; the endpoints are gone by then."""
        for name in seen.configs(self._door, self._names):
            self._forget("delete_endpoint_config", EndpointConfigName=name)
        for name in seen.models(self._door, self._names):
            self._forget("delete_model", ModelName=name)
        return stack.delete(self._door, self._names.scope.stem, self._waiting)

    def tag(self, main: Endpoint, deployment: Deployment, before: Mapping[str, str]) -> None:
        """The endpoint's tags; labels that are not said any more go, and those of others stay."""
        wanted = self._names.scope.tags("front", deployment.labels)
        self._door.call("sagemaker", "add_tags", ResourceArn=main.arn, Tags=cfn_tags(wanted))
        if stale := sorted(set(before) - set(wanted)):
            self._door.call("sagemaker", "delete_tags", ResourceArn=main.arn, TagKeys=stale)

    def _content(self, arn: str) -> str:
        told = self._door.all("sagemaker", "list_tags", "Tags", ResourceArn=arn)
        return next((tag["Value"] for tag in told if tag["Key"] == CONTENT), "")

    def _forget(self, operation: str, **name: str) -> None:
        try:
            self._door.call("sagemaker", operation, **name)
        except Refused as no:
            if no.said != seen.MISSING:  # another command did it meanwhile
                raise
