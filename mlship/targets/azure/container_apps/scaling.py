"""How many copies of a revision there are. Pure.

Scale rules are KEDA's: http (requests at a time, asked about every 15 s), cpu and memory (percent of what a copy has; neither can
go to zero). learn.microsoft.com/azure/container-apps, "Set scaling rules", read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from mlship.errors import Finding
from mlship.targets.azure.filling import Document
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused

CONCURRENCY = 10.0  # per replica: the default of Container Apps itself
PERCENT = 70.0  # of a processor
COOLDOWN_S = 300  # the default of Container Apps itself
METRICS = ("concurrency", "cpu")


def scale(deployment: Deployment) -> Document:
    """The template's `scale`."""
    least, most = deployment.replicas
    if least == most:
        return {"minReplicas": least, "maxReplicas": most}
    said = deployment.operating.get("scale") or {}
    return {
        "minReplicas": least,
        "maxReplicas": most,
        "cooldownPeriod": ceil(said.get("down_after_s") or COOLDOWN_S),
        "rules": [_rule(str(said.get("metric") or METRICS[0]), said.get("per_replica"))],
    }


def impossible(deployment: Deployment) -> Iterator[Finding]:
    least, most = deployment.replicas
    metric = str((deployment.operating.get("scale") or {}).get("metric") or METRICS[0])
    if least != most and metric not in METRICS:
        what = f"Container Apps does not scale by {metric}"
        yield refused(deployment, "scale.metric", what, "write scale.metric: concurrency", "absent-feature")
    elif least == 0 and metric == "cpu":
        what = "scale.replicas goes down to 0, and a rule by cpu cannot start the first copy"
        yield refused(
            deployment, "scale.metric", what, "write scale.metric: concurrency, or at least 1 replica", "absent-feature"
        )


def _rule(metric: str, per_replica: float | None) -> Document:
    if metric == "cpu":
        percent = str(round(per_replica or PERCENT))
        return {"name": "load", "custom": {"type": "cpu", "metadata": {"type": "Utilization", "value": percent}}}
    many = str(max(1, round(per_replica or CONCURRENCY)))
    return {"name": "load", "http": {"metadata": {"concurrentRequests": many}}}
