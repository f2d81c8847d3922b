"""What ECS needs to move the callers itself: a role that may change the balancer, and alarms that have it take a release back. Pure."""

from __future__ import annotations

from typing import Any

from mlship.targets.aws import parts
from mlship.targets.aws.documents import Template
from mlship.targets.aws.ecs.scaling import BALANCER_METRICS, PERIOD_S
from mlship.targets.aws.ecs.traffic import alarm
from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import SLOTS, Scope

ECS = "ecs.amazonaws.com"
ERROR_RATE = 0.05  # above it, for a minute, ECS takes a release back; SageMaker's alarm says the same
# What AWS' own AmazonECSInfrastructureRolePolicyForLoadBalancers has of it for rules of an application load balancer (AWS Managed
# Policy Reference, read 2026-11), narrowed to this project's target groups and this listener's rules. IAM has no resource for looking.
_LOOK = [
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
]
_REGISTER = ["elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"]
_MOVE = ["elasticloadbalancing:ModifyRule"]


def role(given: Given, tags: parts.Tags) -> Template:
    statements: list[Template] = [
        {"Effect": "Allow", "Action": _LOOK, "Resource": "*"},
        {"Effect": "Allow", "Action": _REGISTER, "Resource": [{"Ref": f"TargetGroup{slot.upper()}"} for slot in SLOTS]},
        {"Effect": "Allow", "Action": _MOVE, "Resource": _rules(given)},
    ]
    return parts.role(given, ECS, statements, tags)


def alarms(given: Given, scope: Scope) -> dict[str, Any]:
    return {f"Errors{slot.upper()}": _errors(given, scope, slot) for slot in SLOTS}


def balancer(given: Given) -> Any:
    """As metrics call it."""
    return given.balancer or {"Fn::GetAtt": ["Balancer", "LoadBalancerFullName"]}


def group(slot: str) -> Any:
    """As metrics call it."""
    return {"Fn::GetAtt": [f"TargetGroup{slot.upper()}", "TargetGroupFullName"]}


def _errors(given: Given, scope: Scope, slot: str) -> Template:
    """The share of requests that failed, as gates count them: answers with 5xx, and connections to a task that failed."""
    place = [{"Name": "TargetGroup", "Value": group(slot)}, {"Name": "LoadBalancer", "Value": balancer(given)}]
    wanted = {
        "AlarmName": alarm(scope, slot),
        "AlarmDescription": "mlship: has ECS take a release back",
        "Metrics": [
            _summed("requests", "RequestCount", place),
            _summed("failed", "HTTPCode_Target_5XX_Count", place),
            _summed("unreached", "TargetConnectionErrorCount", place),
            {"Id": "errors", "Expression": "(FILL(failed, 0) + FILL(unreached, 0)) / requests", "ReturnData": True},
        ],
        "EvaluationPeriods": 1,
        "Threshold": ERROR_RATE,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": wanted}


def _summed(name: str, metric: str, place: list[Template]) -> Template:
    found = {"Namespace": BALANCER_METRICS, "MetricName": metric, "Dimensions": place}
    return {"Id": name, "MetricStat": {"Metric": found, "Period": PERIOD_S, "Stat": "Sum"}, "ReturnData": False}


def _rules(given: Given) -> Any:
    """Of the listener: `arn:...:listener-rule/app/ml/50dc6c495c0c9188/f2f7dc8efc522ab2/*`. The callers' one is made by a release."""
    ends = "/*"
    if given.listener:
        return given.listener.replace(":listener/", ":listener-rule/") + ends
    halves = {"Fn::Split": [":listener/", {"Ref": "Listener"}]}
    before, after = ({"Fn::Select": [number, halves]} for number in (0, 1))
    return {"Fn::Join": ["", [before, ":listener-rule/", after, ends]]}
