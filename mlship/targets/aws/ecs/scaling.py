"""How many tasks a slot has while callers reach it: the bodies of Application Auto Scaling's calls. Pure.

A slot is a scalable target only while callers reach it: whoever has no callers is set to no tasks by us, and a target that is
registered would be brought to its minimum again (RegisterScalableTarget, service model of botocore 1.44.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from mlship.targets.aws.documents import Body, Variable
from mlship.targets.aws.ecs import schedule
from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment

NAMESPACE, DIMENSION = "ecs", "ecs:service:DesiredCount"
POLICY = "load"
# What one replica carries where scale.per_replica is not said; the autoscaler of the target docker has the same.
PER_REPLICA: Mapping[str, float] = {"concurrency": 8.0, "rps": 50.0, "cpu": 70.0}
DOWN_AFTER_S = 300.0
PERIOD_S = 60  # the balancer's metrics come by the minute
BALANCER_METRICS = "AWS/ApplicationELB"


def is_scaled(deployment: Deployment) -> bool:
    least, most = deployment.replicas
    return least < most


def metric_of(deployment: Deployment) -> str:
    return str((deployment.operating.get("scale") or {}).get("metric") or "concurrency")


def tasks_for(deployment: Deployment, serving: int, share: float, present: int = 0) -> int:
    """How many tasks a release needs for its share of the callers. serving: tasks that callers reach now, of both releases.

    present: what it has already, which is never taken away here: the number is autoscaling's from then on.
    """
    least, most = deployment.replicas
    return min(max(least, ceil(serving * share), present), most) if is_scaled(deployment) else least


def scalable(deployment: Deployment, given: Given, name: str) -> Body:
    """RegisterScalableTarget. name: which of the two services."""
    scope = Scope(deployment.project, deployment.environment)
    least, most = deployment.replicas
    return {
        **resource(scope, cluster_of(scope, given), name),
        "MinCapacity": least,
        "MaxCapacity": most,
        "Tags": scope.tags("autoscaler", {}),  # labels would have to be put there again whenever they change
    }


def policy(deployment: Deployment, given: Given, name: str, slot: str = "") -> Body:
    """PutScalingPolicy: it adds tasks at once, and takes them away one look of `scale.down_after` after the other.

    slot: whose callers are counted, where the service is not called as that.
    """
    scope = Scope(deployment.project, deployment.environment)
    said = deployment.operating.get("scale") or {}
    metric = metric_of(deployment)
    wanted = float(said.get("per_replica") or PER_REPLICA[metric])
    tracked: Body = {
        "ScaleOutCooldown": PERIOD_S,
        "ScaleInCooldown": ceil(said.get("down_after_s", DOWN_AFTER_S)),
        **_METRICS[metric](slot or name, wanted),
    }
    return {
        "PolicyName": POLICY,
        **resource(scope, cluster_of(scope, given), name),
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracked,
    }


def scheduled(deployment: Deployment, given: Given, name: str) -> list[Body]:
    """PutScheduledAction, one for each of `scale.schedule`."""
    scope = Scope(deployment.project, deployment.environment)
    return schedule.actions(deployment, resource(scope, cluster_of(scope, given), name))


def resource(scope: Scope, cluster: str, name: str) -> Body:
    """Which number is meant. cluster: name or ARN. name: which of the two services."""
    return {
        "ServiceNamespace": NAMESPACE,
        "ResourceId": f"service/{cluster.rpartition('/')[2]}/{scope.service(name)}",
        "ScalableDimension": DIMENSION,
    }


def cluster_of(scope: Scope, given: Given) -> str:
    return given.cluster or scope.stem


def _rps(slot: str, wanted: float) -> Body:
    """The metric counts the requests of a minute."""
    tracked = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": Variable(f"Label{slot.upper()}")}
    return {"TargetValue": wanted * PERIOD_S, "PredefinedMetricSpecification": tracked}


def _cpu(slot: str, wanted: float) -> Body:
    return {"TargetValue": wanted, "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}


def _concurrency(slot: str, wanted: float) -> Body:
    """Requests that are at a replica at once: its rate, times the seconds that each of them takes (Little's law).

    Both as the balancer measures them minute by minute, so that nobody has to say a service time that holds for some other
    machine. A minute without a request has neither of them, and is none's work: without FILL nothing would ever be taken away at night.
    (docs.aws.amazon.com/autoscaling/application/userguide, target tracking with metric math, read 2026-11.)
    """
    place = [
        {"Name": "TargetGroup", "Value": Variable(f"Group{slot.upper()}")},
        {"Name": "LoadBalancer", "Value": Variable("Balancer")},
    ]
    return {
        "TargetValue": wanted,
        "CustomizedMetricSpecification": {
            "Metrics": [
                _measured("requests", "RequestCountPerTarget", "Sum", place),
                _measured("seconds", "TargetResponseTime", "Average", place),
                {"Id": "concurrency", "Expression": f"FILL(requests, 0) * FILL(seconds, 0) / {PERIOD_S}", "ReturnData": True},
            ]
        },
    }


def _measured(name: str, metric: str, stat: str, place: list[Body]) -> Body:
    found = {"Namespace": BALANCER_METRICS, "MetricName": metric, "Dimensions": place}
    return {"Id": name, "MetricStat": {"Metric": found, "Stat": stat}, "ReturnData": False}


_METRICS = {"rps": _rps, "concurrency": _concurrency, "cpu": _cpu}
