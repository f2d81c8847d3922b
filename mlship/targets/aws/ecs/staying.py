"""What of a foundation that stands cannot become another one while callers use it, said in the plan.

A target group belongs to one balancer, and a balancer is internal or not for ever (TargetGroupAssociationLimit; CreateLoadBalancer, Scheme:
service model of botocore 1.44.5). CloudFormation would make the new one beside the old one under the same name, and fail; and services
of a cluster that is not asked any more would serve on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mlship.errors import Finding
from mlship.targets.aws import stack
from mlship.targets.aws.documents import Template
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.ecs.discovery import REGISTRY
from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import Scope
from mlship.targets.aws.stack_changes import is_of_same_service
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused

FIX = "say it as it was; else deploy it as another environment and lead callers there, or mlship destroy it first"


def findings(
    door: Door, scope: Scope, wanted: Template, parameters: Mapping[str, str], deployment: Deployment, has: Given
) -> Iterator[Finding]:
    """Nothing where an administrator made the stack, or where these credentials may not look at it."""
    present = stack.read(door, scope.stem)
    if present is not None and _is_of_ecs(present.outputs) and (REGISTRY in present.outputs) == has.is_balanced:
        yield refused(deployment, "targets.aws.balancer", other_form(scope, has), FIX, "not-in-place")
        return
    if present is None or present.spec == stack.OF_ADMINISTRATOR or not is_of_same_service(present, wanted):
        return
    try:
        said = door.call("cloudformation", "get_template", StackName=scope.stem)["TemplateBody"]
    except Refused:
        return
    document = json.loads(said) if isinstance(said, str) else said
    moved = list(differences(document.get("Resources", {}), wanted["Resources"]))
    if _last(present.outputs.get("Cluster", "")) not in ("", _last(has.cluster or scope.stem)):
        moved.append("targets.aws.cluster")
    if present.parameters.get("Vpc") and parameters.get("Vpc") not in (None, present.parameters["Vpc"]):
        moved.append("targets.aws.subnets")
    for key in moved:
        what = f"{key} is another one than what {scope.stem} was made with, and that cannot be changed while callers use it"
        yield refused(deployment, key, what, FIX, "not-in-place")


def other_form(scope: Scope, has: Given) -> str:
    """Why a project with a balancer cannot become one without, or the other way round."""
    before, after = ("without a balancer", "with one") if has.is_balanced else ("with a balancer", "without one")
    return f"{scope.stem} was made {before}, and is to be {after}: its callers come another way then, and nobody serves them meanwhile"


def _is_of_ecs(outputs: Mapping[str, str]) -> bool:
    return bool({"Listener", REGISTRY} & outputs.keys())


def differences(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Keys of mlship.yaml that name another balancer, or another zone of the tasks' name, than the one that is there. Pure."""
    before, after = (_property(resources, "Balancer", "Scheme") for resources in (present, wanted))
    if before and after and before != after:
        yield "public"
    listeners = [_property(resources, "SlotA", "ListenerArn") for resources in (present, wanted)]
    if all(listeners) and listeners[0] != listeners[1]:
        yield "targets.aws.listener"
    zones = [_property(resources, REGISTRY, "NamespaceId") for resources in (present, wanted)]
    if all(zones) and zones[0] != zones[1]:
        yield "targets.aws.namespace"


def _property(resources: Mapping[str, Any], name: str, key: str) -> Any:
    return resources.get(name, {}).get("Properties", {}).get(key)


def _last(name: str) -> str:
    """Of a name or an ARN."""
    return name.rpartition("/")[2]
