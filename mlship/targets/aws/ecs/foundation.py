"""What an administrator applies once, as a CloudFormation template: all that a release needs and does not change. Pure.

Logs, registry, cluster, roles, mlship's own key, balancer, two target groups, and the rules that lead to each of them. Which of the two
the callers reach is not here: releases own that (releasing.py). Without a balancer: the name by which callers find the tasks
(discovery.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from mlship.targets.aws import parts, secrets
from mlship.targets.aws.documents import Template, cfn_tags
from mlship.targets.aws.ecs import discovery, front, movers
from mlship.targets.aws.ecs.front import PORT
from mlship.targets.aws.ecs.traffic import by_ecs
from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import SLOTS, Scope
from mlship.targets.base import Deployment

TASKS = "ecs-tasks.amazonaws.com"
SLOT_HEADER = "x-mlship-slot"  # whoever sends it is led to the tasks of that slot, whatever the callers' shares are
DRAIN_MARGIN_S = 5  # beside the request timeout: what a draining target may take
INFRASTRUCTURE = "InfrastructureRole"
OPERATOR_KEY_LENGTH = 43  # of letters and digits: 256 bits


@dataclass(frozen=True)
class Kept:
    """What releases need that are there already. secrets: ARNs that their tasks read; has_key: mlship's own key is there; has_movers:
    ECS has what it needs to move callers.
    """

    secrets: frozenset[str] = frozenset()
    has_key: bool = False
    has_movers: bool = False


def foundation(deployment: Deployment, given: Given, kept: Kept = Kept()) -> Template:
    """The stack's template. Its parameters are the network where mlship.yaml names none; its outputs are all that releases need."""
    scope = Scope(deployment.project, deployment.environment)
    made = _resources(deployment, given, scope, kept)
    outputs = {name: {"Value": value} for name, value in outputs_of(deployment, given, kept).items()}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"mlship: what releases of {scope.stem.removeprefix('mlship-')} stand on",
        "Parameters": parameters(given),
        "Resources": made,
        "Outputs": outputs,
    }


def parameters(given: Given) -> dict[str, Any]:
    """Looked up when the stack is made: the network of the subnets, or the account's default one with all of its subnets."""
    subnets = {} if given.subnets else {"Subnets": {"Type": "List<AWS::EC2::Subnet::Id>"}}
    is_made_in = given.is_balanced or not (given.security_groups and given.namespace)
    return {**({"Vpc": {"Type": "AWS::EC2::VPC::Id"}} if is_made_in else {}), **subnets}


def outputs_of(deployment: Deployment, given: Given, kept: Kept = Kept()) -> dict[str, Any]:
    """name -> what it is in the template; the same for what was given and for what is made."""
    return {
        "Cluster": given.cluster or {"Ref": "Cluster"},
        **(_of_balancer(given) if given.is_balanced else discovery.outputs(given)),
        "LogGroup": {"Ref": "LogGroup"},
        "Repository": given.repository or {"Ref": "Repository"},
        "ExecutionRole": parts.role_arn(given, "execution", "ExecutionRole"),
        "TaskRole": parts.role_arn(given, "task", "TaskRole"),
        "Subnets": ",".join(given.subnets) or {"Fn::Join": [",", {"Ref": "Subnets"}]},
        "SecurityGroups": ",".join(given.security_groups) or {"Fn::GetAtt": ["TaskSecurityGroup", "GroupId"]},
        **({"Bucket": given.bucket} if given.bucket else {}),
        **({"OperatorKey": {"Ref": "OperatorKey"}} if _has_key(deployment, kept) else {}),
        **({INFRASTRUCTURE: _infrastructure(given)} if has_movers(deployment, given, kept) else {}),
    }


def _of_balancer(given: Given) -> dict[str, Any]:
    return {
        "Listener": given.listener or {"Ref": "Listener"},
        "TargetGroupA": {"Ref": "TargetGroupA"},
        "TargetGroupB": {"Ref": "TargetGroupB"},
        **_metric_names(given),
        **({"Host": given.hosts[0]} if given.hosts else {}),
        **({} if given.listener else {"Address": {"Fn::GetAtt": ["Balancer", "DNSName"]}}),
    }


def has_key(deployment: Deployment) -> bool:
    """Whether the server judges its callers, and mlship is one of them."""
    return bool(deployment.operating.get("auth"))


def has_movers(deployment: Deployment, given: Given, kept: Kept = Kept()) -> bool:
    """Whether the foundation has what ECS needs to move the callers: from the first release that it moves them to."""
    return given.is_balanced and (by_ecs(deployment, given) or kept.has_movers)


def _infrastructure(given: Given) -> Any:
    return parts.role_arn(given, "infrastructure", INFRASTRUCTURE)


def _has_key(deployment: Deployment, kept: Kept) -> bool:
    return has_key(deployment) or kept.has_key


def _metric_names(given: Given) -> dict[str, Any]:
    """What the balancer's metrics call it and its target groups; autoscaling and gates read them. A label is both."""
    balancer = movers.balancer(given)
    groups = {slot: movers.group(slot) for slot in ("A", "B")}
    labels = {f"Label{slot}": {"Fn::Join": ["/", [balancer, group]]} for slot, group in groups.items()}
    return {"Balancer": balancer, **{f"Group{slot}": group for slot, group in groups.items()}, **labels}


