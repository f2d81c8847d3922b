"""The same end state for CloudFormation alone: one complete template, or its two parts. Pure.

The calls of a release become resources: their bodies are those that `apply` sends, in CloudFormation's spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.targets.aws.ecs.foundation import Template, foundation, outputs_of, parameters
from mlship.targets.aws.ecs.releasing import WHOLE, Variable, rule, service, task_definition
from mlship.targets.aws.given import Given
from mlship.targets.base import Deployment

SLOT = "a"  # the first release's
_FREE_NAMES = ("Options",)  # maps whose keys are not CloudFormation's
_LISTS = ("Subnets", "SecurityGroups")
_TYPES = {"Subnets": "List<AWS::EC2::Subnet::Id>", "SecurityGroups": "List<AWS::EC2::SecurityGroup::Id>"}
_IMAGE = {"Type": "String", "Description": "the image in a registry, by digest: mlship build --push gives it"}


def complete(deployment: Deployment, given: Given) -> Template:
    """Everything in one template. Its parameters: the network, where mlship.yaml names none, and the image."""
    stands_on = foundation(deployment, given)
    known = {**outputs_of(given), **_own()}
    known["Subnets"] = list(given.subnets) or {"Ref": "Subnets"}
    known["SecurityGroups"] = list(given.security_groups) or [known["SecurityGroups"]]
    made = _released(deployment, given, known)
    return {
        **stands_on,
        "Description": stands_on["Description"].replace("what releases of", "all of").replace(" stand on", ""),
        "Parameters": {**parameters(given), "Image": _IMAGE},
        "Resources": {**stands_on["Resources"], **made},
    }


def service_part(deployment: Deployment, given: Given) -> Template:
    """What a release is, on a foundation that is there: no role, no network, no policy. Its parameters are that one's outputs."""
    names = sorted(_variables([task_definition(deployment, given), service(deployment, given, SLOT), _rule(deployment, given)]))
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
    return {"Image": {"Ref": "Image"}, "Region": {"Ref": "AWS::Region"}, "TaskDefinition": {"Ref": "TaskDefinition"}}


def _rule(deployment: Deployment, given: Given) -> dict[str, Any]:
    return rule(deployment, given, {SLOT: WHOLE, "b": 0})


def _released(deployment: Deployment, given: Given, known: Mapping[str, Any]) -> dict[str, Any]:
    callers = _spelled(_rule(deployment, given), known)
    del callers["Tags"]  # the resource has none in CloudFormation
    placed = _resource("AWS::ECS::Service", _spelled(service(deployment, given, SLOT), known))
    placed["DependsOn"] = ["Callers"]  # a target group that no listener leads to takes no service
    return {
        "TaskDefinition": _resource("AWS::ECS::TaskDefinition", _spelled(task_definition(deployment, given), known)),
        "Service": placed,
        "Callers": _resource("AWS::ElasticLoadBalancingV2::ListenerRule", callers),
    }


def _resource(kind: str, properties: Template) -> Template:
    return {"Type": kind, "Properties": properties}


def _spelled(document: Any, known: Mapping[str, Any], *, free: bool = False) -> Any:
    """An API's body in CloudFormation's spelling, its variables as references."""
    if isinstance(document, Variable):
        return known[document.name]
    if isinstance(document, Mapping):
        return {
            _name(key, free): _spelled(entry, known, free=_name(key, free) in _FREE_NAMES) for key, entry in document.items()
        }
    if isinstance(document, list):
        only = document[0] if len(document) == 1 else None
        if isinstance(only, Variable) and only.name in _LISTS:
            return known[only.name]
        return [_spelled(entry, known) for entry in document]
    return document


def _name(key: str, free: bool) -> str:
    return key if free else key[:1].upper() + key[1:]


def _variables(document: Any) -> set[str]:
    if isinstance(document, Variable):
        return {document.name}
    entries = document.values() if isinstance(document, Mapping) else document if isinstance(document, list) else ()
    return {name for entry in entries for name in _variables(entry)}
