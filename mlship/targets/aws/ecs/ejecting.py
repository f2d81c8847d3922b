"""The same end state for CloudFormation alone: one complete template, or its two parts. Pure.

The calls of a release become resources: their bodies are those that `apply` sends, in CloudFormation's spelling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlship.targets.aws.documents import Template, in_template, variables_in
from mlship.targets.aws.ecs import movers
from mlship.targets.aws.ecs.foundation import foundation, outputs_of, parameters
from mlship.targets.aws.ecs.releasing import WHOLE, made_movable, rule, service, task_definition
from mlship.targets.aws.ecs.scaling import is_scaled, policy, scalable, scheduled
from mlship.targets.aws.ecs.traffic import by_ecs, configuration
from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment

SLOT = "a"  # the first release's
_FREE_NAMES = ("Options",)  # maps whose keys are not CloudFormation's
_LISTS = ("Subnets", "SecurityGroups")
_TYPES = {"Subnets": "List<AWS::EC2::Subnet::Id>", "SecurityGroups": "List<AWS::EC2::SecurityGroup::Id>"}
_IMAGE = {"Type": "String", "Description": "the image in a registry, by digest: mlship build --push gives it"}


def complete(deployment: Deployment, given: Given) -> Template:
    """Everything in one template. Its parameters: the network, where mlship.yaml names none, and the image."""
    stands_on = foundation(deployment, given)
    known = {**outputs_of(deployment, given), **_own()}
    known["Subnets"] = list(given.subnets) or {"Ref": "Subnets"}
    known["SecurityGroups"] = list(given.security_groups) or [known["SecurityGroups"]]
    watched = movers.alarms(given, Scope(deployment.project, deployment.environment)) if by_ecs(deployment, given) else {}
    made = _released(deployment, given, known, sorted(watched))
    return {
        **stands_on,
        "Description": stands_on["Description"].replace("what releases of", "all of").replace(" stand on", ""),
        "Parameters": {**parameters(given), "Image": _IMAGE},
        "Resources": {**stands_on["Resources"], **made},
    }


def service_part(deployment: Deployment, given: Given) -> Template:
    """What a release is, on a foundation that is there: no role, no network, no policy. Its parameters are that one's outputs."""
    bodies = [task_definition(deployment, given), _service(deployment, given)]
    if given.is_balanced:
        bodies.append(_rule(deployment, given))
    if is_scaled(deployment):
        bodies.append(policy(deployment, given, SLOT))
    names = sorted(variables_in(bodies))
    own = _own()
    asked = {name: {"Type": _TYPES.get(name, "String")} for name in names if name not in own}
    known: dict[str, Any] = {name: {"Ref": name} for name in asked}
    made = _released(deployment, given, {**known, **own})
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"mlship: {deployment.release.id} of {deployment.project}, on what mlship's foundation made",
        "Parameters": {**asked, "Image": _IMAGE},
        "Resources": made,
    }


def _own() -> dict[str, Any]:
    made = {name: {"Ref": name} for name in ("Image", "TaskDefinition")}
    return {**made, "Region": {"Ref": "AWS::Region"}, "Rule": {"Ref": "Callers"}}


def _rule(deployment: Deployment, given: Given) -> dict[str, Any]:
    return rule(deployment, given, {SLOT: WHOLE, "b": 0})


def _service(deployment: Deployment, given: Given) -> dict[str, Any]:
    """As its later releases have it, whichever slot they come to. Nobody continues a deployment of CloudFormation's, so it is not held."""
    made = service(deployment, given, SLOT)
    if not by_ecs(deployment, given):
        return made
    unheld = {key: entry for key, entry in configuration(deployment).items() if key != "lifecycleHooks"}
    return {**made, "deploymentConfiguration": unheld, "loadBalancers": made_movable(deployment, SLOT, SLOT)["loadBalancers"]}


def _released(deployment: Deployment, given: Given, known: Mapping[str, Any], after: Iterable[str] = ()) -> dict[str, Any]:
    """after: what of the same template the service needs, and does not name."""
    placed = _resource("AWS::ECS::Service", _spelled(_service(deployment, given), known))
    made = {
        "TaskDefinition": _resource("AWS::ECS::TaskDefinition", _spelled(task_definition(deployment, given), known)),
        "Service": placed,
    }
    waits = list(after)
    if given.is_balanced:
        callers = _spelled(_rule(deployment, given), known)
        del callers["Tags"]  # the resource has none in CloudFormation
        made["Callers"] = _resource("AWS::ElasticLoadBalancingV2::ListenerRule", callers)
        # a target group that no listener leads to takes no service; one that ECS moves names the rule
        waits = [*(() if by_ecs(deployment, given) else ("Callers",)), *after]
    if waits:
        placed["DependsOn"] = waits
    if not is_scaled(deployment):
        return made
    del placed["Properties"]["DesiredCount"]  # the next change of the stack would set it back
    return {**made, **_scaled(deployment, given, known)}


def _scaled(deployment: Deployment, given: Given, known: Mapping[str, Any]) -> dict[str, Any]:
    target = _resource("AWS::ApplicationAutoScaling::ScalableTarget", _spelled(scalable(deployment, given, SLOT), known))
    del target["Properties"]["Tags"]  # the resource has none in CloudFormation
    target["DependsOn"] = ["Service"]
    if floors := scheduled(deployment, given, SLOT):
        own = ("ScheduledActionName", "Schedule", "Timezone", "ScalableTargetAction")
        target["Properties"]["ScheduledActions"] = [{key: one[key] for key in own} for one in floors]
    tracked = _resource("AWS::ApplicationAutoScaling::ScalingPolicy", _spelled(policy(deployment, given, SLOT), known))
    tracked["DependsOn"] = ["Scaling"]
    return {"Scaling": target, "ScalingPolicy": tracked}


def _resource(kind: str, properties: Template) -> Template:
    return {"Type": kind, "Properties": properties}


def _spelled(document: Any, known: Mapping[str, Any]) -> Any:
    return in_template(document, known, lists=_LISTS, free=_FREE_NAMES)
