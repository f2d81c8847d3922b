"""What Container Apps and Azure Machine Learning endpoints can do. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.targets import machines
from mlship.targets.base import Feature
from mlship.targets.shared_features import COST, FIXED_SCHEDULE, NATIVE, NO_MIRROR, SLO

# Revisions with shares of the traffic, scaling to zero (learn.microsoft.com/azure/container-apps, "Traffic splitting",
# "Set scaling rules"); GPUs stand in workload profiles of their own, in a few regions ("Workload profiles", read 2026-11).
_CONTAINER_APPS: Mapping[str, Feature] = {
    "env": NATIVE,
    "labels": NATIVE,
    "resources": NATIVE,
    "resources.gpu": Feature(
        "absent", "its GPUs stand in workload profiles, which mlship does not make", "service azureml or vm"
    ),
    "scale": NATIVE,
    "scale.replicas": Feature(
        "emulated", "the range is a part of a revision: another range is another one of the same release"
    ),
    "scale.schedule": FIXED_SCHEDULE,
    "scale_to_zero": NATIVE,
    "autoscaling": NATIVE,
    "rollout": NATIVE,
    "rollout.mirror": NO_MIRROR,
    "recreate": Feature("absent", "revisions stand side by side", "blue-green"),
    "rolling": Feature("absent", "revisions stand side by side", "canary"),
    "blue-green": NATIVE,
    "canary": NATIVE,
    "spot": Feature("absent", "Container Apps has no spot", "service vm, or target kubernetes"),
    "reserved": Feature("absent", "only a savings plan covers it, whose price nobody tells", "service vm"),
    "secrets": NATIVE,
    "slo": SLO,
    "cost": COST,
    "public": NATIVE,
}
# Deployments of one endpoint share its traffic by weights; at least one machine stays (learn.microsoft.com/azure/machine-learning,
# "Online endpoints", "Autoscale online endpoints", read 2026-11).
_AZUREML: Mapping[str, Feature] = {
    **_CONTAINER_APPS,
    "scale.replicas": NATIVE,
    "rollout.mirror": NATIVE,
    "resources.cpu": Feature("emulated", "the type of machine decides (targets.azure.instance)"),
    "resources.memory": Feature("emulated", "the type of machine decides (targets.azure.instance)"),
    "resources.gpu": NATIVE,
    "scale_to_zero": Feature("absent", "an online endpoint keeps one machine", "service container-apps"),
    "spot": Feature("absent", "online endpoints have no spot", "service vm, or target kubernetes"),
    "reserved": Feature("absent", "the price of a reservation is not known for Azure", "service vm with prices of your own"),
    # "Secret injection in online endpoints (preview)", learn.microsoft.com/azure/machine-learning, read 2026-11
    "secrets": Feature("emulated", "Azure puts Key Vault's value into a variable, as the endpoint's own identity (a preview)"),
    "public": Feature("absent", "every request needs a key or a token of Azure", "service container-apps"),
}
FEATURES: Mapping[str, Mapping[str, Feature]] = {
    "container-apps": _CONTAINER_APPS,
    "azureml": _AZUREML,
    machines.SERVICE: machines.FEATURES,
}

_ALWAYS = ("registry", "secrets", "taxes", "your discounts (price_overrides)")
EXCLUDED: Mapping[str, tuple[str, ...]] = {
    "container-apps": ("start-up time of new copies", "private endpoints", *_ALWAYS),
    # Online endpoints bill no surcharge, but the machines, the balancer and the disks under them.
    "azureml": ("load balancer", "disks", "machines that upgrades take meanwhile", *_ALWAYS),
    machines.SERVICE: machines.EXCLUDED,
}
