"""What these credentials may do, asked before anything is changed: IAM judges their policies without carrying anything out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlship.errors import Finding
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.ecs.traffic import by_ecs
from mlship.targets.aws.given import Given
from mlship.targets.aws.lambdas.foundation import kept_ready
from mlship.targets.aws.preflight import ROLES
from mlship.targets.base import Deployment

# Without s3:ListBucket S3 denies an object that is not there, and a first deploy finds none.
_OF_ALL = (
    *("s3:GetObject", "s3:PutObject", "s3:ListBucket", "cloudformation:DescribeStacks", "ecr:GetAuthorizationToken"),
    *("ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:BatchGetImage"),
    *("ecr:BatchCheckLayerAvailability", "ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:ListImages", "iam:PassRole"),
)
# Of a release, and of nothing that is made once: an administrator may have made that. What is made with tags needs the right to tag.
_OF_SERVICE: Mapping[str, tuple[str, ...]] = {
    "ecs": (
        *("ecs:RegisterTaskDefinition", "ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitionFamilies", "ecs:TagResource"),
        *("ecs:CreateService", "ecs:UpdateService", "ecs:DescribeServices", "ecs:ListTasks", "ecs:DescribeTasks"),
        *("elasticloadbalancing:CreateRule", "elasticloadbalancing:ModifyRule", "elasticloadbalancing:DeleteRule"),
        *("elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeListeners", "elasticloadbalancing:AddTags"),
        *("elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeTargetHealth"),
        "application-autoscaling:DescribeScalableTargets",
    ),
    # SageMaker looks at the alarms of an update with the caller's rights (deployment guardrails; from memory, verify).
    "sagemaker": (
        *(
            "sagemaker:CreateModel",
            "sagemaker:ListModels",
            "sagemaker:CreateEndpointConfig",
            "sagemaker:DescribeEndpointConfig",
        ),
        *("sagemaker:ListEndpointConfigs", "sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint", "sagemaker:DeleteEndpoint"),
        *("sagemaker:UpdateEndpointWeightsAndCapacities", "sagemaker:DescribeEndpoint", "sagemaker:InvokeEndpoint"),
        *("sagemaker:AddTags", "sagemaker:ListTags", "cloudwatch:DescribeAlarms", "cloudwatch:SetAlarmState"),
        "application-autoscaling:DescribeScalableTargets",
    ),
    # Lambda reads the image, and writes into the repository's policy that it may, with the caller's rights (developer guide,
    # "Create a Lambda function using a container image"; from memory, verify).
    "lambda": (
        *("lambda:CreateFunction", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:GetFunction"),
        *("lambda:GetFunctionConfiguration", "lambda:PublishVersion", "lambda:ListVersionsByFunction", "lambda:ListAliases"),
        *("lambda:CreateAlias", "lambda:UpdateAlias", "lambda:DeleteAlias", "lambda:TagResource", "lambda:ListTags"),
        *(
            "lambda:CreateFunctionUrlConfig",
            "lambda:UpdateFunctionUrlConfig",
            "lambda:GetFunctionUrlConfig",
            "lambda:GetPolicy",
        ),
        *("lambda:InvokeFunction", "lambda:InvokeFunctionUrl", "lambda:GetFunctionConcurrency"),
        *("ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy", "ecr:GetDownloadUrlForLayer"),
    ),
}
_ARN = re.compile(r"arn:(?P<partition>[^:]+):(?:iam|sts)::(?P<account>\d+):(?P<kind>user|role|assumed-role)/(?P<name>.+)")
_OF_RANGES = tuple(
    f"application-autoscaling:{name}"
    for name in (
        *("RegisterScalableTarget", "DeregisterScalableTarget", "PutScalingPolicy", "DescribeScalingPolicies"),
        "DescribeScheduledActions",
    )
)
_OF_MOVES = tuple(
    f"ecs:{name}"
    for name in (
        *("ListServiceDeployments", "DescribeServiceDeployments", "DescribeServiceRevisions", "DeleteService"),
        *("ContinueServiceDeployment", "StopServiceDeployment"),
    )
)
_OF_SCHEDULES = ("application-autoscaling:PutScheduledAction", "application-autoscaling:DeleteScheduledAction")
# CloudFormation makes what is in the template with the caller's rights.
_OF_FOUNDATION = (
    *("cloudformation:CreateChangeSet", "cloudformation:DescribeChangeSet", "cloudformation:ExecuteChangeSet"),
    *("cloudformation:ListChangeSets", "cloudformation:DeleteChangeSet", "cloudformation:GetTemplate"),
    *("cloudformation:DescribeStackEvents", "logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:TagResource"),
)
_OF_ROLES = ("iam:CreateRole", "iam:GetRole", "iam:PutRolePolicy", "iam:TagRole")
_OF_REPOSITORY = ("ecr:CreateRepository", "ecr:PutLifecyclePolicy", "ecr:TagResource")
_BALANCER = "elasticloadbalancing:"
# Without a balancer. Cloud Map makes the namespace's zone with the caller's rights (from memory, verify: Service Authorization Reference).
_OF_NAMES = ("servicediscovery:GetNamespace",)
_OF_REGISTRY = ("servicediscovery:CreateService", "servicediscovery:TagResource")
_OF_NAMESPACE = (
    "servicediscovery:CreatePrivateDnsNamespace",
    "servicediscovery:GetOperation",
    "route53:CreateHostedZone",
    "ec2:DescribeVpcs",
)
_OF_BALANCER = ("elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateListener")
_OF_GROUPS = ("ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateTags")
_MOST = 1000  # results on a page; there are fewer than 100


def findings(door: Door, deployment: Deployment, has: Given) -> Iterator[Finding]:
    """An error for what is denied outright; a warning for what no policy allows everywhere, because one may allow it for the very
    objects of this project. A note where nobody may ask.
    """
    who = str(door.call("sts", "get_caller_identity")["Arn"])
    principal = _principal(door, who)
    if not principal:  # the account's root user, or a service of AWS: neither has policies of its own
        return
    own = _OF_SERVICE.get(deployment.service, ())
    if not has.is_balanced:
        own = (*(action for action in own if not action.startswith(_BALANCER)), *_OF_NAMES)
    actions = sorted({*_OF_ALL, *own, *_asked_for(deployment, has), *_made(deployment, has)})
    try:
        told = door.call("iam", "simulate_principal_policy", PolicySourceArn=principal, ActionNames=actions, MaxItems=_MOST)
    except Refused as no:
        what = f"what {who} may do could not be asked beforehand ({no.said})"
        fix = "allow iam:SimulatePrincipalPolicy and iam:GetRole to know it before a deploy begins"
        yield Finding(what, "", fix, "note", "not-simulated")
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


def _asked_for(deployment: Deployment, has: Given) -> Iterator[str]:
    """What only some projects need."""
    least, most = deployment.replicas
    if least < most and deployment.service != "lambda":
        yield from _OF_RANGES
        yield from _OF_SCHEDULES if (deployment.operating.get("scale") or {}).get("schedule") else ()
    if deployment.service == "ecs" and by_ecs(deployment, has):
        yield from _OF_MOVES
    if deployment.service == "lambda" and most > 1:
        yield "lambda:PutFunctionConcurrency"
    if deployment.service == "lambda" and kept_ready(deployment):
        names = ("Put", "Delete")
        yield from (
            "lambda:ListProvisionedConcurrencyConfigs",
            *(f"lambda:{name}ProvisionedConcurrencyConfig" for name in names),
        )
    if deployment.service == "lambda" and has.public:
        yield "lambda:AddPermission"
    if deployment.references:
        yield "secretsmanager:DescribeSecret"
    if deployment.operating.get("auth"):
        yield "secretsmanager:GetSecretValue"
    if has.kms_key:
        yield from ("kms:GenerateDataKey", "kms:Decrypt")


def _made(deployment: Deployment, has: Given) -> Iterator[str]:
    """Of the stack. Where everything is given an administrator made that, too."""
    if has.roles and has.subnets and has.security_groups:
        return
    yield from _OF_FOUNDATION
    if set(ROLES.get(deployment.service, ())) - set(has.roles):
        yield from _OF_ROLES
    if not has.repository:
        yield from _OF_REPOSITORY
    if deployment.operating.get("auth"):
        yield "secretsmanager:CreateSecret"
    if deployment.service == "sagemaker" or (deployment.service == "ecs" and by_ecs(deployment, has)):
        yield "cloudwatch:PutMetricAlarm"
    if deployment.service == "ecs":
        yield from () if has.cluster else ("ecs:CreateCluster",)
        yield from () if has.security_groups else _OF_GROUPS
    if deployment.service == "ecs" and has.is_balanced:
        yield "elasticloadbalancing:CreateTargetGroup"
        yield from () if has.listener else _OF_BALANCER
    if not has.is_balanced:
        yield from _OF_REGISTRY
        yield from () if has.namespace else _OF_NAMESPACE


def _principal(door: Door, who: str) -> str:
    """A user or a role as IAM takes it; empty for anything else. `arn:aws:sts::1:assumed-role/deploy/anna` is the role deploy.

    A session does not tell the path of its role, as those of AWS' single sign-on have one: IAM is asked for it. Who may not ask gets the
    name without a path, which is right for most roles, and for others the simulation says that there is none.
    """
    found = _ARN.fullmatch(who)
    if found is None:
        return ""
    if found["kind"] != "assumed-role":
        return f"arn:{found['partition']}:iam::{found['account']}:{found['kind']}/{found['name']}"
    role = found["name"].partition("/")[0]
    try:
        return str(door.call("iam", "get_role", RoleName=role)["Role"]["Arn"])
    except Refused:
        return f"arn:{found['partition']}:iam::{found['account']}:role/{role}"
