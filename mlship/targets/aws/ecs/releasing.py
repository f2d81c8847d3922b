"""What each release sends: the bodies of its calls to ECS and to the balancer. Pure; `render` shows what `apply` sends.

`${Name}` stands for an output of the foundation's stack, for the image in the registry, for the region. There are two target groups,
the slots `a` and `b`: the one that is not live takes the next release, and shares of the callers are weights of one rule. The release
comes there in a service of its own, or the live service takes it and ECS moves the callers (traffic.py). Without a balancer there is one
service, `a`, in which ECS puts the tasks of a release in the place of those before.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from mlship.errors import MlshipError
from mlship.targets.aws.documents import Body, Variable
from mlship.targets.aws.ecs.discovery import REGISTRY
from mlship.targets.aws.ecs.foundation import conditions, has_key
from mlship.targets.aws.ecs.front import PORT
from mlship.targets.aws.ecs.health import health_check
from mlship.targets.aws.ecs.traffic import WHOLE_TASKS, configuration, replacing
from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import SLOTS, Scope
from mlship.targets.aws.sizes import FARGATE, fargate
from mlship.targets.base import OPERATOR_KEY, Deployment
from mlship.targets.sizes import asked_of
from mlship.targets.variables import variables_of_user

CONTAINER = "server"
STOP_MARGIN_S, STOP_MOST_S = 8, 120  # Fargate ends what does not stop within 120 s (ContainerDefinition, stopTimeout)
DRAIN_MARGIN_S = 5  # of these, what the server itself may take
MIB_PER_GIB, UNITS_PER_VCPU = 1024, 1024
ARCHITECTURES = {"x86_64": "X86_64", "arm64": "ARM64"}
# Everybody may write to it, as to every tmpfs without a mode, and so may the server's user; it counts as memory. Fargate has it since
# 2026-01 (aws.amazon.com/about-aws/whats-new/2026/01/amazon-ecs-tmpfs-mounts-aws-fargate-managed-instances).
_TMP = {"containerPath": "/tmp", "size": 256, "mountOptions": ["noexec", "nosuid", "nodev"]}  # noqa: S108 -- inside the container
# The whole of them: a share of the callers is so many hundredths.
WHOLE = 100


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
        "containerDefinitions": [_container(deployment, given)],
        "tags": ecs_tags(_release_tags(deployment, scope)),
    }


def service(deployment: Deployment, given: Given, slot: str, tasks: int = 0, name: str = "") -> Body:
    """CreateService. tasks: how many; the least of them, unless said. Their number and their release are in `update`, too.

    name: which of the two services it is, where that is not called as its slot.
    """
    scope = Scope(deployment.project, deployment.environment)
    return {
        "cluster": Variable("Cluster"),
        "serviceName": scope.service(name or slot),
        **_changing(deployment, given),
        "desiredCount": tasks or deployment.replicas[0],
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
        **_callers(given, slot),
        "propagateTags": "SERVICE",
        "enableECSManagedTags": True,
        "tags": ecs_tags(scope.tags("replica", deployment.labels)),
    }


def update(deployment: Deployment, given: Given, name: str, tasks: int | None) -> Body:
    """UpdateService: it takes another release, or another number of tasks. tasks: None where autoscaling owns it."""
    scope = Scope(deployment.project, deployment.environment)
    return {
        "cluster": Variable("Cluster"),
        "service": scope.service(name),
        **_changing(deployment, given),
        **({} if tasks is None else {"desiredCount": tasks}),
        "capacityProviderStrategy": capacity(deployment),
    }


def made_movable(deployment: Deployment, name: str, slot: str) -> Body:
    """UpdateService: the live service, whose tasks are in this slot, gets to know the other one. ECS wants a ROLLING deployment with that
    before it may move anything ("Update the deployment strategy from rolling update to blue/green", developer guide, read 2026-11).
    """
    scope = Scope(deployment.project, deployment.environment)
    return {
        "cluster": Variable("Cluster"),
        "service": scope.service(name),
        "deploymentConfiguration": _rolling(),
        "loadBalancers": [_movable(slot)],
        "forceNewDeployment": True,  # of one that ECS gave up
    }


def moved(deployment: Deployment, name: str, slot: str) -> Body:
    """UpdateService: the live service, whose tasks are in this slot, takes another release into the other one. ECS moves the
    callers.
    """
    scope = Scope(deployment.project, deployment.environment)
    return {
        "cluster": Variable("Cluster"),
        "service": scope.service(name),
        **_released(deployment),
        "deploymentConfiguration": configuration(deployment, [_other(slot)]),
        "desiredCount": deployment.replicas[0],
        "capacityProviderStrategy": capacity(deployment),
    }


def bought_anew(deployment: Deployment, name: str) -> Body:
    """UpdateService: other capacity for the release of a service that ECS moves."""
    scope = Scope(deployment.project, deployment.environment)
    return {
        "cluster": Variable("Cluster"),
        "service": scope.service(name),
        "deploymentConfiguration": replacing(),
        "capacityProviderStrategy": capacity(deployment),
        "forceNewDeployment": True,
    }


def let_go() -> Body:
    """ContinueServiceDeployment: the release has proven itself, and callers may meet it."""
    return {"serviceDeploymentArn": Variable("ServiceDeployment"), "hookId": Variable("Hook"), "action": "CONTINUE"}


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


def _changing(deployment: Deployment, given: Given) -> Body:
    """What of a service its releases and its operation change."""
    if given.is_balanced:
        return {**_released(deployment), "deploymentConfiguration": _rolling()}
    return {"taskDefinition": Variable("TaskDefinition"), "deploymentConfiguration": _rolling(is_taken_back=True)}


def _rolling(*, is_taken_back: bool = False) -> Body:
    """The circuit breaker ends a release that does not start. is_taken_back: what served before is no more in another slot, where nothing
    has to be rolled back, but what ECS has to go back to.
    """
    return {"strategy": "ROLLING", **WHOLE_TASKS, "deploymentCircuitBreaker": {"enable": True, "rollback": is_taken_back}}


def _released(deployment: Deployment) -> Body:
    return {
        "taskDefinition": Variable("TaskDefinition"),
        "healthCheckGracePeriodSeconds": ceil(deployment.startup_timeout_s),
    }


def _callers(given: Given, slot: str) -> Body:
    """How callers come to its tasks."""
    return (
        {"loadBalancers": [_place(slot)]} if given.is_balanced else {"serviceRegistries": [{"registryArn": Variable(REGISTRY)}]}
    )


def _place(slot: str) -> Body:
    return {"targetGroupArn": Variable(f"TargetGroup{slot.upper()}"), "containerName": CONTAINER, "containerPort": PORT}


def _movable(slot: str) -> Body:
    """Where the tasks of a service are that ECS moves to the other slot, and back. Its test rule is the foundation's own: each slot has
    one, whatever is in it.
    """
    between = {
        "alternateTargetGroupArn": Variable(f"TargetGroup{_other(slot).upper()}"),
        "productionListenerRule": Variable("Rule"),
        "roleArn": Variable("InfrastructureRole"),
    }
    return {**_place(slot), "advancedConfiguration": between}


def _other(slot: str) -> str:
    return next(one for one in SLOTS if one != slot)


def _container(deployment: Deployment, given: Given) -> Body:
    stop_s = min(ceil(deployment.request_timeout_s) + STOP_MARGIN_S, STOP_MOST_S)
    answers_s = deployment.request_timeout_s * len(deployment.release.served.models)
    return {
        "name": CONTAINER,
        "image": Variable("Image"),
        "essential": True,
        "portMappings": [{"containerPort": PORT, "protocol": "tcp"}],
        "environment": [{"name": name, "value": text} for name, text in sorted(_environment(deployment).items())],
        **_secrets(deployment),
        "readonlyRootFilesystem": True,
        "linuxParameters": {"capabilities": {"drop": ["ALL"]}, "tmpfs": [_TMP]},
        "stopTimeout": stop_s,
        **({} if given.is_balanced else {"healthCheck": health_check(deployment.startup_timeout_s, answers_s)}),
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


def _secrets(deployment: Deployment) -> Body:
    """Each by its version: whoever puts a new one there makes a new release to use it."""
    said = [{"name": name, "valueFrom": version} for name, version in sorted(deployment.release.served.secrets.items())]
    own = [{"name": OPERATOR_KEY, "valueFrom": Variable("OperatorKey")}] if has_key(deployment) else []
    return {"secrets": [*said, *own]} if said or own else {}


def _environment(deployment: Deployment) -> dict[str, str]:
    drain_s = min(ceil(deployment.request_timeout_s) + DRAIN_MARGIN_S, STOP_MOST_S - (STOP_MARGIN_S - DRAIN_MARGIN_S))
    return {
        **variables_of_user(deployment),
        "PORT": str(PORT),
        "MLSHIP_RELEASE": deployment.release.id,
        # a task is told to stop after the balancer has let go of it
        "MLSHIP_DRAIN_DELAY_S": "0",
        "MLSHIP_DRAIN_TIMEOUT_S": str(drain_s),
    }


def _release_tags(deployment: Deployment, scope: Scope) -> dict[str, str]:
    return scope.tags("replica", deployment.labels, release=deployment.release.id, content=deployment.release.served.content)
