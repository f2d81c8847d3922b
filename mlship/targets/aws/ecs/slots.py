"""The two slots of a project: which release each has, by a service of its own or as a revision of the one that ECS moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlship.targets.aws.door import Door
from mlship.targets.aws.scope import SLOTS, Scope

_REVISIONS_AT_ONCE = 20  # DescribeServiceRevisions (service model of botocore 1.44.5)


@dataclass(frozen=True)
class Slot:
    """A target group, and what is in it. release: of the service's primary deployment, or of the revision; family and revision as ECS
    says them.

    rollout: `COMPLETED`, `IN_PROGRESS`, `FAILED`, and why. since: when that deployment began. capacity: on
    what its tasks run, as `capacity_of` has it. events: what ECS said of that deployment, the newest first. service: which of the two
    has it. is_moved: ECS moves that service from slot to slot.
    """

    name: str
    arn: str
    release: str
    task_definition: str
    desired: int
    running: int
    rollout: str = ""
    rollout_reason: str = ""
    since: float = 0.0
    capacity: tuple[tuple[str, int, int], ...] = ()
    events: tuple[str, ...] = ()
    service: str = ""
    is_moved: bool = False


def slots(door: Door, scope: Scope, services: Iterable[Mapping[str, Any]], outputs: Mapping[str, str]) -> dict[str, Slot]:
    """By name. services: as DescribeServices tells them. Where two have the same target group, one of them has no tasks."""
    letters = {scope.service(letter): letter for letter in SLOTS}
    found: dict[str, Slot] = {}
    for told in services:
        letter = letters[told["serviceName"]]
        for slot in _revisions(door, scope, letter, told, outputs) if is_moved(told) else (_own(scope, letter, told, outputs),):
            before = found.get(slot.name)
            if before is None or (slot.desired, slot.running) > (before.desired, before.running):
                found[slot.name] = slot
    return found


def is_moved(told: Mapping[str, Any]) -> bool:
    """Whether ECS moves the service between two target groups."""
    return any(one.get("advancedConfiguration") for one in told.get("loadBalancers") or ())


def capacity_of(items: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, int, int], ...]:
    """Providers with base and weight, comparable."""
    return tuple(sorted((one["capacityProvider"], one.get("base", 0), one.get("weight", 0)) for one in items))


def family_of(arn: str) -> str:
    """`arn:aws:ecs:us-east-1:123456789012:task-definition/mlship-churn_r1-7f3a9c:3`."""
    return arn.rpartition("/")[2].rpartition(":")[0]


def _own(scope: Scope, letter: str, told: Mapping[str, Any], outputs: Mapping[str, str]) -> Slot:
    primary: Mapping[str, Any] = next((one for one in told.get("deployments") or () if one["status"] == "PRIMARY"), {})
    definition = str(primary.get("taskDefinition") or told["taskDefinition"])
    return Slot(
        _name(told.get("loadBalancers") or (), outputs) or letter,
        str(told["serviceArn"]),
        scope.release_of(family_of(definition)),
        definition,
        told["desiredCount"],
        told["runningCount"],
        str(primary.get("rolloutState", "")),
        str(primary.get("rolloutStateReason", "")),
        _time(primary),
        capacity_of(told.get("capacityProviderStrategy") or ()),
        tuple(_events(told, primary)),
        letter,
    )


def _revisions(door: Door, scope: Scope, letter: str, told: Mapping[str, Any], outputs: Mapping[str, str]) -> Iterator[Slot]:
    """One that has just been told to move may tell of none yet."""
    counted = {one["arn"]: one for one in told.get("currentServiceRevisions") or ()}
    arns = list(counted)[:_REVISIONS_AT_ONCE]
    said = door.call("ecs", "describe_service_revisions", serviceRevisionArns=arns)["serviceRevisions"] if arns else []
    for one in said:
        resolved = (one.get("resolvedConfiguration") or {}).get("loadBalancers") or one.get("loadBalancers") or ()
        name, count = _name(resolved, outputs), counted[one["serviceRevisionArn"]]
        if not name:
            continue
        yield Slot(
            name,
            str(told["serviceArn"]),
            scope.release_of(family_of(one["taskDefinition"])),
            one["taskDefinition"],
            count.get("requestedTaskCount", 0),
            count.get("runningTaskCount", 0),
            since=_time(one),
            capacity=capacity_of(one.get("capacityProviderStrategy") or ()),
            events=tuple(_events(told, one)),
            service=letter,
            is_moved=True,
        )


def _name(balancers: Iterable[Mapping[str, Any]], outputs: Mapping[str, str]) -> str:
    groups = {outputs.get(f"TargetGroup{slot.upper()}"): slot for slot in SLOTS}
    return next((groups[arn] for one in balancers if (arn := str(one.get("targetGroupArn", ""))) in groups), "")


def _events(told: Mapping[str, Any], began: Mapping[str, Any]) -> Iterator[str]:
    since = began.get("createdAt")
    for one in told.get("events") or ():
        if since is None or one["createdAt"] >= since:
            yield str(one["message"])


def _time(told: Mapping[str, Any]) -> float:
    return float(told["createdAt"].timestamp()) if told.get("createdAt") else 0.0
