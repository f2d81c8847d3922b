"""A plain machine of a cloud, the service `vm`: what it bills, and who does there what mlship promises. Pure.

mlship does not make such machines: it deploys to one that is there, with the target docker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlship.errors import Finding
from mlship.targets.base import Deployment, Feature, PriceKey, Resource
from mlship.targets.refusals import refused
from mlship.targets.shared_features import COST, NATIVE, NO_MIRROR, SLO
from mlship.targets.sizes import asked_of

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
    "rollout.mirror": NO_MIRROR,
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

# cloud -> what the names of types with GPUs begin with, and one of them.
_WITH_GPU = {
    "aws": (re.compile(r"(g|gr|p)[0-9]"), "g6.xlarge"),
    "gcp": (re.compile(r"(a|g)[0-9]"), "g2-standard-4"),
    "azure": (re.compile(r"Standard_N[CDGV]"), "Standard_NC4as_T4_v3"),
}


def machine(key: PriceKey, kind: str = "instance", settings: Mapping[str, Any] | None = None) -> tuple[Resource, ...]:
    """An hour of the machine under a replica, and the same for a replica that is spot."""
    said = settings or {}
    return (
        Resource(kind, key.instance, unit="hour", billed="scaled", settings=said, price=key),
        Resource(kind, key.instance, unit="hour", billed="spot", settings=said, price=key),
    )


def without_gpu(deployment: Deployment, cloud: str, name: str) -> Iterator[Finding]:
    """Where GPUs are asked for and the type has none. name: `m7g.large`; an empty one, or an unknown cloud's, is not judged."""
    if not name or cloud not in _WITH_GPU or not asked_of(deployment).gpus:
        return
    pattern, example = _WITH_GPU[cloud]
    if pattern.match(name):
        return
    is_attached = cloud == "gcp" and name.startswith("n1-")
    what = f"{name} has no GPU" + (
        " of its own, and the price of one that is attached to it is not known" if is_attached else ""
    )
    fix = f"use an instance that has one, such as {example}"
    yield refused(deployment, f"targets.{deployment.target}.instance", what, fix, "no-gpu")
