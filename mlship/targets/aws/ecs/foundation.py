"""What an administrator applies once, as a CloudFormation template: all that a release needs and does not change. Pure.

Logs, registry, cluster, roles, balancer, two target groups, and the rules that lead to each of them. Which of the two the callers
reach is not here: releases own that (releasing.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import SLOTS, Scope
from mlship.targets.base import Deployment

Template = dict[str, Any]
PORT = 8080  # of the server in a task
SLOT_HEADER = "x-mlship-slot"  # whoever sends it is led to the tasks of that slot, whatever the callers' shares are
RETENTION_DAYS = 30
UNTAGGED_DAYS = 14  # what a release serves has a tag (delivery.py); what lost it is nobody's
DRAIN_MARGIN_S = 5  # beside the request timeout: what a draining target may take
BALANCER_PORT = 80
# AWS lets nobody narrow this action to a resource (from memory, verify: Service Authorization Reference, Amazon ECR).
_TOKEN = {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": "*"}


def foundation(deployment: Deployment, given: Given) -> Template:
    """The stack's template. Its parameters are the network where mlship.yaml names none; its outputs are all that releases need."""
    scope = Scope(deployment.project, deployment.environment)
    made = _resources(deployment, given, scope)
    outputs = {name: {"Value": value} for name, value in outputs_of(given).items()}
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
    return {"Vpc": {"Type": "AWS::EC2::VPC::Id"}, **subnets}


def outputs_of(given: Given) -> dict[str, Any]:
    """name -> what it is in the template; the same for what was given and for what is made."""
    return {
        "Cluster": given.cluster or {"Ref": "Cluster"},
        "Listener": given.listener or {"Ref": "Listener"},
        "TargetGroupA": {"Ref": "TargetGroupA"},
        "TargetGroupB": {"Ref": "TargetGroupB"},
        "LogGroup": {"Ref": "LogGroup"},
        "Repository": given.repository or {"Ref": "Repository"},
        "ExecutionRole": _role(given, "execution", "ExecutionRole"),
        "TaskRole": _role(given, "task", "TaskRole"),
        "Subnets": ",".join(given.subnets) or {"Fn::Join": [",", {"Ref": "Subnets"}]},
        "SecurityGroups": ",".join(given.security_groups) or {"Fn::GetAtt": ["TaskSecurityGroup", "GroupId"]},
        **({"Bucket": given.bucket} if given.bucket else {}),
        **({"Host": given.hosts[0]} if given.hosts else {}),
    }


