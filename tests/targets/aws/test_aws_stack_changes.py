"""What the plan says of the foundation's stack."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_door import FakeDoor

from mlship.targets.aws import stack
from mlship.targets.aws.stack_changes import findings

WANTED = {"Resources": {"Cluster": {"Type": "AWS::ECS::Cluster"}, "LogGroup": {"Type": "AWS::Logs::LogGroup"}}}
MADE = {
    "StackStatus": "CREATE_COMPLETE",
    "Outputs": [{"OutputKey": "Cluster", "OutputValue": "c"}],
    "Tags": [{"Key": stack.SPEC, "Value": "1"}],
}


def said(template: Any, made: Any = MADE) -> list[str]:
    stacks = made if isinstance(made, str) else {"Stacks": [made]}
    answer = template if template == "AccessDenied" else {"TemplateBody": template}
    door = FakeDoor({"cloudformation describe_stacks": stacks, "cloudformation get_template": answer})
    found = list(findings(door, "mlship-churn", WANTED))
    assert all(finding.severity == "note" for finding in found)
    return [finding.what for finding in found]


def test_a_first_deploy_says_what_is_made() -> None:
    assert said({}, "ValidationError") == ["the stack mlship-churn is made: ECS::Cluster, Logs::LogGroup"]


@pytest.mark.parametrize("form", [dict, json.dumps])
def test_a_later_one_says_what_changes(form: Any) -> None:
    before = {"Resources": {"Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {}}, "Old": {"Type": "x"}}}
    assert said(form(before)) == ["the stack mlship-churn changes: ~ Cluster, + LogGroup, - Old"]
    assert said(form(WANTED)) == []


def test_an_administrators_stack_is_used_as_it_is() -> None:
    assert said({}, {**MADE, "Tags": []}) == []


def test_who_may_not_read_the_template_is_told_so() -> None:
    assert said("AccessDenied") == ["what the stack mlship-churn changes could not be asked (AccessDenied)"]


def test_what_releases_need_is_not_taken_out_of_the_stack() -> None:
    outputs = {"Outputs": {"Cluster": {}}}
    before = {"Resources": {**WANTED["Resources"], "Repository": {"Type": "AWS::ECR::Repository"}, "Old": {"Type": "x"}}}
    answers = {"cloudformation describe_stacks": {"Stacks": [MADE]}, "cloudformation get_template": {"TemplateBody": before}}
    (error, note) = findings(FakeDoor(answers), "mlship-churn", {**WANTED, **outputs})
    assert (error.severity, note.severity) == ("error", "note")
    assert error.what == (
        "with targets.aws.repository the stack mlship-churn loses its Repository, which the releases that are there need"
    )
    of_another_service = {**WANTED, "Outputs": {"FunctionRole": {}}}
    assert [one.severity for one in findings(FakeDoor(answers), "mlship-churn", of_another_service)] == ["note"]
