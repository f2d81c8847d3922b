"""What an administrator applies once, as a CloudFormation template: log, registry, role, alarms. Pure.

The endpoint itself, its configurations and models are the releases'.
"""

from __future__ import annotations

from typing import Any

from mlship.targets.aws import parts
from mlship.targets.aws.documents import Template, cfn_tags
from mlship.targets.aws.given import Given
from mlship.targets.aws.sagemaker.names import SLOTS, Names
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment

ERROR_RATE = 0.05  # above it, for a minute, SageMaker sets an update back
# SageMaker makes network interfaces in the given subnets, and IAM has no resource for looking at networks (developer guide,
# "Give SageMaker AI Hosted Endpoints Access to Resources in Your Amazon VPC"; from memory, verify).
_INTERFACES = [
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
]
_LOOK = [
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
]
_NAMESPACES = ["AWS/SageMaker", "/aws/sagemaker/Endpoints"]


def foundation(deployment: Deployment, given: Given) -> Template:
    """The stack's template. Its only parameter is the network of given subnets, where no security group is named."""
    scope = Scope(deployment.project, deployment.environment)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"mlship: what releases of {scope.stem.removeprefix('mlship-')} stand on",
        **({"Parameters": asked} if (asked := parameters(given)) else {}),
        "Resources": _resources(deployment, given, scope),
        "Outputs": {name: {"Value": value} for name, value in outputs_of(given).items()},
    }


def parameters(given: Given) -> dict[str, Any]:
    return {"Vpc": {"Type": "AWS::EC2::VPC::Id"}} if _makes_group(given) else {}


def outputs_of(given: Given) -> dict[str, Any]:
    """name -> what it is in the template; the same for what was given and for what is made."""
    own = {"Fn::GetAtt": ["SecurityGroup", "GroupId"]}
    return {
        "LogGroup": {"Ref": "LogGroup"},
        "Repository": given.repository or {"Ref": "Repository"},
        "ExecutionRole": parts.role_arn(given, "execution", "ExecutionRole"),
        **({"SecurityGroups": ",".join(given.security_groups) or own} if given.subnets else {}),
        **({"Bucket": given.bucket} if given.bucket else {}),
    }


def _makes_group(given: Given) -> bool:
    return bool(given.subnets and not given.security_groups)


def _resources(deployment: Deployment, given: Given, scope: Scope) -> dict[str, Any]:
    def tags(role: str) -> list[dict[str, str]]:
        return cfn_tags(scope.tags(role, deployment.labels))

    names = Names(scope)
    log, check_log = names.log_groups
    made: dict[str, Any] = {
        "LogGroup": parts.log_group(given, log, tags("logs")),
        "CheckLogGroup": parts.log_group(given, check_log, tags("logs")),
    }
    if not given.repository:
        made["Repository"] = parts.repository(given, scope.repository, tags("registry"))
    if "execution" not in given.roles:
        made["ExecutionRole"] = parts.role(given, "sagemaker.amazonaws.com", _statements(given), tags("role"))
    if _makes_group(given):
        wanted = {"GroupDescription": f"machines of {scope.stem}", "VpcId": {"Ref": "Vpc"}, "Tags": tags("network")}
        made["SecurityGroup"] = {"Type": "AWS::EC2::SecurityGroup", "Properties": wanted}
    for slot in SLOTS:
        made[f"Errors{slot.upper()}"] = {"Type": "AWS::CloudWatch::Alarm", "Properties": errors(names, slot)}
    return made


def errors(names: Names, slot: str) -> dict[str, Any]:
    """Each request counts 1 where it was answered with 5xx and 0 else: their average is the error rate.

    (docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html, read 2026-11.)
    """
    return {
        "AlarmName": names.alarm(slot, "errors"),
        "AlarmDescription": "mlship: sets an update of the endpoint back",
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocation5XXErrors",
        "Dimensions": [{"Name": "EndpointName", "Value": names.endpoint}, {"Name": "VariantName", "Value": slot}],
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": ERROR_RATE,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


def _statements(given: Given) -> list[Template]:
    """Reading its image, writing its log and its metrics; in a given network, the interfaces there."""
    logs = [{"Fn::GetAtt": [name, "Arn"]} for name in ("LogGroup", "CheckLogGroup")]
    found: list[Template] = [
        parts.TOKEN,
        {"Effect": "Allow", "Action": parts.PULL, "Resource": parts.repository_arn(given)},
        {"Effect": "Allow", "Action": [*parts.WRITE_LOG, "logs:DescribeLogStreams"], "Resource": logs},
        {
            "Effect": "Allow",
            "Action": ["cloudwatch:PutMetricData"],
            "Resource": "*",  # IAM knows no resource of it
            "Condition": {"StringEquals": {"cloudwatch:namespace": _NAMESPACES}},
        },
    ]
    if given.kms_key:
        # SageMaker encrypts the machines' volumes with it in the role's name (CreateEndpointConfig, KmsKeyId; from memory, verify)
        for_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        found.append({"Effect": "Allow", "Action": ["kms:CreateGrant"], "Resource": given.kms_key, "Condition": for_aws})
    if given.subnets:
        found += [
            {"Effect": "Allow", "Action": _INTERFACES, "Resource": parts.arn("*", "ec2:${AWS::Region}:${AWS::AccountId}:*")},
            {"Effect": "Allow", "Action": _LOOK, "Resource": "*"},
        ]
    return found
