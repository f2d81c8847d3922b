"""How many machines a variant has follows the load: bodies of Application Auto Scaling's calls, and who makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

from mlship.targets.aws import autoscaling
from mlship.targets.aws.documents import Body
from mlship.targets.aws.door import Door
from mlship.targets.aws.ecs import schedule
from mlship.targets.aws.sagemaker.names import SLOTS, Names
from mlship.targets.aws.sagemaker.releasing import vcpus
from mlship.targets.base import Deployment

POLICY = "load"
# What one replica carries where scale.per_replica is not said; the autoscaler of the target docker has the same.
PER_REPLICA: Mapping[str, float] = {"concurrency": 8.0, "rps": 50.0, "cpu": 70.0}
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
    wanted = float(said.get("per_replica") or PER_REPLICA[metric])
    tracked = {
        **METRICS[metric](deployment, names, slot, wanted),
        "ScaleInCooldown": ceil(said.get("down_after_s") or DOWN_AFTER_S),
        "ScaleOutCooldown": UP_AFTER_S,
    }
    return {
        "PolicyName": POLICY,
        **resource(names, slot),
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracked,
    }


def scheduled(deployment: Deployment, names: Names, slot: str) -> list[Body]:
    """PutScheduledAction, one for each of `scale.schedule`."""
    return schedule.actions(deployment, resource(names, slot))


def follow(door: Door, deployment: Deployment, names: Names, slot: str) -> None:
    """The variant's machines follow the load within the deployment's range; with a fixed number nobody else says how many."""
    if not is_scaled(deployment):
        leave(door, names, slot)
        return
    others = [resource(names, other) for other in SLOTS if other != slot]
    wanted, tracked = scalable(deployment, names, slot), policy(deployment, names, slot)
    autoscaling.follow(door, wanted, tracked, scheduled(deployment, names, slot), others)


def leave(door: Door, names: Names, slot: str) -> None:
    """SageMaker refuses an update that takes a variant away, or gives it other machines, while it is registered.

    (docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html, read 2026-11.) Its policies go with it.
    """
    autoscaling.leave(door, resource(names, slot))


def _predefined(kind: str, times: float) -> Callable[[Deployment, Names, str, float], Body]:
    """times: what the metric counts of what `scale.per_replica` counts one of."""
    return lambda _, names, slot, wanted: {
        "TargetValue": wanted * times,
        "PredefinedMetricSpecification": {"PredefinedMetricType": kind},
    }


def _cpu(deployment: Deployment, names: Names, slot: str, wanted: float) -> Body:
    """100 % of every vCPU of a machine add up there: four of them at work are 400 %.

    (docs.aws.amazon.com/sagemaker/latest/dg, "Define a scaling policy" and "Metrics for monitoring Amazon SageMaker AI", read 2026-11.)
    """
    dimensions = [{"Name": "EndpointName", "Value": names.endpoint}, {"Name": "VariantName", "Value": slot}]
    return {
        "TargetValue": wanted * vcpus(deployment),
        "CustomizedMetricSpecification": {
            "Namespace": "/aws/sagemaker/Endpoints",
            "MetricName": "CPUUtilization",
            "Dimensions": dimensions,
            "Statistic": "Average",
            "Unit": "Percent",
        },
    }


# PredefinedMetricSpecification (service model of botocore 1.44.5): invocations come by the minute, concurrency every 10 s.
METRICS: Mapping[str, Callable[[Deployment, Names, str, float], Body]] = {
    "concurrency": _predefined("SageMakerVariantConcurrentRequestsPerModelHighResolution", 1.0),
    "rps": _predefined("SageMakerVariantInvocationsPerInstance", 60.0),
    "cpu": _cpu,
}
