"""What each release sends to SageMaker: the bodies of its calls. Pure; `render` shows what `apply` sends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from mlship.targets.aws.caller_sagemaker import PUSH as PUSH
from mlship.targets.aws.documents import Body, Variable, cfn_tags
from mlship.targets.aws.given import Given
from mlship.targets.aws.sagemaker.names import CHECK, PAIR, SLOTS, Names
from mlship.targets.aws.sagemaker.traffic import policy
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment
from mlship.targets.variables import variables_of_user

# SageMaker sends SIGKILL 30 s after SIGTERM (caller_sagemaker.py); it has let go of the machine by then.
GRACE_S = 30
DRAIN_MARGIN_S = 5
LEAST_START_S, MOST_START_S = 60, 3600  # ContainerStartupHealthCheckTimeoutInSeconds (service model of botocore 1.44.5)
START_MARGIN_S = 60  # beside the server's own start
WHOLE = 1.0
# Types with storage of their own encrypt it themselves, and refuse a key (CreateEndpointConfig, KmsKeyId; botocore 1.44.5).
_LOCAL_STORAGE = re.compile(r"(g|p|trn|dl|inf)\d.*|[a-z]\d+[a-z]*d[a-z]*")
_GRAVITON = re.compile(r"[a-z]\d+g[a-z]*")
RETAINED: Body = {
    "RetainAllVariantProperties": True,  # the number of machines is autoscaling's, and a person's
    "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
}


@dataclass(frozen=True)
class Alone:
    """A release as the only one of its endpoint. config: CreateEndpointConfig. name: of that configuration."""

    name: str
    config: Body


def names_of(deployment: Deployment) -> Names:
    return Names(Scope(deployment.project, deployment.environment))


def model(deployment: Deployment, given: Given) -> Body:
    """CreateModel."""
    names = names_of(deployment)
    said: Body = {
        "PrimaryContainer": {
            "Image": Variable("Image"),
            "Mode": "SingleModel",
            "Environment": dict(sorted(_environment(deployment).items())),
        },
        "ExecutionRoleArn": Variable("ExecutionRole"),
    }
    if given.subnets:
        said["VpcConfig"] = {"Subnets": list(given.subnets), "SecurityGroupIds": [Variable("SecurityGroups")]}
    release = deployment.release
    made_of = [said, release.served.content, given.repository, dict(given.roles), list(given.security_groups)]
    return {"ModelName": names.model(release.id, made_of), **said, "Tags": _tags(deployment)}


def alone(deployment: Deployment, given: Given, slot: str) -> Alone:
    """The release by itself. Its name says nothing of the number of machines, which changes while it serves."""
    said = [variant(deployment, given, slot, deployment.replicas[0])]
    named = [{**one, "InitialInstanceCount": 0} for one in said]
    return _config(deployment, given, slot, said, named)


def check(deployment: Deployment, given: Given) -> Alone:
    """The release on one machine, at an endpoint that no caller knows."""
    said = [variant(deployment, given, SLOTS[0], 1)]
    return _config(deployment, given, CHECK, said, said)


def pair(deployment: Deployment, given: Given, before: Mapping[str, Any], count: int) -> Alone:
    """The release at weight 0 beside the one that serves. before: its variant as it is configured; count: of its machines now."""
    serving = {**before, "InitialVariantWeight": WHOLE, "InitialInstanceCount": count}
    slot = next(slot for slot in SLOTS if slot != before["VariantName"])
    fresh = {**variant(deployment, given, slot, deployment.replicas[0]), "InitialVariantWeight": 0.0}
    said = [serving, fresh]
    return _config(deployment, given, PAIR, said, said)


def variant(deployment: Deployment, given: Given, slot: str, count: int) -> Body:
    starts_s = ceil(deployment.startup_timeout_s) + START_MARGIN_S
    return {
        "VariantName": slot,
        "ModelName": model(deployment, given)["ModelName"],
        "InitialInstanceCount": count,
        "InstanceType": instance_type(deployment),
        "InitialVariantWeight": WHOLE,
        "ContainerStartupHealthCheckTimeoutInSeconds": min(max(starts_s, LEAST_START_S), MOST_START_S),
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
    }


def created(deployment: Deployment, endpoint: str, config: str) -> Body:
    """CreateEndpoint."""
    scope = Scope(deployment.project, deployment.environment)
    return {
        "EndpointName": endpoint,
        "EndpointConfigName": config,
        "Tags": cfn_tags(scope.tags("front", deployment.labels)),
    }


def updated(deployment: Deployment, config: str, alarms: list[str]) -> Body:
    """UpdateEndpoint, with SageMaker's own shifting: both configurations have the same variants, as it wants.

    (docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html, read 2026-11.)
    """
    shifting = {**policy(deployment), "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}}
    return {**plainly_updated(deployment, config), "DeploymentConfig": shifting}


def plainly_updated(deployment: Deployment, config: str) -> Body:
    """UpdateEndpoint to other variants: all at once, which is the only way for them."""
    return {"EndpointName": names_of(deployment).endpoint, "EndpointConfigName": config, **RETAINED}


def weighed(names: Names, weights: Mapping[str, float]) -> Body:
    """UpdateEndpointWeightsAndCapacities: slot -> share of the callers."""
    said = [{"VariantName": slot, "DesiredWeight": weight} for slot, weight in sorted(weights.items())]
    return {"EndpointName": names.endpoint, "DesiredWeightsAndCapacities": said}


def alarms(names: Names, slot: str) -> list[str]:
    return [names.alarm(slot, "errors")]


def instance_type(deployment: Deployment) -> str:
    return "ml." + plain_type(deployment)


def plain_type(deployment: Deployment) -> str:
    return str(deployment.settings.get("instance") or "").removeprefix("ml.")


def architecture(deployment: Deployment) -> str:
    """Of the machines' processors, which their type tells."""
    return "arm64" if _GRAVITON.fullmatch(plain_type(deployment).partition(".")[0]) else "x86_64"


def vcpus(deployment: Deployment) -> int:
    """Of one machine, which the size of its type tells: 4 times the number before `xlarge` (the families' pages of EC2; from memory,
    verify). 1 for a size that is none.
    """
    family, _, size = plain_type(deployment).partition(".")
    if size.endswith("xlarge"):
        return 4 * int(size.removesuffix("xlarge") or 1)
    return 2 if size == "large" or family == "t2" else 1


def _config(deployment: Deployment, given: Given, kind: str, variants: list[Body], named: list[Body]) -> Alone:
    has_key = given.kms_key and not _LOCAL_STORAGE.fullmatch(plain_type(deployment).partition(".")[0])
    key = {"KmsKeyId": given.kms_key} if has_key else {}
    name = names_of(deployment).config(deployment.release.id, kind, [named, key])
    return Alone(name, {"EndpointConfigName": name, "ProductionVariants": variants, **key, "Tags": _tags(deployment)})


def _environment(deployment: Deployment) -> dict[str, str]:
    drain_s = min(ceil(deployment.request_timeout_s) + DRAIN_MARGIN_S, GRACE_S - DRAIN_MARGIN_S)
    return {
        **variables_of_user(deployment),
        "MLSHIP_RELEASE": deployment.release.id,
        "MLSHIP_DRAIN_DELAY_S": "0",
        "MLSHIP_DRAIN_TIMEOUT_S": str(drain_s),
    }


def _tags(deployment: Deployment) -> list[dict[str, str]]:
    scope, release = Scope(deployment.project, deployment.environment), deployment.release
    return cfn_tags(scope.tags("replica", deployment.labels, release=release.id, content=release.served.content))
