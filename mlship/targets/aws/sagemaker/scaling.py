"""How many machines a variant has follows the load: bodies of Application Auto Scaling's calls, and who makes them."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from mlship.targets.aws.documents import Body
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.sagemaker.names import Names
from mlship.targets.base import Deployment

SERVICE = "application-autoscaling"
POLICY = "load"
# What one replica carries where scale.per_replica is not said; the autoscaler of the target docker has the same.
PER_REPLICA: Mapping[str, float] = {"concurrency": 8.0, "rps": 50.0}
# PredefinedMetricSpecification (service model of botocore 1.44.5): invocations come by the minute, concurrency every 10 s.
METRICS: Mapping[str, tuple[str, float]] = {
    "concurrency": ("SageMakerVariantConcurrentRequestsPerModelHighResolution", 1.0),
    "rps": ("SageMakerVariantInvocationsPerInstance", 60.0),
}
DOWN_AFTER_S, UP_AFTER_S = 300.0, 60


def is_scaled(deployment: Deployment) -> bool:
    least, most = deployment.replicas
    return least < most


def metric_of(deployment: Deployment) -> str:
    return str((deployment.operating.get("scale") or {}).get("metric") or "concurrency")


def resource(names: Names, slot: str) -> Body:
    """Which variant is meant."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{names.endpoint}/variant/{slot}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def scalable(deployment: Deployment, names: Names, slot: str) -> Body:
    """RegisterScalableTarget."""
    least, most = deployment.replicas
    return {**resource(names, slot), "MinCapacity": least, "MaxCapacity": most}


def policy(deployment: Deployment, names: Names, slot: str) -> Body:
    """PutScalingPolicy."""
    said = deployment.operating.get("scale") or {}
    metric = metric_of(deployment)
    predefined, times = METRICS[metric]
    tracked = {
        "TargetValue": float(said.get("per_replica") or PER_REPLICA[metric]) * times,
        "PredefinedMetricSpecification": {"PredefinedMetricType": predefined},
        "ScaleInCooldown": ceil(said.get("down_after_s") or DOWN_AFTER_S),
        "ScaleOutCooldown": UP_AFTER_S,
    }
    return {
        "PolicyName": POLICY,
        **resource(names, slot),
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracked,
    }


def follow(door: Door, deployment: Deployment, names: Names, slot: str) -> None:
    """The variant's machines follow the load within the deployment's range; with a fixed number nobody else says how many."""
    if not is_scaled(deployment):
        leave(door, names, slot)
        return
    wanted = scalable(deployment, names, slot)
    present = _registered(door, names, slot)
    if present is None or any(present[bound] != wanted[bound] for bound in ("MinCapacity", "MaxCapacity")):
        door.call(SERVICE, "register_scalable_target", **wanted)
    said = policy(deployment, names, slot)
    if not _has(door, said):
        door.call(SERVICE, "put_scaling_policy", **said)


def leave(door: Door, names: Names, slot: str) -> None:
    """SageMaker refuses an update that takes a variant away, or gives it other machines, while it is registered.

    (docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html, read 2026-11.) Its policies go with it.
    """
    if _registered(door, names, slot) is None:
        return
    try:
        door.call(SERVICE, "deregister_scalable_target", **resource(names, slot))
    except Refused as no:
        if no.said != "ObjectNotFoundException":  # another command did it meanwhile
            raise


def _registered(door: Door, names: Names, slot: str) -> dict[str, Any] | None:
    place = resource(names, slot)
    asked = {"ServiceNamespace": place["ServiceNamespace"], "ResourceIds": [place["ResourceId"]]}
    return next(iter(door.all(SERVICE, "describe_scalable_targets", "ScalableTargets", **asked)), None)


def _has(door: Door, wanted: Mapping[str, Any]) -> bool:
    asked = {"ServiceNamespace": wanted["ServiceNamespace"], "ResourceId": wanted["ResourceId"]}
    said = "TargetTrackingScalingPolicyConfiguration"
    return any(
        one["PolicyName"] == wanted["PolicyName"] and one.get(said) == wanted[said]
        for one in door.all(SERVICE, "describe_scaling_policies", "ScalingPolicies", **asked)
    )
