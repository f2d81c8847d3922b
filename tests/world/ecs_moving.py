"""Deployments by which ECS itself moves the callers, which no emulator has: on top of ministack's services, one for each revision.

States, refusals and what takes a deployment back are those of the developer guide (blue/green, linear, canary, pause hooks; read
2026-11). Callers are moved by moto's own rule, as ECS does it. Each look at a deployment is a step of it. Every answer is checked against
botocore's service model (aws_model.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import aws_model

from mlship.targets.aws.door import refusal

BAKED = 3  # looks that a share is watched for
_PLACE = "arn:aws:ecs:us-east-1:123456789012"
_FINAL = ("SUCCESSFUL", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED", "STOPPED")


class World(Protocol):
    def client(self, service: str, endpoint: str = "") -> Any: ...

    def run_tasks(self) -> None: ...


@dataclass
class Revision:
    """backing: the service of ministack that has its tasks. bought: on what they run, which ministack does not keep."""

    arn: str
    definition: str
    group: str
    backing: str
    at: datetime
    bought: list[dict[str, Any]]


@dataclass
class Deployed:
    """left: looks until the next step. shares: percents of the callers that are still to come."""

    arn: str
    source: Revision
    target: Revision
    said: Mapping[str, Any]
    at: datetime
    status: str = "IN_PROGRESS"
    stage: str = "SCALE_UP"
    hold: str = ""
    was_held: bool = False
    why: str = ""
    triggered: list[str] = field(default_factory=list)
    left: int = 1
    shares: list[float] = field(default_factory=list)
    share: float = 0.0


@dataclass
class Moved:
    """A service that has two target groups. groups: as its load balancer was said."""

    name: str
    cluster: str
    balancer: Mapping[str, Any]
    current: Revision
    deployments: list[Deployed] = field(default_factory=list)

    @property
    def on(self) -> Deployed | None:
        return next((one for one in self.deployments if one.status not in _FINAL), None)


class MovingEcs:
    """sent: what was asked of it. expired: ECS does not wait for anybody's word any more. stuck: it cannot take a release back."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.services: dict[str, Moved] = {}
        self.sent: list[tuple[str, Mapping[str, Any]]] = []
        self.expired = self.stuck = False
        self._numbers: Iterator[int] = itertools.count(1)

    def play(self, operation: str, said: Mapping[str, Any]) -> dict[str, Any] | None:
        """None for what is ministack's alone."""
        own = getattr(self, f"_{operation}", None)
        answer: dict[str, Any] | None = own(said) if own else None
        if answer is not None:
            self.sent.append((operation, said))
            aws_model.check_answer("ecs", operation, answer)
        return answer

    def finish(self) -> None:
        """Time passes, and nobody looks."""
        for moved in self.services.values():
            while moved.on is not None and not (moved.on.hold and not self.expired):
                self._step(moved, moved.on)

    # -- requests ----------------------------------------------------------------------------------------------------------

    def _update_service(self, said: Mapping[str, Any]) -> dict[str, Any] | None:
        name = said["service"]
        balancer = next((one for one in said.get("loadBalancers") or () if one.get("advancedConfiguration")), None)
        if name not in self.services and balancer is None:
            return None
        (told,) = self._ecs.describe_services(cluster=said["cluster"], services=[name])["services"]
        if name not in self.services:
            assert said["deploymentConfiguration"]["strategy"] == "ROLLING" and "taskDefinition" not in said, (
                "a service gets to know both first"
            )
            (before,) = told["loadBalancers"]
            assert before["targetGroupArn"] == balancer["targetGroupArn"], "callers would be in the other target group"
            bought = list(told.get("capacityProviderStrategy") or ())
            arn, group = self._arn("service-revision", name), before["targetGroupArn"]
            first = Revision(arn, told["taskDefinition"], group, name, _now(), bought)
            self.services[name] = Moved(name, said["cluster"], balancer, first)
            arn = self._arn("service-deployment", name)
            self.services[name].deployments.append(Deployed(arn, first, first, said["deploymentConfiguration"], _now()))
            return {"service": {"serviceName": name, "status": "ACTIVE"}}
        moved = self.services[name]
        assert balancer is None, "it knows both"
        if "desiredCount" in said:
            self._ecs.update_service(cluster=moved.cluster, service=moved.current.backing, desiredCount=said["desiredCount"])
        if "taskDefinition" in said or said.get("forceNewDeployment"):
            self._begin(moved, said, told)
        self._world.run_tasks()
        return {"service": {"serviceName": name, "status": "ACTIVE"}}

    def _begin(self, moved: Moved, said: Mapping[str, Any], told: Mapping[str, Any]) -> None:
        assert moved.on is None, "another deployment is under way"
        groups = (moved.balancer["targetGroupArn"], moved.balancer["advancedConfiguration"]["alternateTargetGroupArn"])
        group = next(one for one in groups if one != moved.current.group)
        configuration = said["deploymentConfiguration"]
        self._check(moved, configuration, group)
        number = next(self._numbers)
        definition = str(said.get("taskDefinition", moved.current.definition))
        if not definition.startswith("arn:"):
            found = self._ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
            definition = found["taskDefinitionArn"]
        backing = f"{moved.name}-{number}"
        self._ecs.create_service(
            cluster=moved.cluster,
            serviceName=backing,
            taskDefinition=definition,
            desiredCount=said.get("desiredCount", told["desiredCount"]),
            loadBalancers=[{**_plain(moved.balancer), "targetGroupArn": group}],
            capacityProviderStrategy=said["capacityProviderStrategy"],
            networkConfiguration=told["networkConfiguration"],
        )
        arn, bought = self._arn("service-revision", moved.name), said["capacityProviderStrategy"]
        target = Revision(arn, definition, group, backing, _now(), bought)
        began = _now() + timedelta(seconds=number)
        made = Deployed(self._arn("service-deployment", moved.name), moved.current, target, configuration, began)
        made.shares = _shares(configuration)
        moved.deployments.append(made)

    def _check(self, moved: Moved, configuration: Mapping[str, Any], group: str) -> None:
        """What ECS refuses."""
        between = moved.balancer["advancedConfiguration"]
        (rule,) = self._elb.describe_rules(RuleArns=[between["productionListenerRule"]])["Rules"]
        forwarded = {one["TargetGroupArn"] for one in rule["Actions"][0]["ForwardConfig"]["TargetGroups"]}
        assert {moved.current.group, group} == forwarded, "the rule does not lead to both target groups"
        assert between["roleArn"].startswith("arn:aws:iam::"), between
        assert not configuration["deploymentCircuitBreaker"]["enable"], "the circuit breaker is for ROLLING alone"
        watched = configuration["alarms"]
        if watched["enable"]:
            known = self._alarms(watched["alarmNames"])
            assert len(known) == len(watched["alarmNames"]), "ECS refuses alarms that there are not"
        arns = self._ecs.list_services(cluster=moved.cluster)["serviceArns"]
        others = self._ecs.describe_services(cluster=moved.cluster, services=arns)["services"]
        strangers = [one for one in others if one["serviceName"] != moved.name and one["status"] == "ACTIVE"]
        taken = [one["serviceName"] for one in strangers if one["loadBalancers"][0]["targetGroupArn"] == group]
        assert not taken, "two services in one target group"

    def _continue_service_deployment(self, said: Mapping[str, Any]) -> dict[str, Any]:
        one = self._found(said["serviceDeploymentArn"])
        if one.hold != said["hookId"] or one.status != "IN_PROGRESS":
            raise _no("continue-service-deployment", "the hook does not await an action")
        assert said["action"] == "CONTINUE"
        one.hold, one.was_held = "", True
        return {"serviceDeploymentArn": one.arn}

    def _stop_service_deployment(self, said: Mapping[str, Any]) -> dict[str, Any]:
        one = self._found(said["serviceDeploymentArn"])
        assert said["stopType"] == "ROLLBACK"
        if one.status in _FINAL:
            raise _no("stop-service-deployment", f"the deployment is {one.status}")
        self._back(one, "stopped by the user")
        return {"serviceDeploymentArn": one.arn}

    def _delete_service(self, said: Mapping[str, Any]) -> dict[str, Any] | None:
        moved = self.services.pop(said["service"], None)
        if moved is None:
            return None
        for backing in {said["service"], moved.current.backing, *(one.target.backing for one in moved.deployments)}:
            self._drop(moved.cluster, backing)
        self._world.run_tasks()
        return {"service": {"serviceName": said["service"], "status": "INACTIVE"}}

    # -- answers -----------------------------------------------------------------------------------------------------------

    def _describe_services(self, said: Mapping[str, Any]) -> dict[str, Any] | None:
        if not any(name in self.services for name in said["services"]):
            return None
        answer: dict[str, Any] = self._ecs.describe_services(**said)
        del answer["ResponseMetadata"]
        answer["services"] = [self._told(one) for one in answer["services"]]
        return answer

    def _told(self, told: dict[str, Any]) -> dict[str, Any]:
        moved = self.services.get(told["serviceName"])
        if moved is None:
            return told
        revisions = [self._counted(moved, one) for one in self._revisions(moved)]
        newest = moved.on.target if moved.on else moved.current
        primary = {"status": "PRIMARY", "taskDefinition": newest.definition, "createdAt": newest.at}
        own = {"loadBalancers": [moved.balancer], "currentServiceRevisions": revisions, "deployments": [primary]}
        counts = {
            "desiredCount": sum(one["requestedTaskCount"] for one in revisions),
            "runningCount": sum(one["runningTaskCount"] for one in revisions),
        }
        return {**told, "status": "ACTIVE", "taskDefinition": newest.definition, **own, **counts}

    def _counted(self, moved: Moved, revision: Revision) -> dict[str, Any]:
        told = self._ecs.describe_services(cluster=moved.cluster, services=[revision.backing])["services"]
        counts = told[0] if told else {"desiredCount": 0, "runningCount": 0}
        return {
            "arn": revision.arn,
            "requestedTaskCount": counts["desiredCount"],
            "runningTaskCount": counts["runningCount"],
            "pendingTaskCount": 0,
        }

    def _revisions(self, moved: Moved) -> list[Revision]:
        return [moved.current, *([moved.on.target] if moved.on and moved.on.target is not moved.current else [])]

    def _describe_service_revisions(self, said: Mapping[str, Any]) -> dict[str, Any]:
        known = {one.arn: one for moved in self.services.values() for one in _every(moved)}
        found = [known[arn] for arn in said["serviceRevisionArns"]]
        return {
            "serviceRevisions": [
                {
                    "serviceRevisionArn": one.arn,
                    "taskDefinition": one.definition,
                    "createdAt": one.at,
                    "capacityProviderStrategy": one.bought,
                    "resolvedConfiguration": {"loadBalancers": [{"targetGroupArn": one.group}]},
                }
                for one in found
            ]
        }

    def _list_service_deployments(self, said: Mapping[str, Any]) -> dict[str, Any]:
        moved = self.services.get(said["service"])
        briefs = [
            {"serviceDeploymentArn": one.arn, "createdAt": one.at, "status": one.status}
            for one in (moved.deployments if moved else ())
        ]
        return {"serviceDeployments": briefs}

    def _describe_service_deployments(self, said: Mapping[str, Any]) -> dict[str, Any]:
        (arn,) = said["serviceDeploymentArns"]
        one, moved = self._found(arn), self._service_of(arn)
        if one.status not in _FINAL:
            self._step(moved, one)
        told: dict[str, Any] = {
            "serviceDeploymentArn": arn,
            "createdAt": one.at,
            "status": one.status,
            "lifecycleStage": one.stage,
            "targetServiceRevision": {"arn": one.target.arn, "requestedProductionTrafficWeight": one.share},
            "deploymentConfiguration": one.said,
            "alarms": {"status": "TRIGGERED" if one.triggered else "MONITORING", "triggeredAlarmNames": one.triggered},
        }
        if one.hold:
            told["lifecycleHookDetails"] = [
                {"hookId": one.hold, "targetType": "PAUSE", "status": "AWAITING_ACTION", "timeoutAction": "ROLLBACK"}
            ]
        if one.why:
            told["rollback"] = {"reason": one.why, "serviceRevisionArn": one.source.arn}
        return {"serviceDeployments": [told]}

    def _list_tasks(self, said: Mapping[str, Any]) -> dict[str, Any] | None:
        moved = self.services.get(said.get("serviceName", ""))
        if moved is None:
            return None
        backings = {moved.name, *(one.backing for one in _every(moved))}
        arns = [
            arn for backing in sorted(backings) for arn in self._ecs.list_tasks(**{**said, "serviceName": backing})["taskArns"]
        ]
        return {"taskArns": arns}

    # -- what happens from look to look ------------------------------------------------------------------------------------

    def _step(self, moved: Moved, one: Deployed) -> None:
        alarmed = [name for name in self._watched(one) if self._state(name) == "ALARM"]
        if one.status == "ROLLBACK_REQUESTED":
            self._take_back(moved, one)
        elif alarmed and one.stage != "SCALE_UP":
            one.triggered = alarmed
            self._back(one, "Service deployment rolled back because of CloudWatch alarms")
        elif one.hold and self.expired:
            one.hold = ""
            self._back(one, "a lifecycle hook timed out")
        elif one.hold or one.left:
            one.left = max(one.left - 1, 0)
        else:
            self._go_on(moved, one)

    def _go_on(self, moved: Moved, one: Deployed) -> None:
        if one.said["strategy"] == "ROLLING":
            one.status = "SUCCESSFUL"
        elif one.stage == "SCALE_UP" and not one.was_held and one.said["lifecycleHooks"]:
            one.stage, one.hold = "POST_SCALE_UP", f"ecs-pause-{next(self._numbers)}"
        elif one.shares:
            one.stage, one.share = "PRODUCTION_TRAFFIC_SHIFT", one.shares.pop(0)
            self._weigh(moved, one.target.group, one.share)
            one.left = BAKED if one.shares or one.said.get("bakeTimeInMinutes") else 0
        else:
            one.stage, one.status = "CLEAN_UP", "SUCCESSFUL"
            moved.current = one.target
            self._drop(moved.cluster, one.source.backing)
            self._world.run_tasks()

    def _back(self, one: Deployed, why: str) -> None:
        one.status, one.why, one.hold = "ROLLBACK_REQUESTED", why, ""

    def _take_back(self, moved: Moved, one: Deployed) -> None:
        if self.stuck:
            one.status = "ROLLBACK_FAILED"
            return
        self._weigh(moved, one.source.group, 100.0)
        one.status, one.share = "ROLLBACK_SUCCESSFUL", 0.0
        self._drop(moved.cluster, one.target.backing)
        self._world.run_tasks()

    def _weigh(self, moved: Moved, group: str, percent: float) -> None:
        """In tenths of a percent, which is another whole than ours."""
        between = moved.balancer["advancedConfiguration"]
        groups = (moved.balancer["targetGroupArn"], between["alternateTargetGroupArn"])
        own = round(percent * 10 / 2)
        weighed = [{"TargetGroupArn": one, "Weight": own if one == group else 500 - own} for one in groups]
        action = {"Type": "forward", "ForwardConfig": {"TargetGroups": weighed}}
        self._elb.modify_rule(RuleArn=between["productionListenerRule"], Actions=[action])

    def _drop(self, cluster: str, backing: str) -> None:
        """The one that is called as the service itself stays, without tasks: ministack tells of it."""
        self._ecs.update_service(cluster=cluster, service=backing, desiredCount=0)
        if backing not in self.services:
            self._ecs.delete_service(cluster=cluster, service=backing, force=True)

    def _watched(self, one: Deployed) -> list[str]:
        watched = one.said.get("alarms") or {"enable": False}
        return list(watched["alarmNames"]) if watched["enable"] else []

    def _state(self, name: str) -> str:
        return str(self._alarms([name])[0]["StateValue"])

    def _alarms(self, names: list[str]) -> list[dict[str, Any]]:
        told = self._world.client("cloudwatch").describe_alarms(AlarmNames=names)
        return list(told["MetricAlarms"])

    def _found(self, arn: str) -> Deployed:
        return next(one for moved in self.services.values() for one in moved.deployments if one.arn == arn)

    def _service_of(self, arn: str) -> Moved:
        return next(moved for moved in self.services.values() if any(one.arn == arn for one in moved.deployments))

    def _arn(self, kind: str, service: str) -> str:
        return f"{_PLACE}:{kind}/mlship-churn/{service}/{next(self._numbers)}"

    @property
    def _ecs(self) -> Any:
        return self._world.client("ecs")

    @property
    def _elb(self) -> Any:
        return self._world.client("elbv2")


def _every(moved: Moved) -> list[Revision]:
    return [moved.current, *(one.source for one in moved.deployments), *(one.target for one in moved.deployments)]


def _shares(said: Mapping[str, Any]) -> list[float]:
    if said["strategy"] == "CANARY":
        return [said["canaryConfiguration"]["canaryPercent"], 100.0]
    if said["strategy"] == "LINEAR":
        step = said["linearConfiguration"]["stepPercent"]
        return [*(step * number for number in range(1, int(100 / step - 1e-9) + 1)), 100.0]
    assert said["strategy"] == "BLUE_GREEN"
    return [100.0]


def _plain(balancer: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry for key, entry in balancer.items() if key != "advancedConfiguration"}


def _now() -> datetime:
    return datetime.now(UTC)


def _no(operation: str, text: str) -> Exception:
    return refusal(f"ecs {operation}", {"Code": "InvalidParameterException", "Message": text})
