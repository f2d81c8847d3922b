"""The three rules of a project among the others of their listener: where they stand, and where they go."""

from __future__ import annotations

from typing import Any

import pytest
from aws_door import FakeDoor
from cloud_deployment import deployment

from mlship.errors import Finding
from mlship.targets.aws.change_sets import SPEC
from mlship.targets.aws.door import Refused
from mlship.targets.aws.ecs import preflight, priorities
from mlship.targets.aws.scope import Scope

SCOPE = Scope("churn")
OUTPUTS = {"TargetGroupA": "arn:a", "TargetGroupB": "arn:b", "Listener": "arn:listener"}
LISTENER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/ml/50dc6c495c0c9188/f2f7dc8efc522ab2"


def rule(name: str, priority: int, *groups: str, slot: str = "") -> dict[str, Any]:
    header = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Mlship-Slot", "Values": [slot]}}
    host = {"Field": "host-header", "HostHeaderConfig": {"Values": ["churn.internal.example"]}}
    shared = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": arn} for arn in groups]}}
    alone = {"Type": "forward", "TargetGroupArn": groups[0], **({"ForwardConfig": shared["ForwardConfig"]} if slot else {})}
    actions = [shared if len(groups) > 1 else alone]
    return {"RuleArn": name, "Priority": str(priority), "Conditions": [host, *([header] if slot else [])], "Actions": actions}


def rules(first: int, callers: int = 0) -> list[dict[str, Any]]:
    """Of the project, and of others: one leads to a target group of it by another path, and is not its own all the same."""
    own = [
        rule("a", first, "arn:a", slot="a"),
        rule("b", first + 1, "arn:b", slot="b"),
        rule("callers", callers or first + 2, "arn:a", "arn:b"),
    ]
    default = {"RuleArn": "default", "Priority": "default", "Conditions": [], "Actions": [{"Type": "fixed-response"}]}
    return [*own, rule("by another path", 300, "arn:a"), rule("others", 400, "arn:others"), default]


def standing(spec: str) -> dict[str, Any]:
    """The foundation. spec: empty where an administrator made it."""
    outputs = [{"OutputKey": name, "OutputValue": text} for name, text in OUTPUTS.items()]
    tags = [{"Key": SPEC, "Value": spec}] if spec else []
    return {"Stacks": [{"StackStatus": "CREATE_COMPLETE", "Outputs": outputs, "Tags": tags}]}


def sent(first: int, told: list[dict[str, Any]], spec: str = "abc") -> list[dict[str, int]]:
    """By name, for each call."""
    answers = {"elbv2 describe_rules": {"Rules": told}, "elbv2 set_rule_priorities": {}}
    door = FakeDoor({**answers, "cloudformation describe_stacks": standing(spec)})
    priorities.follow(door, SCOPE, OUTPUTS, first)
    calls = [said["RulePriorities"] for name, said in door.asked if name == "elbv2 set_rule_priorities"]
    return [{one["RuleArn"]: one["Priority"] for one in pairs} for pairs in calls]


@pytest.mark.parametrize(
    ("first", "told", "expected"),
    [
        (100, rules(100), []),
        (101, rules(100), [{"a": 101, "b": 102, "callers": 103}]),  # in one call, since the numbers overlap
        (200, rules(100), [{"a": 200, "b": 201, "callers": 202}]),
        (200, rules(200, callers=102), [{"callers": 202}]),  # whoever moved the stack alone
        (200, rules(100)[:2], [{"a": 200, "b": 201}]),  # before a first release
    ],
)
def test_rules_go_together_to_where_they_are_wanted(first: int, told: list[dict[str, Any]], expected: list[Any]) -> None:
    assert sent(first, told) == expected


def test_of_an_administrators_foundation_the_callers_rule_alone_follows_and_after_the_others() -> None:
    assert sent(200, rules(100), "") == []
    assert sent(200, rules(200, callers=102), "") == [{"callers": 202}]


def test_a_listener_that_is_gone_is_left_to_the_stack_and_a_refusal_is_told() -> None:
    priorities.follow(FakeDoor({"elbv2 describe_rules": "ListenerNotFound"}), SCOPE, OUTPUTS, 200)
    answers = {"elbv2 describe_rules": {"Rules": rules(100)}, "elbv2 set_rule_priorities": "PriorityInUse"}
    with pytest.raises(Refused, match="PriorityInUse"):
        priorities.follow(FakeDoor({**answers, "cloudformation describe_stacks": standing("abc")}), SCOPE, OUTPUTS, 200)


def said(first: int, told: list[dict[str, Any]], spec: str) -> list[Finding]:
    answers: dict[str, Any] = {
        "ec2 describe_vpcs": {"Vpcs": [{"VpcId": "vpc-1"}]},
        "ec2 describe_subnets": {
            "Subnets": [{"SubnetId": zone, "VpcId": "vpc-1", "AvailabilityZone": zone} for zone in "ab"],
        },
        "service-quotas list_service_quotas": "AccessDeniedException",
        "elbv2 describe_listeners": {},
        "elbv2 describe_rules": {"Rules": told},
        "cloudformation describe_stacks": standing(spec),
    }
    given = {"listener": LISTENER, "hosts": ("churn.internal.example",), "priority": first}
    return list(preflight.findings(FakeDoor(answers), deployment("aws", "ecs", **given)))


def test_what_a_deploy_does_to_the_rules_is_said_before() -> None:
    assert said(100, rules(100), "abc") == []
    (moved,) = said(101, rules(100), "abc")
    assert (moved.severity, moved.what) == (
        "note",
        "rules of the listener go from priority 100, 101, 102 to 101, 102, 103, in one call (elasticloadbalancing:SetRulePriorities)",
    )
    (followed,) = said(200, rules(200, callers=102), "")
    assert "from priority 102 to 202, in one call" in followed.what


@pytest.mark.parametrize(("first", "taken"), [(298, "300"), (399, "400"), (400, "400")])
def test_a_priority_that_somebody_elses_rule_has_is_refused(first: int, taken: str) -> None:
    (refused,) = said(first, rules(100), "abc")
    assert refused.severity == "error" and refused.fix == "write targets.aws.priority: the first of three that are free"
    assert refused.what == (
        f"targets.aws.listener has another rule at priority {taken}, and this project's are {first} and the next two"
    )


def test_another_priority_than_the_administrators_is_refused_until_it_was_applied() -> None:
    """The slots' rules would come after the callers', and lead nowhere."""
    (refused,) = said(50, rules(100), "")
    assert refused.severity == "error" and refused.what == (
        "the foundation was applied with rules at priority 100, 101, and this project's are 50 and the next two"
    )
    assert refused.fix == "write targets.aws.priority: 100, or have it applied again: mlship render --part foundation"
