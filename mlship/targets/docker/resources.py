"""What the service honours, and what it consists of. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.targets.base import Deployment, Feature, Resource
from mlship.targets.docker.spec import Scope

SERVICE = "container"

FEATURES: Mapping[str, Mapping[str, Feature]] = {
    SERVICE: {
        "env": Feature("native"),
        "labels": Feature("emulated", "labels of a running container cannot change; they are renewed with the next release"),
        "resources": Feature("native"),
        "resources.gpu": Feature("absent", "containers with accelerators are not built yet", "leave resources.gpu out"),
        "scale.replicas": Feature("absent", "more than one replica is not built yet for docker", "scale.replicas: 1"),
        "scale.schedule": Feature("absent", "there is one replica, always on", "leave scale.schedule out"),
        "scale_to_zero": Feature("absent", "there is one replica, always on", "mlship destroy ends it"),
        "autoscaling": Feature("absent", "there is one replica", "scale.replicas: 1"),
        "rollout.recreate": Feature("native"),
        "rollout.rolling": Feature("absent", "it needs more than one replica", "rollout.strategy: recreate"),
        "rollout.blue-green": Feature("absent", "it needs a front before the replicas", "rollout.strategy: recreate"),
        "canary": Feature("absent", "it needs a front before the replicas", "rollout.strategy: recreate"),
        "spot": Feature("absent", "your own machine has no market", "target aws, gcp or azure"),
        "reserved": Feature("absent", "your own machine is not bought by the hour", "cost.profile: on-demand"),
        "secrets": Feature("absent", "secrets are not built yet for docker", "leave secrets out"),
        "targets.docker.hosts": Feature("absent", "more than one engine is not built yet", "DOCKER_HOST names the engine"),
        "targets.docker.tls": Feature("absent", "certificates are not built yet", "a reverse proxy with TLS before the port"),
        "targets.docker.limits": Feature("absent", "limits per client are not built yet", "a reverse proxy before the port"),
    }
}


def resources_of(deployment: Deployment) -> tuple[Resource, ...]:
    """Nothing here is billed by a provider; it is listed so that plan and estimate say what there is."""
    scope = Scope(deployment.project, deployment.environment)
    served = dict(deployment.release.served.resources)
    return (
        Resource("container", scope.container(deployment.release.id), billed="free", settings=served),
        Resource("volume", scope.volume, billed="free"),
    )