def conditions(given: Given, *more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Which callers a rule of the listener is for."""
    hosts = [{"Field": "host-header", "HostHeaderConfig": {"Values": list(given.hosts)}}] if given.hosts else []
    found = [*hosts, *(dict(one) for one in more)]
    return found or [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}]


def cfn_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": text} for name, text in tags.items()]


def _resources(deployment: Deployment, given: Given, scope: Scope) -> dict[str, Any]:
    def tags(role: str) -> list[dict[str, str]]:
        return cfn_tags(scope.tags(role, deployment.labels))

    made: dict[str, Any] = {"LogGroup": _log_group(given, scope, tags("logs"))}
    if not given.repository:
        made["Repository"] = _repository(given, scope, tags("registry"))
    if not given.cluster:
        made["Cluster"] = _cluster(scope, tags("cluster"))
    made |= _roles(given, tags("role"))
    if not given.security_groups:
        made |= _security_groups(given, scope, tags("network"))
    if not given.listener:
        made |= _balancer(given, scope, tags("front"))
    for slot in SLOTS:
        made[f"TargetGroup{slot.upper()}"] = _target_group(deployment, scope, slot, tags("front"))
    for number, slot in enumerate(SLOTS):
        made[f"Slot{slot.upper()}"] = _slot_rule(given, slot, given.priority + number)
    return made


def _log_group(given: Given, scope: Scope, tags: list[dict[str, str]]) -> Template:
    key = {"KmsKeyId": given.kms_key} if given.kms_key else {}
    wanted = {"LogGroupName": scope.log_group, "RetentionInDays": RETENTION_DAYS, **key, "Tags": tags}
    return _deletable("AWS::Logs::LogGroup", wanted)


def _repository(given: Given, scope: Scope, tags: list[dict[str, str]]) -> Template:
    wanted: dict[str, Any] = {
        "RepositoryName": scope.repository,
        "EmptyOnDelete": True,
        "LifecyclePolicy": {"LifecyclePolicyText": _LIFECYCLE},
        "Tags": tags,
    }
    if given.kms_key:
        wanted["EncryptionConfiguration"] = {"EncryptionType": "KMS", "KmsKey": given.kms_key}
    return _deletable("AWS::ECR::Repository", wanted)


def _deletable(kind: str, properties: Template) -> Template:
    """What holds data goes with the stack alone, and never because another one takes its place."""
    return {"Type": kind, "DeletionPolicy": "Delete", "UpdateReplacePolicy": "Retain", "Properties": properties}


_LIFECYCLE = (
    '{"rules":[{"rulePriority":1,"description":"releases are tagged; what is not goes","selection":'
    f'{{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":{UNTAGGED_DAYS}}},'
    '"action":{"type":"expire"}}]}'
)


def _cluster(scope: Scope, tags: list[dict[str, str]]) -> Template:
    wanted = {"ClusterName": scope.stem, "CapacityProviders": ["FARGATE", "FARGATE_SPOT"], "Tags": tags}
    return {"Type": "AWS::ECS::Cluster", "Properties": wanted}


def _roles(given: Given, tags: list[dict[str, str]]) -> dict[str, Any]:
    """Of the task: it may do nothing. Of its start: it may read its image and write its log."""
    made: dict[str, Any] = {}
    if "task" not in given.roles:
        made["TaskRole"] = _role_for_tasks(given, [], tags)
    if "execution" not in given.roles:
        statements = [
            _TOKEN,
            {
                "Effect": "Allow",
                "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                "Resource": _repository_arn(given),
            },
            {
                "Effect": "Allow",
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": {"Fn::GetAtt": ["LogGroup", "Arn"]},
            },
        ]
        policy = {"PolicyName": "start", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}
        made["ExecutionRole"] = _role_for_tasks(given, [policy], tags)
    return made


def _role_for_tasks(given: Given, policies: list[Template], tags: list[dict[str, str]]) -> Template:
    trusted = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                # only tasks of this account: another one's could otherwise have ours act for it
                "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
            }
        ],
    }
    wanted: dict[str, Any] = {"AssumeRolePolicyDocument": trusted, "Tags": tags}
    if policies:
        wanted["Policies"] = policies
    if given.permissions_boundary:
        wanted["PermissionsBoundary"] = _arn(given.permissions_boundary, "iam::${AWS::AccountId}:policy")
    return {"Type": "AWS::IAM::Role", "Properties": wanted}


def _role(given: Given, which: str, logical: str) -> Any:
    said = given.roles.get(which)
    return _arn(said, "iam::${AWS::AccountId}:role") if said else {"Fn::GetAtt": [logical, "Arn"]}


def _repository_arn(given: Given) -> Any:
    if not given.repository:
        return {"Fn::GetAtt": ["Repository", "Arn"]}
    return _arn(given.repository, "ecr:${AWS::Region}:${AWS::AccountId}:repository")


def _arn(said: str, kind: str) -> Any:
    """A name in this account, or an ARN as it is."""
    return said if said.startswith("arn:") else {"Fn::Sub": f"arn:${{AWS::Partition}}:{kind}/{said}"}


def _security_groups(given: Given, scope: Scope, tags: list[dict[str, str]]) -> dict[str, Any]:
    """Of the tasks, that only the balancer reaches, and of the balancer. They may reach everything: the registry, the logs."""
    task: dict[str, Any] = {
        "GroupDescription": f"tasks of {scope.stem}",
        "VpcId": {"Ref": "Vpc"},
        "Tags": tags,
    }
    if given.listener:
        ingress = [{"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "CidrIp": network} for network in given.callers]
        return {"TaskSecurityGroup": _group({**task, "SecurityGroupIngress": ingress})}
    from_balancer = {"SourceSecurityGroupId": {"Fn::GetAtt": ["BalancerSecurityGroup", "GroupId"]}}
    task["SecurityGroupIngress"] = [{"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, **from_balancer}]
    balancer = {
        "GroupDescription": f"balancer of {scope.stem}",
        "VpcId": {"Ref": "Vpc"},
        "SecurityGroupIngress": [
            {"IpProtocol": "tcp", "FromPort": BALANCER_PORT, "ToPort": BALANCER_PORT, "CidrIp": network}
            for network in given.callers
        ],
        "Tags": tags,
    }
    return {"TaskSecurityGroup": _group(task), "BalancerSecurityGroup": _group(balancer)}


def _group(properties: Template) -> Template:
    return {"Type": "AWS::EC2::SecurityGroup", "Properties": properties}


def _balancer(given: Given, scope: Scope, tags: list[dict[str, str]]) -> dict[str, Any]:
    own = [{"Fn::GetAtt": ["BalancerSecurityGroup", "GroupId"]}]
    nothing = {"StatusCode": "503", "ContentType": "application/json", "MessageBody": '{"error": "nothing is deployed"}'}
    return {
        "Balancer": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties": {
                "Name": scope.short("lb"),
                "Type": "application",
                "Scheme": "internal",
                "Subnets": list(given.subnets) or {"Ref": "Subnets"},
                "SecurityGroups": list(given.security_groups) or own,
                "LoadBalancerAttributes": [{"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"}],
                "Tags": tags,
            },
        },
        "Listener": {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Properties": {
                "LoadBalancerArn": {"Ref": "Balancer"},
                "Port": BALANCER_PORT,
                "Protocol": "HTTP",
                "DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": nothing}],
            },
        },
    }


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
