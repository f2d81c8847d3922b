"""What IAM says of these credentials beforehand: denied, not allowed everywhere, or not to be asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aws_door import FakeDoor
from cloud_deployment import deployment

from mlship.targets.aws.given import Given
from mlship.targets.aws.permissions import findings

ANNA = "arn:aws:iam::123456789012:user/anna"


def in_a_path(**said: Any) -> dict[str, Any]:
    return {"Role": {"Arn": f"arn:aws:iam::123456789012:role/ci/{said['RoleName']}"}}


def told(
    answer: Any, arn: str = ANNA, has: Given | None = None, role: Any = in_a_path
) -> tuple[FakeDoor, list[tuple[str, str]]]:
    door = FakeDoor({"sts get_caller_identity": {"Arn": arn}, "iam simulate_principal_policy": answer, "iam get_role": role})
    found = findings(door, deployment("aws", "ecs"), has or Given())
    return door, [(finding.severity, finding.what) for finding in found]


def decided(**decisions: str) -> dict[str, Any]:
    names = {name.replace("_", ":"): said for name, said in decisions.items()}
    return {"EvaluationResults": [{"EvalActionName": name, "EvalDecision": said} for name, said in names.items()]}


def test_what_is_denied_stops_and_what_is_not_allowed_everywhere_warns() -> None:
    answer = decided(ecs_CreateService="allowed", ecs_UpdateService="explicitDeny", s3_PutObject="implicitDeny")
    assert told(answer)[1] == [
        ("error", f"{ANNA} may not: ecs:UpdateService"),
        ("warning", f"no policy of {ANNA} allows everywhere: s3:PutObject"),
    ]


def test_what_an_organization_does_not_allow_is_denied() -> None:
    answer = decided(ecs_CreateService="implicitDeny")
    answer["EvaluationResults"][0]["OrganizationsDecisionDetail"] = {"AllowedByOrganizations": False}
    assert told(answer)[1] == [("error", f"{ANNA} may not: ecs:CreateService")]


def test_who_may_not_ask_is_told_that_nobody_asked() -> None:
    assert told("AccessDenied")[1] == [("note", f"what {ANNA} may do could not be asked beforehand (AccessDenied)")]


@pytest.mark.parametrize(("namespace", "is_made"), [("", True), ("ns-0123", False)])
def test_without_a_balancer_no_rights_on_balancers_are_asked_for(namespace: str, is_made: bool) -> None:
    door, _ = told(decided(), has=Given(is_balanced=False, namespace=namespace))
    (names,) = [request["ActionNames"] for name, request in door.asked if name == "iam simulate_principal_policy"]
    assert not [name for name in names if name.startswith("elasticloadbalancing:")]
    assert {"ecs:UpdateService", "servicediscovery:CreateService", "servicediscovery:GetNamespace"} <= set(names)
    assert ("servicediscovery:CreatePrivateDnsNamespace" in names) == is_made


@pytest.mark.parametrize(
    ("who", "asked"),
    [
        ("arn:aws:sts::123456789012:assumed-role/deploy/anna", "arn:aws:iam::123456789012:role/ci/deploy"),
        ("arn:aws-cn:iam::123456789012:user/ml/anna", "arn:aws-cn:iam::123456789012:user/ml/anna"),
        (
            "arn:aws-us-gov:sts::123456789012:assumed-role/AWSReservedSSO_Admin_1/anna",
            "arn:aws:iam::123456789012:role/ci/AWSReservedSSO_Admin_1",
        ),
        ("arn:aws:iam::123456789012:root", ""),
    ],
)
def test_policies_are_those_of_a_user_or_a_role(who: str, asked: str) -> None:
    door, found = told(decided(), who)
    said = [request["PolicySourceArn"] for name, request in door.asked if name == "iam simulate_principal_policy"]
    assert (said, found) == ([asked] if asked else [], [])


def test_a_role_that_may_not_look_at_itself_is_taken_to_have_no_path() -> None:
    door, _ = told(decided(), "arn:aws-us-gov:sts::123456789012:assumed-role/deploy/anna", role="AccessDenied")
    (said,) = [request["PolicySourceArn"] for name, request in door.asked if name == "iam simulate_principal_policy"]
    assert said == "arn:aws-us-gov:iam::123456789012:role/deploy"


def test_nobody_asks_for_the_right_to_make_what_an_administrator_made() -> None:
    given = Given(roles={"task": "t", "execution": "e"}, subnets=("s",), security_groups=("g",))
    (request,) = [request for name, request in told(decided(), has=given)[0].asked if name.startswith("iam")]
    assert not [action for action in request["ActionNames"] if "ChangeSet" in action]
    assert "ecs:UpdateService" in request["ActionNames"]


def asked(service: str, has: Given, **changes: Any) -> set[str]:
    door = FakeDoor({"sts get_caller_identity": {"Arn": ANNA}, "iam simulate_principal_policy": decided()})
    list(findings(door, replace(deployment("aws", service), **changes), has))
    return set(next(request["ActionNames"] for name, request in door.asked if name.startswith("iam")))


def test_what_is_tagged_and_what_is_not_there_yet_need_rights_of_their_own() -> None:
    assert {"ecs:TagResource", "elasticloadbalancing:AddTags", "s3:ListBucket"} <= asked("ecs", Given())
    assert {"sagemaker:AddTags", "cloudwatch:SetAlarmState"} <= asked("sagemaker", Given())
    assert {"lambda:TagResource", "ecr:SetRepositoryPolicy"} <= asked("lambda", Given())


def test_only_what_this_project_makes_is_asked_for() -> None:
    roles = {"task": "t", "execution": "e"}
    own = asked("ecs", Given())
    given = asked("ecs", Given(roles=roles, cluster="ml", listener="arn", repository="r"))
    assert {"iam:CreateRole", "ecs:CreateCluster", "ecr:CreateRepository", "elasticloadbalancing:CreateListener"} <= own - given
    assert "application-autoscaling:PutScalingPolicy" in asked("ecs", Given(), replicas=(2, 8)) - own
    floors = {"scale": {"schedule": [{"cron": "0 7 * * *", "min": 3}]}}
    by_hours = asked("sagemaker", Given(), replicas=(2, 8), operating=floors) - asked("sagemaker", Given(), replicas=(2, 8))
    assert by_hours == {"application-autoscaling:PutScheduledAction", "application-autoscaling:DeleteScheduledAction"}
    ready = asked("lambda", Given(), replicas=(2, 8)) - asked("lambda", Given(), replicas=(0, 8))
    assert ready == {f"lambda:{name}ProvisionedConcurrencyConfig{'s' * (name == 'List')}" for name in ("List", "Put", "Delete")}
    keyed = asked("ecs", Given(kms_key="arn:key"), references={"K": "secretsmanager:k"}, operating={"auth": True})
    assert keyed - own == {
        *("kms:GenerateDataKey", "kms:Decrypt", "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
        "secretsmanager:CreateSecret",
    }
