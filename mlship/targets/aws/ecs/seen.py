"""What there is of a project at AWS, read anew each time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlship.targets.aws import stack
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.ecs.discovery import REGISTRY
from mlship.targets.aws.ecs.slots import Slot, family_of, slots
from mlship.targets.aws.scope import SLOTS, Scope
from mlship.targets.aws.secrets import arn_of
from mlship.targets.base import Replica

_AT_MOST = 100  # tasks that DescribeTasks takes at once (service model of botocore 1.44.5)


@dataclass(frozen=True)
class Task:
    """One copy. address: of its network interface, empty where AWS does not tell (yet). health: as its own check says, where it has one."""

    id: str
    slot: str
    release: str
    status: str
    since: float
    address: str = ""
    stop_code: str = ""
    reason: str = ""
    exit_code: int | None = None
    health: str = ""

    @property
    def is_well(self) -> bool:
        """By its own check."""
        return self.status == "RUNNING" and self.health == "HEALTHY"

    @property
    def name(self) -> str:
        """`a-4f2a91c0`: the slot is what the balancer can be asked for."""
        return f"{self.slot}-{self.id[:8]}"


@dataclass(frozen=True)
class Seen:
    """weights: slot -> its part of the callers; empty where no rule leads anywhere. rule: its ARN. services: letters of those that there
    are, those without tasks, too. Without a balancer there is one slot, which all callers reach while it has tasks.
    """

    outputs: Mapping[str, str]
    slots: Mapping[str, Slot] = field(default_factory=dict)
    rule: str = ""
    weights: Mapping[str, int] = field(default_factory=dict)
    services: frozenset[str] = frozenset()

    @property
    def is_balanced(self) -> bool:
        return REGISTRY not in self.outputs

    def of(self, release: str) -> Slot | None:
        """The slot that has the release; of two, the one that callers reach."""
        found = [slot for slot in self.slots.values() if slot.release == release]
        return max(found, key=lambda slot: (self.weights.get(slot.name, 0), slot.desired), default=None)

    @property
    def live(self) -> Slot | None:
        """The slot that most callers reach."""
        name = max(self.weights, key=lambda slot: self.weights[slot], default="")
        return self.slots.get(name) if self.weights.get(name) else None

    @property
    def staged(self) -> Slot | None:
        """The slot with tasks that no caller reaches."""
        return next((slot for slot in self.slots.values() if slot.desired and not self.weights.get(slot.name)), None)

    @property
    def free(self) -> str:
        """The slot that the next release takes."""
        live = self.live
        return next(name for name in SLOTS if live is None or name != live.name)

    @property
    def moved(self) -> str:
        """The letter of the service that ECS moves between the slots; empty where there is none."""
        return next((slot.service for slot in self.slots.values() if slot.is_moved), "")

    @property
    def serving(self) -> int:
        """How many tasks callers reach, of whatever release."""
        return sum(slot.desired for slot in self.slots.values() if self.weights.get(slot.name))

    @property
    def shares(self) -> dict[str, float]:
        """release -> share of the callers."""
        whole = sum(self.weights.values())
        return {
            self.slots[name].release: weight / whole for name, weight in self.weights.items() if weight and name in self.slots
        }


def look(door: Door, scope: Scope) -> Seen | None:
    """None where there is no foundation."""
    found = stack.read(door, scope.stem)
    if found is None or not found.outputs:
        return None
    services = [one for one in _services(door, scope, found.outputs["Cluster"]) if one["status"] == "ACTIVE"]
    there, letters = slots(door, scope, services, found.outputs), _letters(scope, services)
    if REGISTRY in found.outputs:
        return Seen(found.outputs, there, "", {name: 1 for name, slot in there.items() if slot.desired}, letters)
    return Seen(found.outputs, there, *_rule(door, found.outputs), letters)


def tasks(door: Door, scope: Scope, seen: Seen, status: str = "RUNNING") -> list[Task]:
    """Of both slots, the oldest first. status: `RUNNING` or `STOPPED`, which ECS remembers for an hour."""
    cluster, found = seen.outputs["Cluster"], []
    for letter in sorted({slot.service for slot in seen.slots.values()}):
        place = {slot.release: slot.name for slot in seen.slots.values() if slot.service == letter}
        arns = door.all(
            "ecs", "list_tasks", "taskArns", cluster=cluster, serviceName=scope.service(letter), desiredStatus=status
        )
        for start in range(0, len(arns), _AT_MOST):
            several = arns[start : start + _AT_MOST]
            answer = door.call("ecs", "describe_tasks", cluster=cluster, tasks=several)
            found += [_task(scope, place, one) for one in answer["tasks"]]
    return sorted(found, key=lambda task: (task.since, task.id))


def replicas(door: Door, scope: Scope, seen: Seen) -> tuple[Replica, ...]:
    """Every running copy; ready is what the balancer says of it, or its own check where there is none."""
    healthy = {slot: healthy_addresses(door, seen, slot) for slot in seen.slots} if seen.is_balanced else {}
    made = []
    for task in tasks(door, scope, seen):
        ready = _is_found_ready(task, healthy[task.slot]) if seen.is_balanced else task.is_well
        staged = not seen.weights.get(task.slot)
        made.append(Replica(task.name, task.release, ready, task.since, staged, "" if ready else task.status.lower()))
    return tuple(made)


def _is_found_ready(task: Task, healthy: frozenset[str]) -> bool:
    """healthy: addresses of its slot that the balancer found so."""
    return task.status == "RUNNING" and (task.address in healthy if task.address else bool(healthy))


def well(door: Door, scope: Scope, seen: Seen, slot: str) -> int:
    """How many tasks of the slot's release may be called."""
    if seen.is_balanced:
        return len(healthy_addresses(door, seen, slot))
    release = seen.slots[slot].release
    return sum(task.is_well and task.release == release for task in tasks(door, scope, seen))


