"""A plain machine of a cloud, the service `vm`: what it bills, and who does there what mlship promises. Pure.

mlship does not make such machines: it deploys to one that is there, with the target docker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.targets.base import Feature, PriceKey, Resource
from mlship.targets.shared_features import COST, NATIVE, SLO

SERVICE = "vm"
_BY_DOCKER = Feature("emulated", "the target docker does it on that machine (targets.docker.hosts)")
_BY_GROUP = Feature("emulated", "a group of machines that you make with the cloud's own tools; mlship starts and stops none")

FEATURES: Mapping[str, Feature] = {
    "env": _BY_DOCKER,
    "labels": _BY_DOCKER,
    "resources": _BY_DOCKER,
    "resources.gpu": NATIVE,
    "scale": _BY_GROUP,
    "scale.replicas": _BY_GROUP,
    "scale_to_zero": Feature("absent", "a machine is billed while it exists", "a service that is billed by the request"),
    "autoscaling": _BY_GROUP,
    "rollout": _BY_DOCKER,
    "recreate": _BY_DOCKER,
    "rolling": _BY_DOCKER,
    "blue-green": _BY_DOCKER,
    "canary": _BY_DOCKER,
    "spot": NATIVE,
    "reserved": NATIVE,
    "secrets": _BY_DOCKER,
    "slo": SLO,
    "cost": COST,
    "public": Feature("emulated", "the network that you put the machine in decides"),
}
EXCLUDED = ("disk", "public address", "load balancer", "logs", "taxes", "your discounts (price_overrides)")


def machine(key: PriceKey, kind: str = "instance", settings: Mapping[str, Any] | None = None) -> tuple[Resource, ...]:
    """An hour of the machine under a replica, and the same for a replica that is spot."""
    said = settings or {}
    return (
        Resource(kind, key.instance, unit="hour", billed="scaled", settings=said, price=key),
        Resource(kind, key.instance, unit="hour", billed="spot", settings=said, price=key),
    )
