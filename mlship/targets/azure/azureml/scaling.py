"""How many machines a deployment has: the body of an autoscale setting of Azure Monitor. Pure.

Source: "Autoscale online endpoints" and the metrics of workspaces/onlineEndpoints/deployments (learn.microsoft.com, read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from mlship.targets.azure.azureml.bodies import duration, region
from mlship.targets.azure.filling import Document, Variable
from mlship.targets.azure.scope import Scope
from mlship.targets.base import Deployment

WINDOW_S, GRAIN_S, DOWN_AFTER_S = 300, 60, 300.0
# What one machine carries where scale.per_replica is not said; the other services have the same.
PER_REPLICA: Mapping[str, float] = {"rps": 50.0, "cpu": 70.0, "gpu": 70.0}
_METRICS: Mapping[str, str] = {
    "rps": "RequestsPerMinute",
    "cpu": "CpuUtilizationPercentage",
    "gpu": "GpuUtilizationPercentage",
}
_OF_A_MINUTE = ("rps",)
_DOWN = 0.5  # of the threshold: one machine less must not at once be one too few


def is_scaled(deployment: Deployment) -> bool:
    least, most = deployment.replicas
    return least < most


def metric_of(deployment: Deployment) -> str:
    """Azure counts no requests that are under way: without a number to keep, `concurrency` means that no machine is busy."""
    said = _said(deployment)
    metric = str(said.get("metric") or "concurrency")
    return "cpu" if metric == "concurrency" and not said.get("per_replica") else metric


def autoscaling(deployment: Deployment) -> Document:
    """PUT of the setting. One more machine when the metric is above what one carries, one less when it is far below."""
    least, most = deployment.replicas
    wanted, down_after = _wanted(deployment), float(_said(deployment).get("down_after_s") or DOWN_AFTER_S)
    tags = Scope(deployment.project, deployment.environment).tags(
        "autoscaler", deployment.labels, release=deployment.release.id
    )
    rules = [
        _rule(deployment, "GreaterThan", wanted, "Increase", GRAIN_S),
        _rule(deployment, "LessThan", wanted * _DOWN, "Decrease", max(GRAIN_S, down_after)),
    ]
    return {
        "location": region(deployment),
        "tags": tags,
        "properties": {
            "enabled": True,
            "name": Variable("ScalingName"),
            "targetResourceUri": Variable("DeploymentId"),
            "profiles": [
                {
                    "name": "load",
                    "capacity": {"minimum": str(least), "maximum": str(most), "default": str(least)},
                    "rules": rules,
                }
            ],
        },
    }


def capacity_for(deployment: Deployment, present: int = 0) -> int:
    """Machines of a release that is put there. present: what it has already, which is autoscaling's to change."""
    least, most = deployment.replicas
    return min(max(least, present), most) if is_scaled(deployment) else least


def _rule(deployment: Deployment, operator: str, threshold: float, direction: str, cooldown_s: float) -> Document:
    metric = metric_of(deployment)
    return {
        "metricTrigger": {
            "metricName": _METRICS[metric],
            "metricResourceUri": Variable("DeploymentId"),
            "timeGrain": duration(GRAIN_S),
            "statistic": "Average",
            "timeWindow": duration(WINDOW_S),
            "timeAggregation": "Average",
            "operator": operator,
            "threshold": ceil(threshold) if operator == "GreaterThan" else int(threshold),
            "dividePerInstance": metric in _OF_A_MINUTE,
        },
        "scaleAction": {
            "direction": direction,
            "type": "ChangeCount",
            "value": "1",
            "cooldown": duration(ceil(cooldown_s)),
        },
    }


def _wanted(deployment: Deployment) -> float:
    """Of the metric as Azure counts it."""
    metric = metric_of(deployment)
    carried = float(_said(deployment).get("per_replica") or PER_REPLICA[metric])
    return carried * 60 if metric in _OF_A_MINUTE else carried


def _said(deployment: Deployment) -> Mapping[str, Any]:
    return deployment.operating.get("scale") or {}
