"""What the service `process` can do, and that it costs nothing. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.errors import Finding
from mlship.targets.base import Deployment, Feature, Resource
from mlship.targets.shared_features import SLO

_ONE = "this machine runs one copy of a service"
_NO_MARKET = "your own machine is not bought by the hour"

FEATURES: Mapping[str, Mapping[str, Feature]] = {
    "process": {
        "env": Feature("native"),
        "labels": Feature("emulated", "kept with the records: processes carry no labels"),
        "resources.cpu": Feature("emulated", "the service runs on so many whole cores (processor affinity)"),
        "resources.memory": Feature("emulated", "each process of the service may allocate so much (RLIMIT_DATA)"),
        "resources.gpu": Feature("native"),
        "scale.replicas": Feature("native", "one; preflight refuses more"),
        "scale": Feature("absent", _ONE, "target docker"),
        "scale_to_zero": Feature("absent", _ONE, "mlship destroy when it is not needed"),
        "autoscaling": Feature("absent", _ONE, "target docker"),
        "cost": Feature("native", "this machine is not billed; service vm of a cloud prices one like it"),
        "spot": Feature("absent", _NO_MARKET, "target aws"),
        "reserved": Feature("absent", _NO_MARKET, "target aws"),
        "rollout.keep": Feature("native"),
        "rollout.mirror": Feature("absent", "all callers are handed over at once", "target docker with a canary"),
        "rollout": Feature("absent", "all callers are handed over at once, without a lost request", "target docker"),
        "blue-green": Feature("native"),
        "canary": Feature("absent", "all callers are handed over at once", "target docker"),
        "rolling": Feature("absent", _ONE, "the target's own strategy"),
        "recreate": Feature("absent", "the old copy serves until the new one does", "the target's own strategy"),
        "slo": SLO,
        "secrets": Feature("emulated", "files in mlship's own folder that only you read"),
        "public": Feature("absent", "callers reach what targets.local.host listens on", "targets.local.host"),
    }
}
EXCLUDED: Mapping[str, tuple[str, ...]] = {"process": ("your own machine",)}


def resources(deployment: Deployment) -> tuple[Resource, ...]:
    served = deployment.release.served.resources
    settings = {"cpu": served.get("cpu", 0), "memory": served.get("memory", 0)}
    return (Resource("process", deployment.project, billed="free", settings=settings),)


def findings(deployment: Deployment) -> tuple[Finding, ...]:
    """Nothing that can be known without looking at the machine."""
    return ()
