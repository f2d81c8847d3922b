"""What these credentials may do, asked before anything is changed: IAM judges their policies without carrying anything out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlship.errors import Finding
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.given import Given
from mlship.targets.base import Deployment

_OF_ALL = (
    *("s3:GetObject", "s3:PutObject", "cloudformation:DescribeStacks", "ecr:GetAuthorizationToken", "ecr:PutImage"),
    *("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:DescribeImages"),
)
# Of a release, and of nothing that is made once: an administrator may have made that.
_OF_SERVICE: Mapping[str, tuple[str, ...]] = {
    "ecs": (
        *("ecs:RegisterTaskDefinition", "ecs:CreateService", "ecs:UpdateService", "ecs:DescribeServices", "iam:PassRole"),
        *("elasticloadbalancing:CreateRule", "elasticloadbalancing:ModifyRule", "elasticloadbalancing:DescribeRules"),
    ),
    "sagemaker": (
        *("sagemaker:CreateModel", "sagemaker:CreateEndpointConfig", "sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"),
        *("sagemaker:DescribeEndpoint", "sagemaker:InvokeEndpoint", "iam:PassRole"),
    ),
    "lambda": (
        *("lambda:CreateFunction", "lambda:UpdateFunctionCode", "lambda:PublishVersion", "lambda:CreateAlias"),
        *("lambda:UpdateAlias", "lambda:InvokeFunction", "iam:PassRole"),
    ),
}
_ARN = re.compile(r"arn:(?P<partition>[^:]+):(?:iam|sts)::(?P<account>\d+):(?P<kind>user|role|assumed-role)/(?P<name>.+)")
_SSO = "AWSReservedSSO_"
_OF_FOUNDATION = ("cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet")


def findings(door: Door, deployment: Deployment, has: Given) -> Iterator[Finding]:
    """An error for what is denied outright; a warning for what no policy allows everywhere, because one may allow it for the very
    objects of this project. A note where nobody may ask.
    """
    who = str(door.call("sts", "get_caller_identity")["Arn"])
    principal = _principal(who)
    if not principal:  # the account's root user, or a service of AWS: neither has policies of its own
        return
    actions = sorted({*_OF_ALL, *_OF_SERVICE.get(deployment.service, ()), *_foundation(has)})
    try:
        told = door.call("iam", "simulate_principal_policy", PolicySourceArn=principal, ActionNames=actions)
    except Refused as no:
        what = f"what {who} may do could not be asked beforehand ({no.said})"
        yield Finding(what, "", "allow iam:SimulatePrincipalPolicy to know it before a deploy begins", "note", "not-simulated")
        return
    yield from _judged(who, told["EvaluationResults"])


def _judged(who: str, results: list[Mapping[str, Any]]) -> Iterator[Finding]:
    denied = [one["EvalActionName"] for one in results if _is_denied(one)]
    unsaid = [one["EvalActionName"] for one in results if one["EvalDecision"] != "allowed" and not _is_denied(one)]
    if denied:
        what = f"{who} may not: {', '.join(denied)}"
        yield Finding(what, "", "use another profile, or have the policy changed that denies it", code="denied")
    if unsaid:
        what = f"no policy of {who} allows everywhere: {', '.join(unsaid)}"
        fix = "fine where one allows it for this project's objects; else the deploy stops there"
        yield Finding(what, "", fix, "warning", "not-allowed-everywhere")


def _is_denied(result: Mapping[str, Any]) -> bool:
    organization = result.get("OrganizationsDecisionDetail") or {}
    return result["EvalDecision"] == "explicitDeny" or organization.get("AllowedByOrganizations") is False


def _foundation(has: Given) -> tuple[str, ...]:
    """Where everything is given an administrator made the stack, too."""
    return () if has.roles and has.subnets and has.security_groups else _OF_FOUNDATION


def _principal(who: str) -> str:
    """A user or a role as IAM takes it; empty for anything else. `arn:aws:sts::1:assumed-role/deploy/anna` is the role deploy.

    The path of a role is not told there: one that has a path, as those of AWS' single sign-on have, is looked up by nobody here.
    """
    found = _ARN.fullmatch(who)
    if found is None:
        return ""
    if found["kind"] == "assumed-role":
        role = found["name"].partition("/")[0]
        return "" if role.startswith(_SSO) else f"arn:{found['partition']}:iam::{found['account']}:role/{role}"
    return f"arn:{found['partition']}:iam::{found['account']}:{found['kind']}/{found['name']}"
