"""What Cloud Run and Vertex AI endpoints can do. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.targets import machines
from mlship.targets.base import Feature
from mlship.targets.shared_features import COST, NATIVE, NO_MIRROR, SLO

# Revisions with shares of the traffic (docs.cloud.google.com/run, "Rollbacks, gradual rollouts, and traffic migration"); one
# GPU an instance ("GPU support for services").
_CLOUD_RUN: Mapping[str, Feature] = {
    "env": NATIVE,
    "labels": NATIVE,
    "resources": NATIVE,
    "resources.gpu": Feature(
        "native", "one L4, or one RTX PRO 6000 (targets.gcp.accelerator), with the vCPU and GiB that it needs"
    ),
    "scale": NATIVE,
    "scale.replicas": NATIVE,
    "scale.metric": Feature("emulated", "it follows requests at a time and processor load, whatever is said"),
    "scale.down_after": Feature("emulated", "Cloud Run itself decides when an instance without requests ends"),
    "scale.schedule": Feature(
        "absent",
        "nothing of Google's changes replicas by the clock",
        "a range of scale.replicas, or a scheduled job that deploys another one: it changes in place",
    ),
    "scale_to_zero": NATIVE,
    "autoscaling": NATIVE,
    "rollout": NATIVE,
    "rollout.mirror": NO_MIRROR,
    "recreate": Feature("absent", "revisions stand side by side", "blue-green"),
    "rolling": Feature("absent", "revisions stand side by side", "canary"),
    "blue-green": NATIVE,
    "canary": NATIVE,
    "spot": Feature("absent", "Cloud Run has no spot", "service vertex, vm, or target kubernetes"),
    "reserved": Feature("absent", "only spend-based discounts cover it, whose price nobody tells", "service vm"),
    "secrets": NATIVE,
    "slo": SLO,
    "cost": COST,
    "public": NATIVE,
}
# `gcloud ai endpoints deploy-model --spot`, `--traffic-split`; spot ends with STOCKOUT errors, so mlship keeps a sibling on
# demand (docs.cloud.google.com/vertex-ai, "Use Spot VMs with inference"). Scale to zero is a preview of the beta API ("Scale
# inference nodes by using autoscaling", read 2026-11).
_VERTEX: Mapping[str, Feature] = {
    **_CLOUD_RUN,
    "resources.cpu": Feature("emulated", "the type of machine decides (targets.gcp.instance)"),
    "resources.memory": Feature("emulated", "the type of machine decides (targets.gcp.instance)"),
    "resources.gpu": NATIVE,
    "scale.metric": NATIVE,
    "scale.down_after": Feature("emulated", "Vertex AI itself decides when a replica goes"),
    "scale_to_zero": Feature("absent", "its scaling to zero is a preview", "service cloud-run"),
    "spot": Feature("native", "with a sibling on demand"),
    "reserved": Feature("absent", "committed use covers it only through reservations of machines", "service vm"),
    "secrets": Feature("absent", "containers of an endpoint take none", "service cloud-run"),
    "public": Feature("absent", "its API takes signed requests only", "service cloud-run"),
}
FEATURES: Mapping[str, Mapping[str, Feature]] = {
    "cloud-run": _CLOUD_RUN,
    "vertex": _VERTEX,
    machines.SERVICE: machines.FEATURES,
}

_ALWAYS = ("registry storage", "secrets", "taxes", "your discounts (price_overrides)")
EXCLUDED: Mapping[str, tuple[str, ...]] = {
    "cloud-run": ("start-up time of new copies", "VPC connector", *_ALWAYS),
    "vertex": ("a second replica for the minutes in which a release proves itself", *_ALWAYS),
    machines.SERVICE: machines.EXCLUDED,
}
