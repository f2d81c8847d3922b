"""What a deployment to a Kubernetes cluster is billed for: its share of nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlship.errors import Finding
from mlship.targets import machines
from mlship.targets.base import Deployment, Feature, PriceKey, Resource
from mlship.targets.refusals import check_service, impossible_keys, missing
from mlship.targets.shared_features import FIXED_SCHEDULE, NATIVE, NO_MIRROR, SLO
from mlship.targets.sizes import asked_of

# A Deployment and a second one beside it (kubernetes.io, "Deployments", "Canary Deployments"); shares of the callers come from
# the gateway. KEDA adds scaling to zero; an HTTP request wakes it only with its HTTP add-on.
_DEPLOYMENT: Mapping[str, Feature] = {
    "env": NATIVE,
    "labels": NATIVE,
    "resources": NATIVE,
    "resources.gpu": Feature("native", "whole ones, through the cluster's device plugin"),
    "scale": NATIVE,
    "scale.replicas": NATIVE,
    "scale.schedule": FIXED_SCHEDULE,
    "scale_to_zero": Feature("emulated", "KEDA with its HTTP add-on, where the cluster has it"),
    "autoscaling": NATIVE,
    "rollout": NATIVE,
    "rollout.mirror": NO_MIRROR,
    "recreate": NATIVE,
    "rolling": NATIVE,
    "blue-green": NATIVE,
    "canary": Feature("emulated", "a second deployment, with shares by the cluster's gateway"),
    "spot": Feature("native", "nodes of a spot pool"),
    "reserved": NATIVE,
    "secrets": NATIVE,
    "slo": SLO,
    "cost": Feature("native", "for the nodes that targets.kubernetes names"),
    "public": NATIVE,
}
# canaryTrafficPercent and scaling to zero exist in the serverless mode (Knative) only (kserve.github.io 0.16, "Canary Rollout
# Strategy"; 0.17, "Autoscaling with Kubernetes HPA").
_KSERVE: Mapping[str, Feature] = {
    **_DEPLOYMENT,
    "scale_to_zero": Feature("native", "in KServe's serverless mode"),
    "canary": Feature("native", "in KServe's serverless mode"),
}
FEATURES: Mapping[str, Mapping[str, Feature]] = {"deployment": _DEPLOYMENT, "kserve": _KSERVE}

_EXCLUDED = (
    *("control plane", "what else runs on the nodes", "disks of the nodes", "load balancer", "registry storage", "logs"),
    *("taxes", "your discounts (price_overrides)"),
)
EXCLUDED: Mapping[str, tuple[str, ...]] = dict.fromkeys(FEATURES, _EXCLUDED)

_EGRESS = {"gcp": "out_default"}  # as the book calls it; elsewhere `out`


def resources(deployment: Deployment) -> tuple[Resource, ...]:
    """Nodes: settings `per_replica` says what one replica takes of a node. Raises MlshipError for an unknown service."""
    check_service(deployment, FEATURES)
    cloud, region, instance = _nodes(deployment)
    nodes = machines.machine(PriceKey(cloud, region, instance=instance), "node", {"per_replica": _per_replica(deployment)})
    key = PriceKey(cloud, region, service="egress_internet", item=_EGRESS.get(cloud, "out"))
    return (*nodes, Resource("egress", "egress to the internet", unit="GB", billed="egress", price=key))


def findings(deployment: Deployment) -> tuple[Finding, ...]:
    """Raises MlshipError for an unknown service."""
    check_service(deployment, FEATURES)
    cloud, _, instance = _nodes(deployment)
    return (
        *_missing(deployment),
        *impossible_keys(deployment, FEATURES[deployment.service]),
        *machines.without_gpu(deployment, cloud, instance),
    )


def _missing(deployment: Deployment) -> Iterator[Finding]:
    for key, example in (("cloud", "aws"), ("region", "us-east-1"), ("instance", "m7g.large")):
        yield from missing(deployment, key, example)


def _nodes(deployment: Deployment) -> tuple[str, str, str]:
    """Cloud, region and type; empty where it is not said."""
    cloud, region, instance = (str(deployment.settings.get(key) or "") for key in ("cloud", "region", "instance"))
    return cloud, region, instance


def _per_replica(deployment: Deployment) -> dict[str, Any]:
    asked = asked_of(deployment)
    gpu = {"gpu": asked.gpus} if asked.gpus else {}
    return {"cpu": asked.vcpus, "memory_gib": asked.memory_gib, **gpu}
