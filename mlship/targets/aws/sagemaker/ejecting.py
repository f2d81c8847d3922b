"""The same end state for CloudFormation alone: one complete template, or its two parts. Pure.

The calls of a release become resources: their bodies are those that `apply` sends. CloudFormation chooses the names of a model and a
configuration itself, because it has to make the next one beside them.
"""

from __future__ import annotations

from typing import Any

from mlship.targets.aws.documents import Template, in_template, variables_in
from mlship.targets.aws.given import Given
from mlship.targets.aws.sagemaker import releasing, scaling
from mlship.targets.aws.sagemaker.foundation import foundation, outputs_of, parameters
from mlship.targets.aws.sagemaker.names import SLOTS
from mlship.targets.base import Deployment

_IMAGE = {"Type": "String", "Description": "the image in a registry, by digest, in the form that SageMaker takes"}
_TYPES = {"SecurityGroups": "List<AWS::EC2::SecurityGroup::Id>"}
_LISTS = ("SecurityGroups",)
_FREE = ("Environment",)


def complete(deployment: Deployment, given: Given) -> Template:
    """Everything in one template. Its parameters: the image, and the network where a security group is made in it."""
    stands_on = foundation(deployment, given)
    known: dict[str, Any] = {**outputs_of(given), "Image": {"Ref": "Image"}}
    if given.subnets:
        known["SecurityGroups"] = list(given.security_groups) or [known["SecurityGroups"]]
    return {
        **stands_on,
        "Description": stands_on["Description"].replace("what releases of", "all of").replace(" stand on", ""),
        "Parameters": {**parameters(given), "Image": _IMAGE},
        "Resources": {**stands_on["Resources"], **_released(deployment, given, known)},
    }


def service_part(deployment: Deployment, given: Given) -> Template:
    """What a release is, on a foundation that is there: no role, no network, no policy. Its parameters are that one's outputs."""
    names = sorted(variables_in(releasing.model(deployment, given)) - {"Image"})
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"mlship: {deployment.release.id} of {deployment.project}, on what mlship's foundation made",
        "Parameters": {**{name: {"Type": _TYPES.get(name, "String")} for name in names}, "Image": _IMAGE},
        "Resources": _released(deployment, given, {name: {"Ref": name} for name in (*names, "Image")}),
    }


def _released(deployment: Deployment, given: Given, known: dict[str, Any]) -> dict[str, Any]:
    names, alone = releasing.names_of(deployment), releasing.alone(deployment, given, SLOTS[0])
    model = in_template(releasing.model(deployment, given), known, lists=_LISTS, free=_FREE)
    config = in_template(alone.config, known)
    endpoint = in_template(releasing.created(deployment, names.endpoint, alone.name), known)
    del model["ModelName"], config["EndpointConfigName"]
    config["ProductionVariants"][0]["ModelName"] = {"Fn::GetAtt": ["Model", "ModelName"]}
    endpoint["EndpointConfigName"] = {"Fn::GetAtt": ["Config", "EndpointConfigName"]}
    shifting = releasing.updated(deployment, alone.name, releasing.alarms(names, SLOTS[0]))["DeploymentConfig"]
    made = {
        "Model": _resource("AWS::SageMaker::Model", model),
        "Config": _resource("AWS::SageMaker::EndpointConfig", config),
        "Endpoint": _resource("AWS::SageMaker::Endpoint", {**endpoint, **_retained(), "DeploymentConfig": shifting}),
    }
    return {**made, **_scaled(deployment)}


def _retained() -> Template:
    return dict(releasing.RETAINED)


def _scaled(deployment: Deployment) -> dict[str, Any]:
    if not scaling.is_scaled(deployment):
        return {}
    names = releasing.names_of(deployment)
    registered = _resource("AWS::ApplicationAutoScaling::ScalableTarget", scaling.scalable(deployment, names, SLOTS[0]))
    registered["DependsOn"] = ["Endpoint"]
    if floors := scaling.scheduled(deployment, names, SLOTS[0]):
        own = ("ScheduledActionName", "Schedule", "Timezone", "ScalableTargetAction")
        registered["Properties"]["ScheduledActions"] = [{key: one[key] for key in own} for one in floors]
    policy = scaling.policy(deployment, names, SLOTS[0])
    said = {name: policy[name] for name in ("PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration")}
    followed = {**said, "ScalingTargetId": {"Ref": "ScalableTarget"}}
    return {
        "ScalableTarget": registered,
        "ScalingPolicy": _resource("AWS::ApplicationAutoScaling::ScalingPolicy", followed),
    }


def _resource(kind: str, properties: Template) -> Template:
    return {"Type": kind, "Properties": properties}
