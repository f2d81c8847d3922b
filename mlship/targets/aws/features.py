"""What ECS on Fargate, SageMaker endpoints and Lambda can do. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.targets import machines
from mlship.targets.base import Feature
from mlship.targets.shared_features import COST, NATIVE, NO_MIRROR, SLO, UNBUILT_MIRROR

_A_MACHINE = "service sagemaker or vm with an instance such as g6.xlarge"

# ECS: deployment strategies ROLLING, BLUE_GREEN, LINEAR and CANARY; FARGATE_SPOT takes x86_64 and arm64 (service model of
# botocore 1.44.5, 2026-11). Compute Savings Plans cover Fargate and Lambda (docs.aws.amazon.com/savingsplans).
_ECS: Mapping[str, Feature] = {
    "env": NATIVE,
    "labels": NATIVE,
    "resources": NATIVE,
    "resources.gpu": Feature("absent", "Fargate has no GPUs", _A_MACHINE),
    "scale": NATIVE,
    "scale.replicas": NATIVE,
    "scale.schedule": NATIVE,
    "scale_to_zero": Feature("absent", "nothing starts a task when a request comes", "service lambda"),
    "autoscaling": NATIVE,
    "rollout": NATIVE,
    "rollout.mirror": NO_MIRROR,
    "recreate": NATIVE,
    "rolling": NATIVE,
    "blue-green": NATIVE,
    "canary": NATIVE,
    "spot": NATIVE,
    "reserved": NATIVE,
    "secrets": NATIVE,
    "slo": SLO,
    "cost": COST,
    "public": NATIVE,
}
_TOGETHER = "without a balancer callers meet the new tasks while the old ones go"
# The same with `targets.aws.balancer: false`; config/balancer_rules.py refuses each at its place in the file.
WITHOUT_BALANCER: Mapping[str, Feature] = {
    **_ECS,
    **dict.fromkeys(("recreate", "blue-green", "canary", "rollout.steps"), Feature("absent", _TOGETHER, "rolling")),
    **dict.fromkeys(("rollout.gates", "rollout.bake"), Feature("absent", _TOGETHER, "a balancer")),
    "public": Feature("absent", "the tasks have addresses of their network alone", "a balancer"),
}
# An endpoint goes to zero only with inference components, and answers with errors for the minutes until it is back
# (docs.aws.amazon.com/sagemaker, endpoint-auto-scaling-zero-instances). Canary and linear shifting: deployment-guardrails.
_SAGEMAKER: Mapping[str, Feature] = {
    **_ECS,
    "rollout.mirror": UNBUILT_MIRROR,  # shadow variants (service model of botocore 1.44.5: ShadowProductionVariants)
    "resources.cpu": Feature("emulated", "the type of machine decides (targets.aws.instance)"),
    "resources.memory": Feature("emulated", "the type of machine decides (targets.aws.instance)"),
    "resources.gpu": NATIVE,
    "scale_to_zero": Feature("absent", "requests fail for minutes until a machine is back", "service lambda"),
    "recreate": Feature("absent", "an update is always blue-green or rolling", "blue-green"),
    "spot": Feature("absent", "its API has no spot", "service ecs"),
    "reserved": Feature("absent", "only a SageMaker savings plan covers it, whose price nobody tells", "service ecs or vm"),
    "secrets": Feature("absent", "whoever may look at a model sees its environment", "service ecs"),
    "public": Feature("absent", "its API takes signed requests only", "service ecs"),
}
# A weighted alias splits the callers between two versions of a function. Reserved concurrency is a cap on copies, provisioned concurrency
# a number of them that is kept ready.
_LAMBDA: Mapping[str, Feature] = {
    **_ECS,
    "scale.schedule": Feature("absent", "the number of copies that are kept ready is fixed", "service ecs"),
    "secrets": Feature("emulated", "the server reads them when it starts, with the function's role"),
    "resources.cpu": Feature("emulated", "a function gets a vCPU for each 1,769 MB of resources.memory"),
    "resources.gpu": Feature("absent", "Lambda has no GPUs", _A_MACHINE),
    "scale": Feature("emulated", "a copy for each request at a time; scale.replicas caps how many"),
    "scale.replicas": Feature("emulated", "its minimum is kept ready, its maximum caps how many there are"),
    "scale_to_zero": NATIVE,
    "recreate": Feature("absent", "versions stand side by side", "blue-green"),
    "rolling": Feature("absent", "versions stand side by side", "canary"),
    "spot": Feature("absent", "it is billed by the request", "service ecs"),
    "reserved": Feature("absent", "it is billed by the request; a compute savings plan lowers that bill", "service ecs or vm"),
}
FEATURES: Mapping[str, Mapping[str, Feature]] = {
    "ecs": _ECS,
    "sagemaker": _SAGEMAKER,
    "lambda": _LAMBDA,
    machines.SERVICE: machines.FEATURES,
}

_ALWAYS = ("taxes", "your discounts (price_overrides)")
EXCLUDED: Mapping[str, tuple[str, ...]] = {
    "ecs": ("LCU", "NAT data", "images of older releases", "secrets", "alarms", *_ALWAYS),
    "sagemaker": (
        *("storage of the machines", "machines of a release while it takes over", "alarms", "data through the endpoint"),
        *("images of older releases", *_ALWAYS),
    ),
    "lambda": (
        *("start-up time of new copies", "the lower price of requests that copies kept ready answer"),
        *("images of older releases", "secrets", *_ALWAYS),
    ),
    machines.SERVICE: machines.EXCLUDED,
}
