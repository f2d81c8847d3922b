"""Parts of a stack that every service has: its log, its registry, its roles. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlship.targets.aws.documents import Template
from mlship.targets.aws.given import Given

RETENTION_DAYS = 30
UNTAGGED_DAYS = 14  # what a release serves has a tag (delivery.py), its record too (artifacts.py); what lost it is nobody's
# AWS lets nobody narrow this action to a resource (from memory, verify: Service Authorization Reference, Amazon ECR).
TOKEN = {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": "*"}
PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
WRITE_LOG = ["logs:CreateLogStream", "logs:PutLogEvents"]
Tags = list[dict[str, str]]

_LIFECYCLE = (
    '{"rules":[{"rulePriority":1,"description":"releases are tagged; what is not goes","selection":'
    f'{{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":{UNTAGGED_DAYS}}},'
    '"action":{"type":"expire"}}]}'
)


def log_group(given: Given, name: str, tags: Tags) -> Template:
    key = {"KmsKeyId": given.kms_key} if given.kms_key else {}
    return deletable("AWS::Logs::LogGroup", {"LogGroupName": name, "RetentionInDays": RETENTION_DAYS, **key, "Tags": tags})


def repository(given: Given, name: str, tags: Tags) -> Template:
    wanted: dict[str, Any] = {
        "RepositoryName": name,
        "EmptyOnDelete": True,
        "LifecyclePolicy": {"LifecyclePolicyText": _LIFECYCLE},
        "Tags": tags,
    }
    if given.kms_key:
        wanted["EncryptionConfiguration"] = {"EncryptionType": "KMS", "KmsKey": given.kms_key}
    return deletable("AWS::ECR::Repository", wanted)


def repository_arn(given: Given) -> Any:
    """Of the one that is given, or of the template's own, which is called Repository there."""
    if not given.repository:
        return {"Fn::GetAtt": ["Repository", "Arn"]}
    return arn(given.repository, "ecr:${AWS::Region}:${AWS::AccountId}:repository")


def role(given: Given, service: str, statements: Sequence[Template], tags: Tags) -> Template:
    """service: who acts as this role, `ecs-tasks.amazonaws.com`. statements: what it may do; nothing where there are none."""
    trusted = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": service},
                # only for this account: another one's could otherwise have ours act for it
                "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
            }
        ],
    }
    wanted: dict[str, Any] = {"AssumeRolePolicyDocument": trusted, "Tags": tags}
    if statements:
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        wanted["Policies"] = [{"PolicyName": "start", "PolicyDocument": document}]
    if given.permissions_boundary:
        wanted["PermissionsBoundary"] = arn(given.permissions_boundary, "iam::${AWS::AccountId}:policy")
    return {"Type": "AWS::IAM::Role", "Properties": wanted}


def role_arn(given: Given, which: str, logical: str) -> Any:
    """Of the role that is given as `which`, or of the template's own. logical: its name there."""
    said = given.roles.get(which)
    return arn(said, "iam::${AWS::AccountId}:role") if said else {"Fn::GetAtt": [logical, "Arn"]}


def arn(said: str, kind: str) -> Any:
    """A name in this account, or an ARN as it is. kind: `iam::${AWS::AccountId}:role`."""
    return said if said.startswith("arn:") else {"Fn::Sub": f"arn:${{AWS::Partition}}:{kind}/{said}"}


def deletable(kind: str, properties: Template) -> Template:
    """What holds data goes with the stack alone, and never because another one takes its place."""
    return {"Type": kind, "DeletionPolicy": "Delete", "UpdateReplacePolicy": "Retain", "Properties": properties}