def healthy_addresses(door: Door, seen: Seen, slot: str) -> frozenset[str]:
    """Of the tasks that the balancer has asked and found ready."""
    group = seen.outputs[f"TargetGroup{slot.upper()}"]
    told = door.call("elbv2", "describe_target_health", TargetGroupArn=group)["TargetHealthDescriptions"]
    return frozenset(one["Target"]["Id"] for one in told if one["TargetHealth"]["State"] == "healthy")


def families(door: Door, scope: Scope) -> dict[str, str]:
    """release -> family of its task definition: what could be served again."""
    names = door.all("ecs", "list_task_definition_families", "families", familyPrefix=f"{scope.stem}_", status="ACTIVE")
    return {release: name for name in names if (release := scope.release_of(name))}


def secrets_of(door: Door, definition: str) -> set[str]:
    """ARNs of the secrets that its tasks read by version."""
    told = door.call("ecs", "describe_task_definition", taskDefinition=definition)["taskDefinition"]
    said = [one["valueFrom"] for container in told["containerDefinitions"] for one in container.get("secrets") or ()]
    return {arn for text in said if (arn := arn_of(text))}


def are_draining(door: Door, scope: Scope, cluster: str) -> bool:
    """Whether tasks of deleted services still end: their network interfaces hold the security group until then."""
    return any(one["status"] == "DRAINING" for one in _services(door, scope, cluster))


def _letters(scope: Scope, services: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    names = {one["serviceName"] for one in services}
    return frozenset(letter for letter in SLOTS if scope.service(letter) in names)


def _services(door: Door, scope: Scope, cluster: str) -> list[dict[str, Any]]:
    """None where the cluster is gone: a stack that could not be deleted to its end still tells of it."""
    names = [scope.service(slot) for slot in SLOTS]
    try:
        told: list[dict[str, Any]] = door.call("ecs", "describe_services", cluster=cluster, services=names)["services"]
    except Refused as no:
        if no.said == "ClusterNotFoundException":
            return []
        raise
    return told


def _task(scope: Scope, place: Mapping[str, str], told: Mapping[str, Any]) -> Task:
    """place: release -> slot, of one service."""
    release = scope.release_of(family_of(told["taskDefinitionArn"]))
    container: Mapping[str, Any] = next(iter(told.get("containers") or ()), {})
    since = told.get("startedAt") or told.get("createdAt")
    return Task(
        id=told["taskArn"].rpartition("/")[2],
        slot=place.get(release) or next(iter(place.values())),
        release=release,
        status=told["lastStatus"],
        since=since.timestamp() if since else 0.0,
        address=_address(told.get("attachments") or ()),
        stop_code=str(told.get("stopCode") or ""),
        reason=str(container.get("reason") or told.get("stoppedReason") or ""),
        exit_code=container.get("exitCode") if told["lastStatus"] == "STOPPED" else None,
        health=str(told.get("healthStatus") or ""),
    )


def _address(attachments: Sequence[Mapping[str, Any]]) -> str:
    details = (detail for one in attachments for detail in one.get("details") or ())
    return next((str(detail["value"]) for detail in details if detail["name"] == "privateIPv4Address"), "")


def _rule(door: Door, outputs: Mapping[str, str]) -> tuple[str, dict[str, int]]:
    """The rule that shares the callers between the two slots: the only one that names both target groups."""
    groups = {outputs[f"TargetGroup{slot.upper()}"]: slot for slot in SLOTS}
    for one in rules(door, outputs["Listener"]):
        for action in one["Actions"]:
            weights = {
                groups[group["TargetGroupArn"]]: int(group.get("Weight", 0))
                for group in (action.get("ForwardConfig") or {}).get("TargetGroups") or ()
                if group["TargetGroupArn"] in groups
            }
            if len(weights) == len(groups):
                return one["RuleArn"], weights
    return "", {}


def rules(door: Door, listener: str) -> list[dict[str, Any]]:
    """None where the listener is gone, as the cluster may be."""
    try:
        return door.all("elbv2", "describe_rules", "Rules", ListenerArn=listener)
    except Refused as no:
        if no.said == "ListenerNotFound":
            return []
        raise
