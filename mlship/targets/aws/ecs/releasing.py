"""What each release sends: the bodies of its calls to ECS and to the balancer. Pure; `render` shows what `apply` sends.

`${Name}` stands for an output of the foundation's stack, for the image in the registry, for the region. Two services take turns,
`a` and `b`, each with a target group of its own: the one that is not live takes the next release, and shares of the callers are
weights of one rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from mlship.errors import MlshipError
from mlship.targets.aws.ecs.foundation import PORT, conditions
from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import Scope
from mlship.targets.aws.sizes import FARGATE, fargate
from mlship.targets.base import Deployment
from mlship.targets.sizes import asked_of

Body = dict[str, Any]
CONTAINER = "server"
STOP_MARGIN_S, STOP_MOST_S = 8, 120  # Fargate ends what does not stop within 120 s (ContainerDefinition, stopTimeout)
DRAIN_MARGIN_S = 5  # of these, what the server itself may take
MIB_PER_GIB, UNITS_PER_VCPU = 1024, 1024
ARCHITECTURES = {"x86_64": "X86_64", "arm64": "ARM64"}
# What the target decides; a value for it in `env` would make the server listen elsewhere or call itself otherwise.
OWN_VARIABLES = (
    "PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PYTHONPATH", "MLSHIP_MANIFEST", "MLSHIP_RELEASE", "MLSHIP_HOST",
    "MLSHIP_HOLD", "MLSHIP_DRAIN_DELAY_S", "MLSHIP_DRAIN_TIMEOUT_S", "MLSHIP_SECRETS",
)  # fmt: skip
# The whole of them: a share of the callers is so many hundredths.
WHOLE = 100


class Variable(str):
    """Text of ours that is known when the call is made; the same text from a user is not one."""

    def __new__(cls, name: str) -> Variable:
        return super().__new__(cls, f"${{{name}}}")

    @property
    def name(self) -> str:
        return self[2:-1]


def task_definition(deployment: Deployment, given: Given) -> Body:
    """RegisterTaskDefinition. Raises MlshipError for a size that Fargate does not have."""
    scope = Scope(deployment.project, deployment.environment)
    asked = asked_of(deployment)
    size = fargate(asked)
    if not size.holds(asked):
        raise MlshipError(
            f"Fargate has nothing of {asked}",
            deployment.places.get("resources", ""),
            f"the largest is {FARGATE[-1]}",
            code="too-large",
        )
    return {
        "family": scope.family(deployment.release.id),
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": str(round(size.vcpus * UNITS_PER_VCPU)),
        "memory": str(round(size.memory_gib * MIB_PER_GIB)),
        "runtimePlatform": {"operatingSystemFamily": "LINUX", "cpuArchitecture": ARCHITECTURES[given.arch]},
        "executionRoleArn": Variable("ExecutionRole"),
        "taskRoleArn": Variable("TaskRole"),
        "containerDefinitions": [_container(deployment)],
        "tags": ecs_tags(_release_tags(deployment, scope)),
    }


def service(deployment: Deployment, given: Given, slot: str) -> Body:
    """CreateService. How many tasks there are, and of which release, is in the calls that follow it, too (`update`)."""
    scope = Scope(deployment.project, deployment.environment)
    return {
        "cluster": Variable("Cluster"),
        "serviceName": scope.service(slot),
        **_changing(deployment),
        "capacityProviderStrategy": capacity(deployment),
        "platformVersion": "LATEST",
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": [Variable("Subnets")],
                "securityGroups": [Variable("SecurityGroups")],
                # the default network's subnets are public ones: without an address nothing there reaches the registry
                "assignPublicIp": "DISABLED" if given.subnets else "ENABLED",
            }
        },
        "loadBalancers": [
            {"targetGroupArn": Variable(f"TargetGroup{slot.upper()}"), "containerName": CONTAINER, "containerPort": PORT}
        ],
        "propagateTags": "SERVICE",
        "enableECSManagedTags": True,
        "tags": ecs_tags(scope.tags("replica", deployment.labels)),
    }


def update(deployment: Deployment, slot: str) -> Body:
    """UpdateService: the slot takes another release, or another number of tasks."""
    scope = Scope(deployment.project, deployment.environment)
    return {
        "cluster": Variable("Cluster"),
        "service": scope.service(slot),
        **_changing(deployment),
        "capacityProviderStrategy": capacity(deployment),
    }


def rule(deployment: Deployment, given: Given, weights: Mapping[str, int]) -> Body:
    """CreateRule: who reaches which slot. weights: slot -> hundredths of the callers."""
    scope = Scope(deployment.project, deployment.environment)
    tags = scope.tags("front", deployment.labels)
    return {
        "ListenerArn": Variable("Listener"),
        "Priority": given.priority + 2,
        "Conditions": conditions(given),
        "Actions": actions(weights),
        "Tags": [{"Key": name, "Value": text} for name, text in tags.items()],
    }


def actions(weights: Mapping[str, int]) -> list[Body]:
    """What a rule does, in CreateRule and ModifyRule."""
    groups = [
        {"TargetGroupArn": Variable(f"TargetGroup{slot.upper()}"), "Weight": weight} for slot, weight in sorted(weights.items())
    ]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


def capacity(deployment: Deployment) -> list[Body]:
    """Only one of the items may have a base; AWS does not replace spot that is not to be had by on-demand."""
    cost = deployment.operating.get("cost") or {}
    if cost.get("profile") != "spot":
        return [{"capacityProvider": "FARGATE", "weight": 1}]
    return [
        {"capacityProvider": "FARGATE", "base": int(cost.get("on_demand_base") or 0), "weight": 0},
        {"capacityProvider": "FARGATE_SPOT", "weight": 1},
    ]


def ecs_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": text} for name, text in tags.items()]


def filled(document: Any, known: Mapping[str, str]) -> Any:
    """The document with every Variable in its place. A list's item that is one stands for all that it lists, with commas.

    Raises KeyError for one that nobody knows: that is a bug.
    """
    if isinstance(document, Variable):
        return known[document.name]
    if isinstance(document, Mapping):
        return {name: filled(entry, known) for name, entry in document.items()}
    if isinstance(document, list):
        return [one for entry in document for one in _items(entry, known)]
    return document


def _items(entry: Any, known: Mapping[str, str]) -> list[Any]:
    return known[entry.name].split(",") if isinstance(entry, Variable) else [filled(entry, known)]


def _changing(deployment: Deployment) -> Body:
    """What of a service its releases and its operation change."""
    return {
        "taskDefinition": Variable("TaskDefinition"),
        "desiredCount": deployment.replicas[0],
        "healthCheckGracePeriodSeconds": ceil(deployment.startup_timeout_s),
        "deploymentConfiguration": {
            "strategy": "ROLLING",
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
            # it ends a release that does not start; what served before is in the other slot, and nothing has to be rolled back
            "deploymentCircuitBreaker": {"enable": True, "rollback": False},
        },
    }


def _container(deployment: Deployment) -> Body:
    stop_s = min(ceil(deployment.request_timeout_s) + STOP_MARGIN_S, STOP_MOST_S)
    return {
        "name": CONTAINER,
        "image": Variable("Image"),
        "essential": True,
        "portMappings": [{"containerPort": PORT, "protocol": "tcp"}],
        "environment": [{"name": name, "value": text} for name, text in sorted(_environment(deployment).items())],
        "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
        "stopTimeout": stop_s,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": Variable("LogGroup"),
                "awslogs-region": Variable("Region"),
                "awslogs-stream-prefix": deployment.release.id,
                "mode": "non-blocking",
            },
        },
    }


def _environment(deployment: Deployment) -> dict[str, str]:
    user = {name: text for name, text in deployment.release.served.env.items() if name not in OWN_VARIABLES}
    drain_s = min(ceil(deployment.request_timeout_s) + DRAIN_MARGIN_S, STOP_MOST_S - (STOP_MARGIN_S - DRAIN_MARGIN_S))
    return {
        **user,
        "PORT": str(PORT),
        "MLSHIP_RELEASE": deployment.release.id,
        # a task is told to stop after the balancer has let go of it
        "MLSHIP_DRAIN_DELAY_S": "0",
        "MLSHIP_DRAIN_TIMEOUT_S": str(drain_s),
    }


def _release_tags(deployment: Deployment, scope: Scope) -> dict[str, str]:
    return scope.tags("replica", deployment.labels, release=deployment.release.id, content=deployment.release.served.content)
