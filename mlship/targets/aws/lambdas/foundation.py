"""What an administrator applies once for a function, as a CloudFormation template: log, registry, role, the operator's key. Pure.

The function itself is not here: it cannot be made without an image, and releases own it (releasing.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlship.targets.aws.documents import Template, cfn_tags
from mlship.targets.aws.given import Given
from mlship.targets.aws.lambdas.naming import function_name
from mlship.targets.aws.parts import WRITE_LOG, deletable, log_group, repository, role, role_arn
from mlship.targets.aws.scope import Scope
from mlship.targets.aws.secrets import readable
from mlship.targets.base import Deployment

SERVICE = "lambda.amazonaws.com"
ROLE = "task"  # what the function may do; Lambda has no other role
KEY_LENGTH = 48
# A function in a network makes interfaces there; none of these can be narrowed to one (developer guide, "Giving Lambda functions
# access to resources in an Amazon VPC", read 2026-11).
_NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)


@dataclass(frozen=True)
class Kept:
    """What versions need that callers reach now. secrets: ARNs that they read; has_key: mlship's own key is there."""

    secrets: frozenset[str] = frozenset()
    has_key: bool = False


def foundation(deployment: Deployment, given: Given, kept: Kept = Kept()) -> Template:
    """The stack's template. It has no parameters; its outputs are all that releases need."""
    scope = Scope(deployment.project, deployment.environment)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"mlship: what releases of {scope.stem.removeprefix('mlship-')} stand on",
        "Resources": _resources(deployment, given, scope, kept),
        "Outputs": {name: {"Value": value} for name, value in outputs_of(deployment, given, kept).items()},
    }


def outputs_of(deployment: Deployment, given: Given, kept: Kept = Kept()) -> dict[str, Any]:
    """name -> what it is in the template; the same for what was given and for what is made."""
    return {
        "LogGroup": {"Ref": "LogGroup"},
        "Repository": given.repository or {"Ref": "Repository"},
        "FunctionRole": role_arn(given, ROLE, "FunctionRole"),
        **({"OperatorKey": {"Ref": "OperatorKey"}} if has_operator_key(deployment) or kept.has_key else {}),
        **({"Bucket": given.bucket} if given.bucket else {}),
    }


def has_operator_key(deployment: Deployment) -> bool:
    """Where the server judges its callers, mlship is one of them and needs a key."""
    return bool(deployment.release.served.serving.get("auth"))


def _resources(deployment: Deployment, given: Given, scope: Scope, kept: Kept) -> dict[str, Any]:
    def tags(of: str) -> list[dict[str, str]]:
        return cfn_tags(scope.tags(of, deployment.labels))

    made: dict[str, Any] = {"LogGroup": log_group(given, scope.log_group, tags("logs"))}
    if not given.repository:
        made["Repository"] = repository(given, scope.repository, tags("registry"))
        made["Repository"]["Properties"]["RepositoryPolicyText"] = _may_pull(scope)
    if has_operator_key(deployment) or kept.has_key:
        made["OperatorKey"] = _operator_key(given, scope, tags("operator"))
    if ROLE not in given.roles:
        made["FunctionRole"] = role(given, SERVICE, list(_statements(deployment, given, kept)), tags("role"))
    return made


def _may_pull(scope: Scope) -> Template:
    """Lambda itself reads the image, and goes on reading it for as long as a version has it."""
    named = f"arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{function_name(scope)}"
    functions = [{"Fn::Sub": named}, {"Fn::Sub": f"{named}:*"}]
    statement = {
        "Sid": "LambdaReadsImages",
        "Effect": "Allow",
        "Principal": {"Service": SERVICE},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        "Condition": {"ArnLike": {"aws:SourceArn": functions}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _operator_key(given: Given, scope: Scope, tags: list[dict[str, str]]) -> Template:
    wanted: dict[str, Any] = {
        "Name": f"{scope.repository}/operator",
        "Description": "the key with which mlship asks the service that it has deployed",
        "GenerateSecretString": {"PasswordLength": KEY_LENGTH, "ExcludePunctuation": True},
        "Tags": tags,
    }
    if given.kms_key:
        wanted["KmsKeyId"] = given.kms_key
    return deletable("AWS::SecretsManager::Secret", wanted)


def _statements(deployment: Deployment, given: Given, kept: Kept) -> Iterator[Template]:
    yield _allowed(WRITE_LOG, {"Fn::GetAtt": ["LogGroup", "Arn"]})
    own = [{"Ref": "OperatorKey"}] if has_operator_key(deployment) or kept.has_key else []
    named = {*deployment.references.values(), *kept.secrets}
    if own or named:
        yield readable(named, own)
    if given.kms_key:
        yield _allowed(["kms:Decrypt"], given.kms_key)
    if given.subnets:
        yield _allowed(list(_NETWORK), "*")


def _allowed(actions: list[str], resource: Any) -> Template:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def reserved(deployment: Deployment) -> int | None:
    """How many copies at most; None where nobody says it: then the account's own limit holds."""
    _, most = deployment.replicas
    return most if most > 1 or "scale.replicas" in deployment.places else None


def kept_ready(deployment: Deployment) -> int:
    """How many copies wait for callers, whoever asks; they are paid for by the second. 0 where nobody says a number."""
    return deployment.replicas[0] if reserved(deployment) is not None else 0


def environment_tags(deployment: Deployment) -> Mapping[str, str]:
    return Scope(deployment.project, deployment.environment).tags("replica", deployment.labels)
