"""Releases whose callers ECS moves: when it does, and what is made of what it says."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aws_cases import FULL
from aws_door import FakeDoor
from cloud_deployment import deployment

from mlship.oci.layout import Layout
from mlship.progress import Silent
from mlship.targets.aws.ecs import linked_role
from mlship.targets.aws.ecs.foundation import Kept, foundation, outputs_of
from mlship.targets.aws.ecs.moves import Moves
from mlship.targets.aws.ecs.steps import Steps
from mlship.targets.aws.ecs.traffic import by_ecs, configuration, in_words, why_weights
from mlship.targets.aws.given import given
from mlship.targets.aws.permissions import findings
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment, Strategy
from mlship.targets.waiting import Waiting

SCOPE = Scope("churn")
CANARY = Strategy("canary", steps=(0.1, 1.0), bake_s=600.0)
MADE = replace(deployment("aws", "ecs"), strategy=CANARY)
NEW, OLD = MADE.release.id, "r0-0123ab"
OUTPUTS = dict.fromkeys(outputs_of(MADE, given(MADE)), "") | {
    "Cluster": "ml",
    "Listener": "arn:listener",
    "TargetGroupA": "arn:a",
    "TargetGroupB": "arn:b",
}


def watched(**changes: Any) -> Deployment:
    return replace(MADE, strategy=replace(CANARY, **changes))


@pytest.mark.parametrize(
    ("strategy", "strategy_of_ecs", "said"),
    [
        (CANARY, "CANARY", "10 % of the callers for 10 min, then all"),
        (Strategy("canary", steps=(0.25, 0.5, 0.75, 1.0), bake_s=60.0), "LINEAR", "25 % more each 1 min"),
        (Strategy("blue-green", bake_s=300.0), "BLUE_GREEN", "all callers, and back within 5 min where an alarm goes off"),
    ],
)
def test_one_share_equal_shares_and_all_at_once_are_what_ecs_does_itself(
    strategy: Strategy, strategy_of_ecs: str, said: str
) -> None:
    made = replace(MADE, strategy=strategy)
    assert by_ecs(made, given(made))
    found = configuration(made)
    assert (found["strategy"], in_words(strategy)) == (strategy_of_ecs, said)
    names = {slots: configuration(made, slots)["alarms"]["alarmNames"] for slots in ("b", "ab")}
    assert names == {"b": ["mlship-churn-b-errors"], "ab": ["mlship-churn-a-errors", "mlship-churn-b-errors"]}
    assert (found["alarms"]["enable"], found["alarms"]["rollback"]) == (True, True)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (watched(approve="manual"), "a person says how it goes on"),
        (watched(on_fail="pause"), "a person says how it goes on"),
        (watched(gates=("p95_ms < 40",)), "a measured gate pauses where too few have called"),
        (replace(MADE, replicas=(2, 8)), "autoscaling counts the callers of one target group"),
        (watched(bake_s=90.0), "ECS waits 1 to 1440 whole minutes, and rollout.bake is 90 s"),
        (watched(bake_s=0.0), "rollout.bake is 0 s"),
        (watched(steps=(0.05, 0.5, 1.0)), "one share or equal ones, such as 5 % and then all; rollout.steps are neither"),
        (watched(steps=(0.0125, 1.0)), "whole tenths of a percent, and the first of rollout.steps is 1.25 %"),
        (
            watched(steps=tuple(number / 50 for number in range(1, 51))),
            "steps of 3 % or more, and those of rollout.steps are 2 %",
        ),
        (replace(MADE, settings={**MADE.settings, **FULL}), "targets.aws.roles names no infrastructure"),
    ],
)
def test_everything_else_goes_by_weights_and_says_why(made: Deployment, why: str) -> None:
    assert why in why_weights(made, given(made)) and not by_ecs(made, given(made))
    assert "InfrastructureRole" not in foundation(made, given(made))["Outputs"]


def test_a_company_names_the_role_and_gets_the_alarms() -> None:
    roles = {**FULL["roles"], "infrastructure": "churn-ecs"}
    made = replace(MADE, settings={**MADE.settings, **FULL, "roles": roles})
    found = foundation(made, given(made))
    assert {"ErrorsA", "ErrorsB"} <= set(found["Resources"]) and "InfrastructureRole" not in found["Resources"]
    assert "role/churn-ecs" in str(found["Outputs"]["InfrastructureRole"])


def test_what_ecs_moves_by_stays_when_the_next_release_goes_by_weights() -> None:
    """A release that it moved may serve on."""
    made = watched(approve="manual")
    found = foundation(made, given(made), Kept(has_movers=True))
    assert {"InfrastructureRole", "ErrorsA", "ErrorsB"} <= set(found["Resources"])


def test_the_rights_to_it_are_asked_for() -> None:
    door = FakeDoor({"iam simulate_principal_policy": {"EvaluationResults": []}})
    door.answers["sts get_caller_identity"] = {"Arn": "arn:aws:iam::123456789012:user/anna", "Account": "123456789012"}
    list(findings(door, MADE, given(MADE)))
    asked = next(said["ActionNames"] for name, said in door.asked if name.startswith("iam"))
    assert {"ecs:ContinueServiceDeployment", "ecs:StopServiceDeployment", "cloudwatch:PutMetricAlarm"} <= set(asked)


class Moving(FakeDoor):
    """One service that ECS moves from slot a to b. status, share: of its newest deployment; then: what stopping it makes of that."""

    def __init__(self, status: str, share: int, alarms: tuple[str, ...] = (), then: str = "") -> None:
        super().__init__()
        self.status, self.share, self.alarms, self.then = status, share, alarms, then

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        self.answers[f"{service} {operation}"] = getattr(self, f"on_{operation}")
        return super().call(service, operation, **said)

    def on_describe_stacks(self, **said: Any) -> Any:
        outputs = [{"OutputKey": name, "OutputValue": text} for name, text in OUTPUTS.items()]
        return {"Stacks": [{"StackStatus": "CREATE_COMPLETE", "Outputs": outputs}]}

    def on_describe_rules(self, **said: Any) -> Any:
        shares = {"arn:a": 100 - self.share, "arn:b": self.share}
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in shares.items()]
        return {"Rules": [{"RuleArn": "arn:rule", "Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]}]}

    def on_describe_services(self, **said: Any) -> Any:
        revisions = [{"arn": arn, "requestedTaskCount": 1, "runningTaskCount": 1} for arn in ("arn:old", "arn:new")]
        moved = {"serviceName": SCOPE.service("a"), "serviceArn": "arn:service", "status": "ACTIVE"}
        balancer = {"targetGroupArn": "arn:a", "advancedConfiguration": {"alternateTargetGroupArn": "arn:b"}}
        return {"services": [{**moved, "currentServiceRevisions": revisions, "loadBalancers": [balancer]}]}

    def on_describe_service_revisions(self, **said: Any) -> Any:
        of = {"arn:old": (OLD, "arn:a"), "arn:new": (NEW, "arn:b")}
        return {"serviceRevisions": [_revision(arn, *of[arn]) for arn in said["serviceRevisionArns"]]}

    def on_list_service_deployments(self, **said: Any) -> Any:
        return {"serviceDeployments": [{"serviceDeploymentArn": "arn:move", "createdAt": datetime(2026, 11, 23, tzinfo=UTC)}]}

    def on_describe_service_deployments(self, **said: Any) -> Any:
        alarms = {"status": "MONITORING", "triggeredAlarmNames": list(self.alarms)}
        told = {"serviceDeploymentArn": "arn:move", "status": self.status, "alarms": alarms}
        return {"serviceDeployments": [{**told, "targetServiceRevision": {"arn": "arn:new"}}]}

    def on_stop_service_deployment(self, **said: Any) -> Any:
        self.status = self.then
        return {}


def _revision(arn: str, release: str, group: str) -> dict[str, Any]:
    definition = f"arn:aws:ecs:us-east-1:123456789012:task-definition/{SCOPE.family(release)}:1"
    balancers = {"loadBalancers": [{"targetGroupArn": group}]}
    return {"serviceRevisionArn": arn, "taskDefinition": definition, "resolvedConfiguration": balancers}


def moves(door: Moving) -> Moves:
    clock = itertools.count(0.0, 300.0)
    return Moves(door, SCOPE, Waiting(lambda: next(clock), lambda seconds: None))


@pytest.mark.parametrize(
    ("made", "lacking", "said"),
    [
        (
            MADE,
            "",
            "ECS moves the callers itself: 10 % of the callers for 10 min, then all. It goes on without this command, and takes",
        ),
        (MADE, "InfrastructureRole", "until they are moved: the stack mlship-churn was applied without what ECS needs"),
        (watched(approve="manual"), "", "mlship moves the callers, and has to run until they are moved: a person says how"),
        (replace(MADE, strategy=Strategy()), "", ""),
    ],
)
def test_the_plan_says_who_moves_the_callers(
    made: Deployment, lacking: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(OUTPUTS, lacking, raising=False)
    waiting = Waiting(lambda: 0.0, lambda seconds: None)
    steps = Steps(Moving("SUCCESSFUL", 100), SCOPE, Layout(Path("nowhere")), {}, waiting, Silent())
    assert [(one.severity, said in one.what) for one in steps.who_moves(made)] == ([("note", True)] if said else [])


def test_a_share_that_the_balancer_has_is_reached_and_no_other() -> None:
    assert moves(Moving("IN_PROGRESS", 10)).reached(NEW, 0.1, MADE).ok
    late = moves(Moving("IN_PROGRESS", 10)).reached(NEW, 0.5, MADE)
    assert (late.ok, late.fault) == (False, "target") and "ECS still moves callers to r1-" in late.cause


def test_the_smallest_share_is_waited_for_like_any_other() -> None:
    assert not moves(Moving("IN_PROGRESS", 0)).reached(NEW, 0.001, MADE).ok


class Late(Moving):
    """What it tells is a moment old: of a hook, that it still holds; of a deployment, that it goes on."""

    holds = 2

    def on_describe_service_deployments(self, **said: Any) -> Any:
        answer = super().on_describe_service_deployments(**said)
        if self.holds:
            answer["serviceDeployments"][0]["lifecycleHookDetails"] = [{"hookId": "ecs-pause-1", "status": "AWAITING_ACTION"}]
            self.holds -= 1
        else:
            self.share = 10
        return answer

    def on_continue_service_deployment(self, **said: Any) -> Any:
        return "InvalidParameterException" if self.told("continue_service_deployment")[1:] else {}

    def on_stop_service_deployment(self, **said: Any) -> Any:
        self.status = self.then
        return "ConflictException"

    def told(self, operation: str) -> list[Any]:
        return [said for name, said in self.asked if name == f"ecs {operation}"]


def test_a_hook_is_let_go_once_whatever_ecs_still_tells_of_it() -> None:
    door = Late("IN_PROGRESS", 0)
    assert moves(door).reached(NEW, 0.1, MADE).ok
    assert [said["hookId"] for said in door.told("continue_service_deployment")] == ["ecs-pause-1"]


def test_what_came_to_its_end_while_it_was_stopped_is_looked_at_again() -> None:
    assert moves(Late("IN_PROGRESS", 10, then="ROLLBACK_SUCCESSFUL")).take_back(NEW).ok


@pytest.mark.parametrize(
    ("there", "made", "calls"),
    [
        ({}, {}, ["get_role"]),
        ("NoSuchEntity", {}, ["get_role", "create_service_linked_role"]),
        ("NoSuchEntity", "InvalidInput", ["get_role", "create_service_linked_role"]),
        ("NoSuchEntity", "EntityAlreadyExists", ["get_role", "create_service_linked_role"]),
        ("NoSuchEntity", "AccessDenied", ["get_role", "create_service_linked_role"]),
        ("AccessDenied", {}, ["get_role"]),
    ],
)
def test_a_new_account_gets_the_role_of_ecs_before_its_first_cluster(there: Any, made: Any, calls: list[str]) -> None:
    door = FakeDoor({"iam get_role": there, "iam create_service_linked_role": made})
    linked_role.ensure(door)
    assert [name.removeprefix("iam ") for name, _ in door.asked] == calls


def test_an_alarm_speaks_against_the_release_and_nothing_else_does() -> None:
    failed = moves(Moving("ROLLBACK_IN_PROGRESS", 10, ("mlship-churn-b-errors",))).reached(NEW, 0.5, MADE)
    assert (failed.fault, "alarm: mlship-churn-b-errors" in failed.cause) == ("release", True)
    ended = moves(Moving("STOPPED", 10)).done(NEW, MADE)
    assert (ended.fault, "ECS took r1-" in ended.cause) == ("target", True)


def test_callers_that_somebody_else_led_away_are_not_waited_for() -> None:
    """ECS says that all is well, and the balancer leads callers to the release before."""
    failed = moves(Moving("SUCCESSFUL", 0)).done(NEW, MADE)
    assert (failed.fault, "were led elsewhere" in failed.cause) == ("target", True)


@pytest.mark.parametrize(
    ("then", "ok"), [("ROLLBACK_SUCCESSFUL", True), ("ROLLBACK_FAILED", True), ("ROLLBACK_IN_PROGRESS", False)]
)
def test_a_release_that_ecs_does_not_get_back_in_time_is_not_said_to_be_back(then: str, ok: bool) -> None:
    door = Moving("IN_PROGRESS", 10, then=then)
    assert moves(door).take_back(NEW).ok is ok
    assert [said["stopType"] for name, said in door.asked if name == "ecs stop_service_deployment"] == ["ROLLBACK"]
