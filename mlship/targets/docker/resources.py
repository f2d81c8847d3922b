"""What the service honours, and what it consists of. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.errors import Finding
from mlship.oci.registry.push_variant import PushVariant
from mlship.targets.base import Deployment, Feature, Resource
from mlship.targets.docker.spec import Scope
from mlship.targets.shared_features import NO_MIRROR, SLO

SERVICE = "haproxy"
PUSH: Mapping[str, PushVariant] = {
    SERVICE: PushVariant(compressions=("gzip", "none")),  # Docker 20.10 does not unpack zstd
}

FEATURES: Mapping[str, Mapping[str, Feature]] = {
    SERVICE: {
        "env": Feature("native"),
        "labels": Feature("emulated", "labels of a running container cannot change; they are renewed with the next release"),
        "resources": Feature("native"),
        "scale": Feature("native"),
        "scale.schedule": Feature("absent", "schedules are not built yet", "a range of scale.replicas, which follows the load"),
        "scale_to_zero": Feature("absent", "it is not built yet", "mlship destroy ends a service that is not needed"),
        "autoscaling": Feature("native"),
        "rollout": Feature("native"),
        "rollout.mirror": NO_MIRROR,
        "recreate": Feature("native"),
        "rolling": Feature("native"),
        "blue-green": Feature("native"),
        "canary": Feature("native"),
        "spot": Feature("absent", "your own machine has no market", "target aws, gcp or azure"),
        "reserved": Feature("absent", "your own machine is not bought by the hour", "cost.profile: on-demand"),
        "secrets": Feature("native"),
        "slo": SLO,
        "cost": Feature("native", "your own machine is not billed; service vm of a cloud prices one like it"),
        "public": Feature("absent", "callers reach what targets.docker.host publishes", "targets.docker.host"),
    }
}
EXCLUDED: Mapping[str, tuple[str, ...]] = {SERVICE: ("your own machine",)}


def resources(deployment: Deployment) -> tuple[Resource, ...]:
    """Nothing here is billed by a provider; it is listed so that plan and estimate say what there is."""
    scope = Scope(deployment.project, deployment.environment)
    served = dict(deployment.release.served.resources)
    name = scope.container(deployment.release.id)
    return (
        Resource("container", name, float(deployment.replicas[0]), billed="free", settings=served),
        Resource("front", scope.front, billed="free"),
        Resource("volume", scope.volume, billed="free"),
    )


def findings(deployment: Deployment) -> tuple[Finding, ...]:
    """Nothing that can be known without asking the engine."""
    return ()
