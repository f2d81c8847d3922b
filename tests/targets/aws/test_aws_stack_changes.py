"""What the plan says of the foundation's stack."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_door import FakeDoor

from mlship.targets.aws.change_sets import SPEC, Wanted
from mlship.targets.aws.stack_changes import findings
from mlship.targets.waiting import Waiting

WAITING = Waiting(lambda: 0.0, lambda seconds: None)
WANTED = {"Resources": {"Cluster": {"Type": "AWS::ECS::Cluster"}, "LogGroup": {"Type": "AWS::Logs::LogGroup"}}}
MADE = {
    "StackStatus": "CREATE_COMPLETE",
    "Outputs": [{"OutputKey": "Cluster", "OutputValue": "c"}],
    "Tags": [{"Key": SPEC, "Value": "1"}],
}


def said(template: Any, made: Any = MADE, change_set: Any = "AccessDenied") -> list[str]:
    """change_set: what CloudFormation says of it; it is taken away again in any case."""
    stacks = made if isinstance(made, str) else {"Stacks": [made]}
    answer = template if template == "AccessDenied" else {"TemplateBody": template}
    door = FakeDoor({"cloudformation describe_stacks": stacks, "cloudformation get_template": answer})
    has_set = not isinstance(change_set, str)
    door.answers |= {
        "cloudformation list_change_sets": {"Summaries": []},
        "cloudformation create_change_set": {} if has_set else change_set,
        "cloudformation describe_change_set": change_set,
        "cloudformation delete_change_set": {},
    }
    found = list(findings(door, wanted(), WAITING))
    assert all(finding.severity == "note" for finding in found)
    deleted = [said["ChangeSetName"] for name, said in door.asked if name == "cloudformation delete_change_set"]
    made_sets = [said["ChangeSetName"] for name, said in door.asked if name == "cloudformation create_change_set" and has_set]
    assert deleted == made_sets
    return [finding.what for finding in found]


def wanted(**more: Any) -> Wanted:
    return Wanted("mlship-churn", {**WANTED, **more}, {}, {})


def changed(action: str, name: str, kind: str, replacement: str = "") -> dict[str, Any]:
    said = {"Action": action, "LogicalResourceId": name, "ResourceType": kind}
    return {"Type": "Resource", "ResourceChange": {**said, **({"Replacement": replacement} if replacement else {})}}


def test_a_first_deploy_says_what_is_made() -> None:
    assert said({}, "ValidationError") == ["the stack mlship-churn is made by a change set: ECS::Cluster, Logs::LogGroup"]


@pytest.mark.parametrize("form", [dict, json.dumps])
def test_a_later_one_says_what_changes(form: Any) -> None:
    before = {"Resources": {"Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {}}, "Old": {"Type": "x"}}}
    (compared,) = said(form(before))
    assert compared == (
        "the stack mlship-churn changes: ~ Cluster, + LogGroup, - Old (its template compared with the one that is there, "
        "as no change set may be made (AccessDenied))"
    )
    assert said(form(WANTED)) == []


def test_cloudformation_itself_says_what_changes() -> None:
    before = {"Resources": {"Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {}}, "Old": {"Type": "x"}}}
    changes = [
        changed("Modify", "LogGroup", "AWS::Logs::LogGroup", "True"),
        changed("Remove", "Old", "x"),
        changed("Modify", "Cluster", "AWS::ECS::Cluster", "False"),
        changed("Add", "ErrorsA", "AWS::CloudWatch::Alarm"),
    ]
    good = {"Status": "CREATE_COMPLETE", "Changes": changes}
    assert said(before, change_set=good) == [
        "the change set of mlship-churn: ~ Cluster, + ErrorsA, ~ LogGroup (replaced), - Old"
    ]
    bad = {"Status": "FAILED", "Changes": [], "StatusReason": "no such type"}
    assert said(before, change_set=bad) == [
        "the stack mlship-churn changes: ~ Cluster, + LogGroup, - Old (compared with the one that is there; its change set: no such type)"
    ]
    door = FakeDoor(
        {"cloudformation describe_stacks": {"Stacks": [MADE]}, "cloudformation get_template": {"TemplateBody": before}}
    )
    harm = {"Status": "CREATE_COMPLETE", "Changes": [changed("Modify", "Cluster", "AWS::ECS::Cluster", "True")]}
    door.answers |= {"cloudformation list_change_sets": {"Summaries": []}, "cloudformation describe_change_set": harm}
    door.answers |= {f"cloudformation {verb}_change_set": {} for verb in ("create", "delete")}
    error, note = findings(door, wanted(), WAITING)
    assert (error.severity, note.severity) == ("error", "note")
    assert error.what == "the change set of mlship-churn would take away what callers and releases use: Cluster"


def test_an_administrators_stack_is_used_as_it_is() -> None:
    assert said({}, {**MADE, "Tags": []}) == []


def test_who_may_not_read_the_template_is_told_so() -> None:
    assert said("AccessDenied") == ["what the stack mlship-churn changes could not be asked (AccessDenied)"]


def test_what_releases_need_is_not_taken_out_of_the_stack() -> None:
    outputs = {"Outputs": {"Cluster": {}}}
    before = {"Resources": {**WANTED["Resources"], "Repository": {"Type": "AWS::ECR::Repository"}, "Old": {"Type": "x"}}}
    answers = {"cloudformation describe_stacks": {"Stacks": [MADE]}, "cloudformation get_template": {"TemplateBody": before}}
    answers |= {"cloudformation list_change_sets": "AccessDenied"}
    (error, note) = findings(FakeDoor(answers), wanted(**outputs), WAITING)
    assert (error.severity, note.severity) == ("error", "note")
    assert error.what == (
        "with targets.aws.repository the stack mlship-churn loses its Repository, which the releases that are there need"
    )
    of_another_service = wanted(Outputs={"FunctionRole": {}})
    assert [one.severity for one in findings(FakeDoor(answers), of_another_service, WAITING)] == ["note"]
