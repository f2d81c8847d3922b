"""The foundation's stack: change sets, and what a command that was killed, or an administrator, left."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from aws_door import FakeDoor

from mlship.errors import MlshipError
from mlship.targets.aws import stack
from mlship.targets.aws.change_sets import SPEC, Wanted
from mlship.targets.aws.stack import Waiting
from mlship.targets.base import Outcome

NAME = "mlship-churn"
_READS = ("describe", "list", "get")


class Stacks(FakeDoor):
    """One stack. status: as it is now; then: what it is after a change set was carried out. change_set: how it turns out."""

    def __init__(
        self, status: str = "", then: str = "CREATE_COMPLETE", spec: str = "", change_set: str = "CREATE_COMPLETE"
    ) -> None:
        super().__init__()
        self.status, self.then, self.spec, self.change_set = status, then, spec, change_set
        self.changes: list[Any] = [{"Type": "Resource"}]
        self.sets: list[str] = []
        self.soon: list[str] = []  # statuses that the next looks see
        self.template: Any = {"Resources": {}}

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        self.answers = {
            f"cloudformation {name.removeprefix('on_')}": getattr(self, name) for name in dir(self) if name.startswith("on_")
        }
        return super().call(service, operation, **said)

    def on_describe_stacks(self, **said: Any) -> Any:
        if self.soon:
            self.status = self.soon.pop(0)
        if not self.status:
            return "ValidationError"
        tags = [{"Key": SPEC, "Value": self.spec}] if self.spec else []
        return {
            "Stacks": [{"StackStatus": self.status, "Tags": tags, "Outputs": [{"OutputKey": "Cluster", "OutputValue": "ml"}]}]
        }

    def on_list_change_sets(self, **said: Any) -> Any:
        return {"Summaries": [{"ChangeSetName": name} for name in self.sets]}

    def on_create_change_set(self, **said: Any) -> Any:
        assert said["ChangeSetName"] not in self.sets
        self.sets.append(said["ChangeSetName"])
        self.wanted = {tag["Key"]: tag["Value"] for tag in said["Tags"]}[SPEC]
        return {}

    def on_describe_change_set(self, **said: Any) -> Any:
        return {"Status": self.change_set, "Changes": self.changes, "StatusReason": "no such thing"}

    def on_get_template(self, **said: Any) -> Any:
        return {"TemplateBody": self.template}

    def on_delete_change_set(self, **said: Any) -> Any:
        self.sets.remove(said["ChangeSetName"])
        return {}

    def on_execute_change_set(self, **said: Any) -> Any:
        self.status, self.spec = self.then, self.wanted
        return {}

    def on_delete_stack(self, **said: Any) -> Any:
        self.status = "DELETE_FAILED" if self.then == "DELETE_FAILED" else ""
        return {}

    def on_describe_stack_events(self, **said: Any) -> Any:
        failed = {"LogicalResourceId": "Balancer", "ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "no room"}
        return {"StackEvents": [failed, {"LogicalResourceId": "Cluster", "ResourceStatus": "CREATE_COMPLETE"}]}

    def names(self) -> list[str]:
        return [name.removeprefix("cloudformation ") for name, _ in self.asked if name.split()[1].split("_")[0] not in _READS]


def waiting(step: float = 1.0) -> Waiting:
    clock = itertools.count(0.0, step)
    return Waiting(lambda: next(clock), lambda seconds: None)


def converge(door: Stacks, step: float = 1.0) -> Any:
    return stack.converge(door, Wanted(NAME, {"Resources": {}}, {"Vpc": "vpc-1"}, {}), waiting(step))


def test_a_stack_is_made_once_by_a_change_set() -> None:
    door = Stacks()
    assert converge(door).ok
    assert door.names() == ["create_change_set", "execute_change_set"]
    door.asked.clear()
    assert converge(door).ok
    assert door.names() == []


def test_a_moment_in_which_aws_is_busy_ends_no_wait() -> None:
    class Busy(Stacks):
        busy = 2

        def on_describe_change_set(self, **said: Any) -> Any:
            self.busy -= 1
            return "Throttling" if self.busy >= 0 else super().on_describe_change_set(**said)

    assert converge(Busy()).ok
    lasting = Busy()
    lasting.busy = 1000
    with pytest.raises(MlshipError, match="Throttling"):
        converge(lasting)


def test_a_stack_that_an_administrator_made_is_used_as_it_is() -> None:
    door = Stacks("CREATE_COMPLETE")
    assert converge(door).ok
    assert door.names() == []


def test_what_was_never_finished_is_made_anew() -> None:
    door = Stacks("ROLLBACK_COMPLETE", spec="old")
    assert converge(door).ok
    assert door.names() == ["delete_stack", "create_change_set", "execute_change_set"]


def test_a_change_set_of_a_killed_command_gives_way() -> None:
    door = Stacks("CREATE_COMPLETE", "UPDATE_COMPLETE", spec="old")
    assert converge(door).ok
    door.spec = "old"
    assert converge(door).ok
    assert door.names()[2:] == ["delete_change_set", "create_change_set", "execute_change_set"]


def test_a_stack_that_is_being_made_is_waited_for() -> None:
    door = Stacks("CREATE_IN_PROGRESS")
    door.soon = ["CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    assert converge(door).ok
    assert door.names() == []


def test_a_change_set_without_changes_is_none() -> None:
    door = Stacks("CREATE_COMPLETE", spec="old", change_set="FAILED")
    door.changes = []
    assert converge(door).ok
    assert door.names() == ["create_change_set", "delete_change_set"]


def test_a_change_set_that_fails_for_another_reason_is_not_taken_for_one_without_changes() -> None:
    for door in (Stacks(change_set="FAILED"), Stacks("CREATE_COMPLETE", spec="old", change_set="FAILED")):
        door.changes, door.template = [], '{"Resources": {"Old": {}}}'
        failed = converge(door)
        assert (failed.cause, failed.evidence) == (f"the change set of {NAME} failed", ("no such thing",))


def test_a_first_change_set_that_was_never_carried_out_gives_way() -> None:
    door = Stacks("REVIEW_IN_PROGRESS")
    door.sets = ["mlship-" + _spec()]
    assert converge(door).ok
    assert door.names() == ["delete_change_set", "create_change_set", "execute_change_set"]


def _spec() -> str:
    door = Stacks()
    converge(door)
    return str(door.spec)


def test_what_fails_is_said_with_the_resource_and_is_the_targets_fault() -> None:
    failed = converge(Stacks(then="ROLLBACK_COMPLETE"))
    assert (failed.cause, failed.evidence) == (f"the stack {NAME} is ROLLBACK_COMPLETE", ("Balancer: no room",))
    refused = converge(Stacks(change_set="FAILED"))
    assert (refused.cause, refused.evidence) == (f"the change set of {NAME} failed", ("no such thing",))
    late = converge(Stacks(change_set="CREATE_PENDING"), step=60.0)
    assert late.cause == f"the change set of {NAME} is not ready after 120 s"
    slow = converge(Stacks(then="CREATE_IN_PROGRESS"), step=60.0)
    assert slow.cause == f"the stack {NAME} is not ready after 1200 s; the same command goes on with it"
    stuck = stack.delete(Stacks("CREATE_COMPLETE", "DELETE_FAILED", spec="ours"), NAME, waiting())
    assert stuck.cause == f"the stack {NAME} is DELETE_FAILED"
    assert {one.fault for one in (failed, refused, late, slow, stuck)} == {"target"}


def test_a_stack_that_goes_is_named() -> None:
    assert stack.delete(Stacks("CREATE_COMPLETE", "", spec="ours"), NAME, waiting()) == Outcome(notes=(f"stack {NAME}",))


def test_a_stack_that_an_administrator_applied_outlives_what_stood_on_it() -> None:
    door = Stacks("UPDATE_COMPLETE")
    assert stack.delete(door, NAME, waiting()) == Outcome(
        notes=(f"not the stack {NAME}, which was applied without mlship: whoever did that may delete it",)
    )
    assert door.status == "UPDATE_COMPLETE"
    assert stack.delete(Stacks("REVIEW_IN_PROGRESS"), NAME, waiting()).notes == (f"stack {NAME}",), (
        "of a first plan, without tags"
    )


def test_deleting_what_is_not_there_is_no_error() -> None:
    assert stack.delete(Stacks(), NAME, waiting()) == Outcome()


def test_a_change_set_that_takes_away_what_callers_use_is_not_carried_out() -> None:
    door = Stacks("CREATE_COMPLETE", spec="older")
    said = {"Action": "Modify", "LogicalResourceId": "TargetGroupA", "Replacement": "True"}
    door.changes = [{"ResourceChange": {**said, "ResourceType": "AWS::ElasticLoadBalancingV2::TargetGroup"}}]
    failed = converge(door)
    assert (failed.ok, failed.fault) == (
        False,
        "target",
    ) and "would take away what callers and releases use: TargetGroupA" in failed.cause
    assert door.names() == ["create_change_set", "delete_change_set"] and door.sets == []
