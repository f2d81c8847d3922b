"""A release in the one service that there is without a balancer: whose fault it is that it does not come up."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aws_door import FakeDoor
from cloud_deployment import deployment

from mlship.oci.layout import Layout
from mlship.progress import Silent
from mlship.targets.aws.ecs import inside, seen
from mlship.targets.aws.ecs.foundation import outputs_of
from mlship.targets.aws.ecs.steps import Steps
from mlship.targets.aws.given import given
from mlship.targets.aws.scope import Scope
from mlship.targets.aws.stack import Waiting
from mlship.targets.base import Action, Answer, Outcome, Request

SCOPE = Scope("churn")
MADE = deployment("aws", "ecs", balancer=False)
NEW, OLD = MADE.release.id, "r0-0123ab"
OUTPUTS = dict.fromkeys(outputs_of(MADE, given(MADE)), "it") | {"Cluster": "mlship-churn"}
ARN = "arn:aws:ecs:us-east-1:123456789012"


def task(release: str, status: str, health: str, stop: str = "") -> dict[str, Any]:
    place = [{"name": "privateIPv4Address", "value": "10.0.0.9"}]
    return {
        "attachments": [{"details": place}],
        "taskArn": f"{ARN}:task/mlship-churn/{release}-{status}",
        "taskDefinitionArn": f"{ARN}:task-definition/{SCOPE.family(release)}:1",
        "lastStatus": status,
        "healthStatus": health,
        "createdAt": datetime(2026, 11, 23, tzinfo=UTC),
        **({"stopCode": stop, "stoppedReason": "no image"} if stop else {}),
    }


class OneService(FakeDoor):
    """new: the tasks of what UpdateService brings; ended: those of it that stopped."""

    def __init__(self, new: dict[str, Any], ended: tuple[dict[str, Any], ...] = ()) -> None:
        super().__init__()
        self.new, self.ended, self.primary = new, ended, OLD
        self.old = task(OLD, "RUNNING", "HEALTHY")

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        self.answers[f"{service} {operation}"] = getattr(self, f"on_{operation}")
        return super().call(service, operation, **said)

    def on_describe_stacks(self, **said: Any) -> Any:
        outputs = [{"OutputKey": name, "OutputValue": text} for name, text in OUTPUTS.items()]
        return {"Stacks": [{"StackStatus": "CREATE_COMPLETE", "Outputs": outputs}]}

    def on_describe_services(self, **said: Any) -> Any:
        definition = f"{ARN}:task-definition/{SCOPE.family(self.primary)}:1"
        primary = {"status": "PRIMARY", "taskDefinition": definition, "rolloutState": "IN_PROGRESS"}
        told = {"serviceName": SCOPE.service("a"), "serviceArn": "arn:service", "status": "ACTIVE", "deployments": [primary]}
        return {"services": [{**told, "taskDefinition": definition, "desiredCount": 1, "runningCount": 1}]}

    def on_list_task_definition_families(self, **said: Any) -> Any:
        return {"families": [SCOPE.family(NEW), SCOPE.family(OLD)]}

    def on_list_tasks(self, **said: Any) -> Any:
        is_new, stopped = self.primary == NEW, said["desiredStatus"] == "STOPPED"
        found = [*self.ended] if stopped and is_new else [] if stopped else [self.old]
        return {"taskArns": [one["taskArn"] for one in (*found, *([self.new] if is_new and not stopped else []))]}

    def on_describe_tasks(self, **said: Any) -> Any:
        known = (self.old, self.new, *self.ended)
        return {"tasks": [one for one in known if one["taskArn"] in said["tasks"]]}

    def on_update_service(self, **said: Any) -> Any:
        self.primary = SCOPE.release_of(said["taskDefinition"])
        return {}


def staged(door: OneService) -> Outcome:
    clock = itertools.count(0.0, 10.0)  # of every look
    steps = Steps(door, SCOPE, Layout(Path("nowhere")), {}, Waiting(lambda: next(clock), lambda seconds: None), Silent())
    return steps.stage(Action("stage", NEW, OLD), MADE)


@pytest.mark.parametrize(
    ("new", "ended", "fault"),
    [
        (task(NEW, "PROVISIONING", "UNKNOWN"), (), "target"),
        (task(NEW, "PENDING", "UNKNOWN"), (task(NEW, "STOPPED", "UNKNOWN", "TaskFailedToStart"),), "target"),
        (task(NEW, "RUNNING", "UNHEALTHY"), (), "release"),
    ],
)
def test_a_task_whose_server_never_ran_is_not_the_releases_fault(
    new: dict[str, Any], ended: tuple[dict[str, Any], ...], fault: str
) -> None:
    said = staged(OneService(new, ended))
    assert (said.ok, said.fault) == (False, fault)
    assert said.cause.startswith(f"{NEW} does not serve alone after ") and f"tasks of {OLD} still run" in said.cause


@pytest.mark.parametrize(("health", "asked", "vouched"), [("UNHEALTHY", 2, ""), ("HEALTHY", 1, OLD)])
def test_that_nobody_answers_is_a_lack_of_a_way_only_where_the_task_is_well(
    health: str, asked: int, vouched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that broke refuses whoever is in its network, too: what replaces it is asked all the same."""
    door, addresses = OneService(task(NEW, "PENDING", "UNKNOWN")), list[str]()

    def refused(address: str, *_: Any, **__: Any) -> Answer:
        addresses.append(address)
        return Answer(0, b"connection refused", is_unreached=True)

    monkeypatch.setattr(inside, "ask", refused)
    door.old = task(OLD, "RUNNING", health)
    way = inside.Inside(door, SCOPE)
    for _ in range(2):
        present = seen.look(door, SCOPE)
        assert present is not None
        said = way.ask(present, Request("GET", "/mlship/release"))
        assert (said.is_unreached, said.vouched) == (True, vouched)
        assert said.body.startswith(b"connection refused; ")
    assert len(addresses) == asked
