"""The steps of a release against what ECS and the balancer say, true or not."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aws_door import FakeDoor
from cloud_deployment import deployment

from mlship.errors import MlshipError
from mlship.oci.layout import Layout
from mlship.progress import Silent
from mlship.targets.aws.change_sets import SPEC
from mlship.targets.aws.ecs import callers, seen
from mlship.targets.aws.ecs.foundation import outputs_of
from mlship.targets.aws.ecs.seen import Seen
from mlship.targets.aws.ecs.steps import Steps
from mlship.targets.aws.given import Given, given
from mlship.targets.aws.scope import Scope
from mlship.targets.aws.stack import Waiting
from mlship.targets.base import Action, Deployment, Outcome

SCOPE = Scope("churn")
MADE = deployment("aws", "ecs")
NEW, OLD = MADE.release.id, "r0-0123ab"
SCALED = replace(MADE, replicas=(2, 8), operating={"scale": {"metric": "rps", "per_replica": 20.0, "down_after_s": 120.0}})
RULE = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/ml/1/2/3"
OUTPUTS = dict.fromkeys(outputs_of(MADE, given(MADE)), "") | {
    "Cluster": "mlship-churn",
    "Listener": "arn:listener",
    "TargetGroupA": "arn:a",
    "TargetGroupB": "arn:b",
    "Balancer": "app/ml/50dc6c495c0c9188",
    "GroupA": "targetgroup/a/73e2d6bc24d8a067",
    "GroupB": "targetgroup/b/73e2d6bc24d8a067",
    "LabelA": "app/ml/50dc6c495c0c9188/targetgroup/a/73e2d6bc24d8a067",
    "LabelB": "app/ml/50dc6c495c0c9188/targetgroup/b/73e2d6bc24d8a067",
    "Subnets": "s-1",
    "SecurityGroups": "g",
}


class Ecs(FakeDoor):
    """Two services behind one rule. slots: name -> (release, desired, rollout). healthy: how many targets each has.

    deaf: the balancer takes what it is told and does something else.
    """

    def __init__(self, slots: dict[str, tuple[str, int, str]], weights: dict[str, int], healthy: int = 1) -> None:
        super().__init__()
        self.slots, self.weights, self.healthy, self.deaf = slots, weights, healthy, False
        self.stopped: list[dict[str, Any]] = []
        self.known = [NEW, OLD]
        self.scaled: dict[str, tuple[int, int]] = {}
        self.policies: list[dict[str, Any]] = []
        self.scheduled: list[dict[str, Any]] = []
        self.capacity: dict[str, list[dict[str, Any]]] = {}

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        self.answers[f"{service} {operation}"] = getattr(self, f"on_{operation}")
        return super().call(service, operation, **said)

    def on_describe_stacks(self, **said: Any) -> Any:
        outputs = [{"OutputKey": name, "OutputValue": text} for name, text in OUTPUTS.items()]
        return {"Stacks": [{"StackStatus": "CREATE_COMPLETE", "Outputs": outputs}]}

    def on_describe_rules(self, **said: Any) -> Any:
        groups = [{"TargetGroupArn": f"arn:{slot}", "Weight": self.weights.get(slot, 0)} for slot in "ab"]
        forwarded = [{"Type": "forward", "TargetGroupArn": "arn:a"}]
        other = {"RuleArn": "arn:other", "Priority": "7", "Conditions": [], "Actions": forwarded}
        everybody = {"Field": "path-pattern", "Values": ["/*"], "PathPatternConfig": {"Values": ["/*"]}}
        shared = [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
        ours = {"RuleArn": RULE, "Priority": "102", "Conditions": [everybody], "Actions": shared}
        found = [other, ours] if self.weights else [other]
        return {"Rules": [one for one in found if one["RuleArn"] in said.get("RuleArns", (RULE, "arn:other"))]}

    def on_modify_rule(self, **said: Any) -> Any:
        groups = said["Actions"][0]["ForwardConfig"]["TargetGroups"]
        if not self.deaf:
            self.weights = {group["TargetGroupArn"][-1]: group["Weight"] for group in groups}
        return {}

    def on_create_rule(self, **said: Any) -> Any:
        return self.on_modify_rule(**said)

    def on_delete_rule(self, **said: Any) -> Any:
        self.weights = {}
        return {}

    def on_describe_services(self, **said: Any) -> Any:
        return {"services": [self.told(*entry) for entry in self.slots.items()]}

    def told(self, slot: str, of: tuple[str, int, str]) -> dict[str, Any]:
        release, desired, rollout = of
        definition = f"arn:aws:ecs:us-east-1:123456789012:task-definition/{SCOPE.family(release)}:1"
        primary = {
            "status": "PRIMARY",
            "taskDefinition": definition,
            "rolloutState": rollout,
            "rolloutStateReason": "tasks failed",
        }
        counts = {"desiredCount": desired, "runningCount": desired}
        name = SCOPE.service(slot)
        return {
            "serviceName": name,
            "serviceArn": name,
            "status": "ACTIVE",
            "taskDefinition": definition,
            "deployments": [primary],
            "capacityProviderStrategy": self.capacity.get(slot, []),
            **counts,
        }

    def on_update_service(self, **said: Any) -> Any:
        slot = said["service"][-1]
        release, _, rollout = self.slots[slot]
        family = said.get("taskDefinition", SCOPE.family(release)).rpartition("/")[2].partition(":")[0]
        release = SCOPE.release_of(family)
        self.slots[slot] = (release, said.get("desiredCount", self.slots[slot][1]), rollout)
        self.capacity[slot] = said.get("capacityProviderStrategy", self.capacity.get(slot, []))
        return {}

    def on_create_service(self, **said: Any) -> Any:
        self.slots[said["serviceName"][-1]] = (SCOPE.release_of(said["taskDefinition"]), said["desiredCount"], "COMPLETED")
        return {}

    def on_describe_target_health(self, **said: Any) -> Any:
        healthy = {"TargetHealth": {"State": "healthy"}}
        return {"TargetHealthDescriptions": [{"Target": {"Id": f"10.0.0.{one}"}, **healthy} for one in range(self.healthy)]}

    def on_list_task_definition_families(self, **said: Any) -> Any:
        return {"families": [*(SCOPE.family(release) for release in self.known), "mlship-churn_x", "mlship-churn-2_r1-7f3a9c"]}

    def on_list_tasks(self, **said: Any) -> Any:
        return {"taskArns": [one["taskArn"] for one in self.stopped] if said["desiredStatus"] == "STOPPED" else []}

    def on_describe_tasks(self, **said: Any) -> Any:
        return {"tasks": self.stopped}

    def on_describe_vpcs(self, **said: Any) -> Any:
        return {"Vpcs": [{"VpcId": "vpc-1"}]}

    def on_describe_subnets(self, **said: Any) -> Any:
        return {"Subnets": [{"SubnetId": f"s-{zone}", "VpcId": "vpc-1", "AvailabilityZone": zone} for zone in "ab"]}

    def on_describe_task_definition(self, **said: Any) -> Any:
        return {"taskDefinition": {"containerDefinitions": [{}]}}

    def on_tag_resource(self, **said: Any) -> Any:
        return {}

    on_untag_resource = on_add_tags = on_remove_tags = on_tag_resource

    def on_describe_scalable_targets(self, **said: Any) -> Any:
        (wanted,) = said["ResourceIds"]
        bounds = self.scaled.get(wanted[-1])
        return {"ScalableTargets": [dict(zip(("MinCapacity", "MaxCapacity"), bounds, strict=True))] if bounds else []}

    def on_register_scalable_target(self, **said: Any) -> Any:
        """As AWS does: what is outside of the bounds is brought inside."""
        slot, bounds = said["ResourceId"][-1], (said["MinCapacity"], said["MaxCapacity"])
        release, desired, rollout = self.slots[slot]
        self.scaled[slot] = bounds
        self.slots[slot] = (release, min(max(desired, bounds[0]), bounds[1]), rollout)
        return {}

    def on_deregister_scalable_target(self, **said: Any) -> Any:
        del self.scaled[said["ResourceId"][-1]]
        self.policies = [one for one in self.policies if one["ResourceId"] != said["ResourceId"]]
        return {}

    def on_describe_scaling_policies(self, **said: Any) -> Any:
        return {"ScalingPolicies": [one for one in self.policies if one["ResourceId"] == said["ResourceId"]]}

    def on_describe_scheduled_actions(self, **said: Any) -> Any:
        return {"ScheduledActions": [one for one in self.scheduled if one["ResourceId"] == said["ResourceId"]]}

    def on_put_scheduled_action(self, **said: Any) -> Any:
        self.scheduled.append(said)
        return {}

    def on_delete_scheduled_action(self, **said: Any) -> Any:
        self.scheduled = [one for one in self.scheduled if one["ScheduledActionName"] != said["ScheduledActionName"]]
        return {}

    def on_put_scaling_policy(self, **said: Any) -> Any:
        self.policies = [one for one in self.policies if one["ResourceId"] != said["ResourceId"]] + [said]
        return {}

    def changes(self) -> list[str]:
        return [
            name.split()[1]
            for name, _ in self.asked
            if name.split()[1].split("_")[0] in ("create", "update", "modify", "delete", "register", "deregister", "put")
        ]


def steps(door: Ecs) -> Steps:
    clock = itertools.count(0.0, 10.0)  # of every look
    return Steps(door, SCOPE, Layout(Path("nowhere")), {}, Waiting(lambda: next(clock), lambda seconds: None), Silent())


def stage(door: Ecs) -> Outcome:
    return steps(door).stage(Action("stage", NEW, OLD), MADE)


def ended(code: int, stop: str) -> dict[str, Any]:
    return {
        "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/mlship-churn/4f2a91c0",
        "taskDefinitionArn": f"arn:aws:ecs:us-east-1:123456789012:task-definition/{SCOPE.family(NEW)}:1",
        "lastStatus": "STOPPED",
        "createdAt": datetime(2026, 11, 23, tzinfo=UTC),
        "stopCode": stop,
        "stoppedReason": "it stopped",
        "containers": [{"exitCode": code}],
        "attachments": [{"details": [{"name": "privateIPv4Address", "value": "10.0.0.9"}]}],
    }


def test_the_slot_that_no_caller_reaches_takes_the_next_release() -> None:
    door = Ecs({"a": (OLD, 1, "COMPLETED")}, {"a": 100, "b": 0})
    assert stage(door).ok
    assert door.slots["b"][0] == NEW and door.weights == {"a": 100, "b": 0}
    assert steps(door).shift(Action("shift", NEW, OLD), MADE).ok
    assert (door.weights, door.slots["a"][1]) == ({"a": 0, "b": 100}, 0)
    assert door.changes() == ["create_service", "modify_rule", "update_service"]


def test_a_share_is_so_many_hundredths_and_the_rest_is_the_others() -> None:
    door = Ecs({"a": (OLD, 1, "COMPLETED"), "b": (NEW, 1, "COMPLETED")}, {"a": 100, "b": 0})
    assert steps(door).weigh(Action("weigh", NEW, OLD, share=0.05), MADE).ok
    assert door.weights == {"a": 95, "b": 5}
    assert steps(door).weigh(Action("weigh", NEW, OLD, share=0.05), MADE).ok
    assert door.changes() == ["modify_rule"]
    look = seen.look(door, SCOPE)
    assert look is not None and look.shares == {OLD: 0.95, NEW: 0.05}


def test_what_ecs_gave_up_is_the_releases_fault() -> None:
    door = Ecs({"a": (OLD, 1, "COMPLETED"), "b": (NEW, 1, "FAILED")}, {"a": 100, "b": 0}, healthy=0)
    assert stage(door) == Outcome(False, f"ECS gave {NEW} up: tasks failed")
    (update,) = [said for name, said in door.asked if name == "ecs update_service"]
    assert update["forceNewDeployment"] is True


def test_completed_is_not_believed_before_the_balancer_finds_it_ready() -> None:
    door = Ecs({"a": (OLD, 1, "COMPLETED"), "b": (NEW, 1, "COMPLETED")}, {"a": 100, "b": 0}, healthy=0)
    assert stage(door).cause == f"{NEW} is not ready after 360 s"


@pytest.mark.parametrize(
    ("stop", "cause"),
    [("EssentialContainerExited", "the task ended with exit code 3"), ("SpotInterruption", f"{NEW} is not ready after 360 s")],
)
def test_a_server_that_ends_at_its_start_is_not_waited_for(stop: str, cause: str) -> None:
    class Ends(Ecs):
        def on_update_service(self, **said: Any) -> Any:
            self.stopped = [ended(3, stop)]
            return super().on_update_service(**said)

    door = Ends({"a": (OLD, 1, "COMPLETED"), "b": (NEW, 0, "IN_PROGRESS")}, {"a": 100, "b": 0}, healthy=0)
    assert stage(door) == Outcome(False, cause, ("it stopped",))


def test_a_release_that_ecs_does_not_know_is_not_staged() -> None:
    door = Ecs({"a": (OLD, 1, "COMPLETED")}, {"a": 100})
    door.known = [OLD]
    assert stage(door) == Outcome(False, f"ECS has no task definition of {NEW}", fault="target")
    assert steps(door).weigh(Action("weigh", NEW), MADE).cause == f"no service has {NEW}"


def test_a_balancer_that_does_something_else_is_found() -> None:
    door = Ecs({"a": (OLD, 1, "COMPLETED"), "b": (NEW, 1, "COMPLETED")}, {"a": 100, "b": 0})
    door.deaf = True
    said = steps(door).shift(Action("shift", NEW, OLD), MADE)
    assert said == Outcome(False, "the balancer has other weights than it was given: {'a': 100, 'b': 0}", fault="target")


def test_a_balancer_that_tells_what_was_a_moment_ago_is_asked_again() -> None:
    class Late(Ecs):
        old = 1

        def on_describe_rules(self, **said: Any) -> Any:
            told = super().on_describe_rules(**said)
            if self.weights == {"a": 0, "b": 100} and self.old:
                self.old -= 1
                self.weights, now = {"a": 100, "b": 0}, self.weights
                told = super().on_describe_rules(**said)
                self.weights = now
            return told

    door = Late({"a": (OLD, 1, "COMPLETED"), "b": (NEW, 1, "COMPLETED")}, {"a": 100, "b": 0})
    assert steps(door).shift(Action("shift", NEW, OLD), MADE).ok
    assert door.changes().count("modify_rule") == 1


def test_a_service_that_is_rolled_back_behind_our_back_is_found() -> None:
    class SetBack(Ecs):
        def on_modify_rule(self, **said: Any) -> Any:
            self.slots["b"] = (OLD, 1, "COMPLETED")
            return super().on_modify_rule(**said)

    door = SetBack({"a": (OLD, 1, "COMPLETED"), "b": (NEW, 1, "COMPLETED")}, {"a": 100, "b": 0})
    said = steps(door).shift(Action("shift", NEW, OLD), MADE)
    assert said == Outcome(False, f"callers reach {OLD}, and not {NEW}", fault="target")
    assert [entry[1] for entry in door.slots.values()] == [1, 1], "nothing that callers may reach is stopped"


def test_nobody_is_led_anywhere_when_the_first_release_is_taken_back() -> None:
    door = Ecs({"a": (NEW, 1, "COMPLETED")}, {"a": 100, "b": 0})
    assert steps(door).restore(Action("restore", NEW), MADE).ok
    assert (door.weights, door.slots["a"][1]) == ({}, 0)


def test_a_change_of_operation_that_fails_takes_nothing_away() -> None:
    door = Ecs({"a": (NEW, 1, "COMPLETED")}, {"a": 100, "b": 0})
    assert steps(door).restore(Action("restore", NEW, NEW), MADE).ok
    assert (door.weights, door.slots["a"][1]) == ({"a": 100, "b": 0}, 1)


def test_callers_leave_a_failed_release_before_anything_is_waited_for() -> None:
    door = Ecs({"a": (OLD, 2, "COMPLETED"), "b": (NEW, 6, "COMPLETED")}, {"a": 25, "b": 75}, healthy=0)
    assert steps(door).restore(Action("restore", NEW, OLD), SCALED).ok
    assert (door.weights, {slot: entry[1] for slot, entry in door.slots.items()}) == ({"a": 100, "b": 0}, {"a": 8, "b": 0})
    assert door.changes().index("modify_rule") < door.changes().index("register_scalable_target")


def test_a_discarded_release_leaves_its_callers_to_the_other_one() -> None:
    door = Ecs({"a": (OLD, 1, "COMPLETED"), "b": (NEW, 1, "COMPLETED")}, {"a": 95, "b": 5})
    assert steps(door).discard(NEW).ok
    assert (door.weights, door.slots["a"][1], door.slots["b"][1]) == ({"a": 100, "b": 0}, 1, 0)


def test_callers_of_a_release_that_was_never_committed_go_to_the_live_one() -> None:
    door = Ecs({"a": (OLD, 0, "COMPLETED"), "b": (NEW, 1, "COMPLETED")}, {"a": 0, "b": 100})
    assert steps(door).discard(NEW, OLD, MADE).ok
    assert (door.weights, door.slots["a"][1], door.slots["b"][1]) == ({"a": 100, "b": 0}, 1, 0)
    assert "delete_rule" not in door.changes(), "at no time are they led nowhere"


def test_a_release_whose_tasks_never_ran_is_not_at_fault() -> None:
    class Full(Ecs):
        def told(self, slot: str, of: tuple[str, int, str]) -> dict[str, Any]:
            said = super().told(slot, of)
            if slot == "b":
                made = datetime(2026, 11, 23, tzinfo=UTC)
                said["deployments"][0]["createdAt"] = made
                full = {"message": "(service b) was unable to place a task: vCPU limit", "createdAt": made}
                said |= {"runningCount": 0, "events": [full, {"message": "older", "createdAt": made.replace(year=2025)}]}
            return said

    door = Full({"a": (OLD, 1, "COMPLETED"), "b": (NEW, 1, "IN_PROGRESS")}, {"a": 100, "b": 0}, healthy=0)
    events = ("(service b) was unable to place a task: vCPU limit",)
    assert stage(door) == Outcome(False, f"{NEW} is not ready after 360 s", events, fault="target")


def test_a_stack_is_deleted_only_after_the_tasks_are_gone() -> None:
    class Draining(Ecs):
        left = 3  # looks that still see them

        def on_describe_services(self, **said: Any) -> Any:
            if self.weights:
                return super().on_describe_services(**said)
            self.left -= 1
            return {"services": [{"status": "DRAINING" if self.left > 0 else "INACTIVE"}]}

        def on_delete_service(self, **said: Any) -> Any:
            return {}

        def on_describe_stacks(self, **said: Any) -> Any:
            (told,) = super().on_describe_stacks(**said)["Stacks"]
            return "ValidationError" if self.left == -1 else {"Stacks": [{**told, "Tags": [{"Key": SPEC, "Value": "ours"}]}]}

        def on_delete_stack(self, **said: Any) -> Any:
            assert self.left == 0
            self.left = -1
            return {}

    door = Draining({"a": (NEW, 1, "COMPLETED")}, {"a": 100, "b": 0})
    door.known = []
    assert steps(door).destroy().ok
    assert door.changes() == ["delete_rule", "delete_service", "delete_stack"]


def test_images_that_may_not_be_deleted_keep_nothing_else_of_a_release_that_is_let_go() -> None:
    class Company(Ecs):
        code = "AccessDeniedException"

        def on_batch_delete_image(self, **said: Any) -> Any:
            return self.code

        def on_describe_task_definition(self, **said: Any) -> Any:
            return {"taskDefinition": {}, "tags": [{"key": "mlship.content", "value": "sha256:1"}]}

        def on_list_task_definitions(self, **said: Any) -> Any:
            return {"taskDefinitionArns": [f"arn:{said['familyPrefix']}:1"]}

        def on_deregister_task_definition(self, **said: Any) -> Any:
            return {}

    door = Company({"a": (NEW, 1, "COMPLETED")}, {"a": 100, "b": 0})
    said = steps(door).retire((OLD,), frozenset())
    (note,) = said.notes
    assert said.ok and "images of releases that are let go stay" in note and "AWS refuses ecr batch_delete_image" in note
    (gone,) = [said["taskDefinition"] for name, said in door.asked if name == "ecs deregister_task_definition"]
    assert gone == f"arn:{SCOPE.family(OLD)}:1"
    door.code = "ThrottlingException"
    with pytest.raises(MlshipError, match="ThrottlingException"):  # the next command tries again
        steps(door).retire((OLD,), frozenset())


def test_a_stack_that_lost_its_cluster_and_listener_can_still_be_looked_at() -> None:
    class Half(Ecs):
        def on_describe_services(self, **said: Any) -> Any:
            return "ClusterNotFoundException"

        def on_describe_rules(self, **said: Any) -> Any:
            return "ListenerNotFound"

    look = seen.look(Half({}, {}), SCOPE)
    assert look is not None and (look.slots, look.rule, look.live) == ({}, "", None)


def test_recreate_stops_the_old_one_first() -> None:
    door = Ecs({"a": (OLD, 1, "COMPLETED"), "b": (OLD, 0, "COMPLETED")}, {"a": 100, "b": 0})
    made = replace(MADE, strategy=replace(MADE.strategy, name="recreate"))
    assert steps(door).stage(Action("stage", NEW, OLD), made).ok
    assert {slot: entry[:2] for slot, entry in door.slots.items()} == {"a": (OLD, 0), "b": (NEW, 1)}


def test_a_slot_follows_the_load_only_while_callers_reach_it() -> None:
    door = Ecs({"a": (OLD, 5, "COMPLETED")}, {"a": 100, "b": 0}, healthy=8)
    door.scaled = {"a": (2, 8)}
    assert steps(door).stage(Action("stage", NEW, OLD), SCALED).ok
    assert (door.slots["b"][1], door.scaled) == (5, {"a": (2, 8)}), "as many as callers need now, not the least"
    assert steps(door).shift(Action("shift", NEW, OLD), SCALED).ok
    assert (door.scaled, door.slots["a"][1]) == ({"b": (2, 8)}, 0)
    (policy,) = door.policies
    assert policy["TargetTrackingScalingPolicyConfiguration"] == {
        "TargetValue": 1200.0,
        "ScaleOutCooldown": 60,
        "ScaleInCooldown": 120,
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "ALBRequestCountPerTarget",
            "ResourceLabel": "app/ml/50dc6c495c0c9188/targetgroup/b/73e2d6bc24d8a067",
        },
    }


def test_a_canary_gets_more_tasks_before_more_callers() -> None:
    door = Ecs({"a": (OLD, 8, "COMPLETED")}, {"a": 100, "b": 0}, healthy=8)
    made = replace(SCALED, strategy=replace(MADE.strategy, name="canary", steps=(0.05, 0.5, 1.0)))
    assert steps(door).stage(Action("stage", NEW, OLD), made).ok
    assert door.slots["b"][1] == 2
    assert steps(door).weigh(Action("weigh", NEW, OLD, share=0.5), made).ok
    assert (door.slots["b"][1], door.weights) == (4, {"a": 50, "b": 50})
    door.slots["b"] = (NEW, 7, "COMPLETED")  # autoscaling added some
    assert steps(door).stage(Action("stage", NEW, OLD), made).ok
    assert door.slots["b"][1] == 7, "no command takes away what autoscaling added"


def test_a_changed_range_is_autoscalings_and_a_fixed_number_is_ours() -> None:
    door = Ecs({"a": (NEW, 5, "COMPLETED")}, {"a": 100, "b": 0}, healthy=8)
    door.scaled = {"a": (2, 8)}
    assert operate(door, replace(SCALED, replicas=(3, 6))).ok
    assert (door.scaled["a"], door.slots["a"][1]) == ((3, 6), 5)
    (update,) = [said for name, said in door.asked if name == "ecs update_service"]
    assert "desiredCount" not in update
    asked = len(door.asked)
    assert operate(door, replace(SCALED, replicas=(3, 6))).ok
    assert not [name for name, _ in door.asked[asked:] if name.startswith("application-autoscaling put")], "it is so already"
    assert operate(door, replace(MADE, replicas=(4, 4))).ok
    assert (door.scaled, door.policies, door.slots["a"][1]) == ({}, [], 4)


def test_the_floor_of_this_hour_outlasts_a_deploy() -> None:
    floors = [{"cron": "0 7 * * 1-5", "min": 4}, {"cron": "30 19 * * *", "min": 2}]
    made = replace(SCALED, operating={"scale": {**SCALED.operating["scale"], "schedule": floors}})
    door = Ecs({"a": (OLD, 5, "COMPLETED"), "b": (NEW, 5, "COMPLETED")}, {"a": 100, "b": 0}, healthy=8)
    door.scaled = {"a": (4, 8)}  # it is ten in the morning
    assert steps(door).shift(Action("shift", NEW, OLD), made).ok
    assert door.scaled == {"b": (4, 8)}
    assert [(one["Schedule"], one["ScalableTargetAction"]) for one in door.scheduled] == [
        ("cron(0 7 ? * MON-FRI *)", {"MinCapacity": 4}),
        ("cron(30 19 * * ? *)", {"MinCapacity": 2}),
    ]
    assert operate(door, SCALED).ok
    assert (door.scheduled, door.scaled) == ([], {"b": (2, 8)})


def test_tasks_that_autoscaling_takes_away_meanwhile_are_not_waited_for() -> None:
    class Quieter(Ecs):
        def on_put_scaling_policy(self, **said: Any) -> Any:
            self.slots["a"] = (NEW, 3, "COMPLETED")
            return super().on_put_scaling_policy(**said)

    door = Quieter({"a": (NEW, 5, "COMPLETED")}, {"a": 100, "b": 0}, healthy=3)
    assert operate(door, SCALED).ok


def test_tasks_are_replaced_only_where_they_are_bought_otherwise() -> None:
    door = Ecs({"a": (NEW, 1, "COMPLETED")}, {"a": 100, "b": 0})
    door.capacity["a"] = [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}]
    assert operate(door, MADE).ok
    assert operate(door, replace(MADE, operating={"cost": {"profile": "spot", "on_demand_base": 1}})).ok
    assert [said.get("forceNewDeployment") for name, said in door.asked if name == "ecs update_service"] == [None, True]


def test_labels_that_go_are_taken_from_what_has_them_and_others_stay() -> None:
    door = Ecs({"a": (NEW, 1, "COMPLETED")}, {"a": 100, "b": 0})
    assert operate(door, replace(MADE, labels={"team": "growth"}), {"team": "old", "cost-centre": "42"}).ok
    tagged = [(name, said) for name, said in door.asked if "tag" in name]
    assert [name for name, _ in tagged] == ["ecs tag_resource", "ecs untag_resource", "elbv2 add_tags", "elbv2 remove_tags"]
    assert tagged[1][1]["tagKeys"] == ["cost-centre"] and tagged[3][1]["TagKeys"] == ["cost-centre"]


def operate(door: Ecs, made: Deployment, former: dict[str, str] | None = None) -> Outcome:
    """On a foundation that an administrator made."""
    return steps(door).operate(made, former or {})


@pytest.mark.parametrize(
    ("led", "host", "wanted"),
    [
        (("churn.example.com",), "churn.example.com", []),
        (("old.example.com",), "churn.example.com", [["churn.example.com"]]),
        (("old.example.com",), "old.example.com", []),  # an administrator has not applied the new foundation yet
    ],
)
def test_callers_come_by_the_names_that_are_said_now(led: tuple[str, ...], host: str, wanted: list[list[str]]) -> None:
    told = {"Field": "host-header", "Values": list(led), "HostHeaderConfig": {"Values": list(led)}}
    door = FakeDoor({"elbv2 describe_rules": {"Rules": [{"RuleArn": RULE, "Conditions": [told]}]}, "elbv2 modify_rule": {}})
    callers.follow(door, Given(hosts=("churn.example.com",)), Seen({"Host": host}, rule=RULE))
    sent = [said["Conditions"] for name, said in door.asked if name == "elbv2 modify_rule"]
    assert [one["HostHeaderConfig"]["Values"] for (one,) in sent] == wanted