def conditions(given: Given, *more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Which callers a rule of the listener is for."""
    hosts = [{"Field": "host-header", "HostHeaderConfig": {"Values": list(given.hosts)}}] if given.hosts else []
    found = [*hosts, *(dict(one) for one in more)]
    return found or [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}]


def _resources(deployment: Deployment, given: Given, scope: Scope, kept: Kept) -> dict[str, Any]:
    def tags(role: str) -> list[dict[str, str]]:
        return cfn_tags(scope.tags(role, deployment.labels))

    made: dict[str, Any] = {"LogGroup": parts.log_group(given, scope.log_group, tags("logs"))}
    if not given.repository:
        made["Repository"] = parts.repository(given, scope.repository, tags("registry"))
    if not given.cluster:
        made["Cluster"] = _cluster(scope, tags("cluster"))
    if _has_key(deployment, kept):
        made["OperatorKey"] = _operator_key(given, scope, tags("key"))
    made |= _roles(deployment, given, kept, tags("role"))
    if not given.security_groups:
        made |= front.security_groups(given, scope, tags("network"))
    if not given.is_balanced:
        return {**made, **discovery.registry(given, scope, tags("front"))}
    if not given.listener:
        made |= front.balancer(given, scope, tags("front"))
    for slot in SLOTS:
        made[f"TargetGroup{slot.upper()}"] = _target_group(deployment, scope, slot, tags("front"))
    if has_movers(deployment, given, kept):
        made |= movers.alarms(given, scope)
    for number, slot in enumerate(SLOTS):
        made[f"Slot{slot.upper()}"] = _slot_rule(given, slot, given.priority + number)
    return made


def _cluster(scope: Scope, tags: list[dict[str, str]]) -> Template:
    wanted = {"ClusterName": scope.stem, "CapacityProviders": ["FARGATE", "FARGATE_SPOT"], "Tags": tags}
    return {"Type": "AWS::ECS::Cluster", "Properties": wanted}


def _operator_key(given: Given, scope: Scope, tags: list[dict[str, str]]) -> Template:
    """With which mlship asks servers that judge their callers. Its value is made at AWS, and sent by nobody; and so is its name, which
    may be kept for a while after the secret is gone.
    """
    wanted: dict[str, Any] = {
        "Description": f"the key with which mlship asks {scope.stem.removeprefix('mlship-')}",
        "GenerateSecretString": {"PasswordLength": OPERATOR_KEY_LENGTH, "ExcludePunctuation": True},
        "Tags": tags,
    }
    if given.kms_key:
        wanted["KmsKeyId"] = given.kms_key
    return parts.deletable("AWS::SecretsManager::Secret", wanted)


def _roles(deployment: Deployment, given: Given, kept: Kept, tags: list[dict[str, str]]) -> dict[str, Any]:
    """Of the task: it may do nothing. Of its start: it may read its image and its secrets, and write its log. Of ECS, where it moves the
    callers: it may change the rule that leads them.
    """
    made: dict[str, Any] = {}
    if "task" not in given.roles:
        made["TaskRole"] = parts.role(given, TASKS, [], tags)
    if "execution" not in given.roles:
        statements = [
            parts.TOKEN,
            {"Effect": "Allow", "Action": parts.PULL, "Resource": parts.repository_arn(given)},
            {"Effect": "Allow", "Action": parts.WRITE_LOG, "Resource": {"Fn::GetAtt": ["LogGroup", "Arn"]}},
            *_secrets(deployment, given, kept),
        ]
        made["ExecutionRole"] = parts.role(given, TASKS, statements, tags)
    if "infrastructure" not in given.roles and has_movers(deployment, given, kept):
        made[INFRASTRUCTURE] = movers.role(given, tags)
    return made


def _secrets(deployment: Deployment, given: Given, kept: Kept) -> list[Template]:
    own = [{"Ref": "OperatorKey"}] if _has_key(deployment, kept) else []
    if not (deployment.references or kept.secrets or own):
        return []
    opened = {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": given.kms_key}
    return [
        secrets.readable({*deployment.references.values(), *kept.secrets}, own),
        *([opened] if given.kms_key else []),
    ]


def _target_group(deployment: Deployment, scope: Scope, slot: str, tags: list[dict[str, str]]) -> Template:
    drain_s = ceil(deployment.request_timeout_s) + DRAIN_MARGIN_S
    attributes = {
        "deregistration_delay.timeout_seconds": str(drain_s),
        "load_balancing.algorithm.type": "least_outstanding_requests",
    }
    wanted = {
        "Name": scope.short(slot),
        "TargetType": "ip",
        "Protocol": "HTTP",
        "Port": PORT,
        "VpcId": {"Ref": "Vpc"},
        "HealthCheckPath": "/readyz",
        "HealthCheckIntervalSeconds": 10,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 2,
        "UnhealthyThresholdCount": 3,
        "Matcher": {"HttpCode": "200"},
        "TargetGroupAttributes": cfn_tags(attributes),
        "Tags": tags,
    }
    return {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": wanted}


def _slot_rule(given: Given, slot: str, priority: int) -> Template:
    header = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": SLOT_HEADER, "Values": [slot]}}
    wanted = {
        "ListenerArn": given.listener or {"Ref": "Listener"},
        "Priority": priority,
        "Conditions": conditions(given, header),
        "Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": f"TargetGroup{slot.upper()}"}}],
    }
    return {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": wanted}
