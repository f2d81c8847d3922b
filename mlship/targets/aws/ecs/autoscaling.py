"""Autoscaling of a slot as it should be: each looks first, and changes what is not so yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.targets.aws.documents import filled
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.ecs import scaling, schedule
from mlship.targets.aws.ecs.slots import Slot
from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import SLOTS, Scope
from mlship.targets.base import Deployment

SERVICE = "application-autoscaling"


def follow(door: Door, deployment: Deployment, given: Given, slot: Slot, outputs: Mapping[str, str]) -> None:
    """The slot's tasks follow the load, within the deployment's range."""
    wanted = scaling.scalable(deployment, given, slot.service)
    floors = {least for _, least in schedule.floors(deployment)}
    present = _target(door, wanted)
    if floors:  # the floor of this hour is kept until the schedule says another one
        here = [one for one in (present, *_others(door, deployment, given, slot.service)) if one is not None]
        wanted["MinCapacity"] = next(
            (one["MinCapacity"] for one in here if one["MinCapacity"] in floors), wanted["MinCapacity"]
        )
    if present is None:
        door.call(SERVICE, "register_scalable_target", **wanted)
    elif any(present[bound] != wanted[bound] for bound in ("MinCapacity", "MaxCapacity")):
        # tags are taken only with a new one
        door.call(SERVICE, "register_scalable_target", **{key: entry for key, entry in wanted.items() if key != "Tags"})
    policy = filled(scaling.policy(deployment, given, slot.service, slot.name), outputs)
    if not _has(door, policy):
        door.call(SERVICE, "put_scaling_policy", **policy)
    _schedule(door, wanted, scaling.scheduled(deployment, given, slot.service))


def _schedule(door: Door, place: Mapping[str, Any], wanted: list[dict[str, Any]]) -> None:
    asked = {"ServiceNamespace": place["ServiceNamespace"], "ResourceId": place["ResourceId"]}
    told = door.all(SERVICE, "describe_scheduled_actions", "ScheduledActions", **asked)
    present = {one["ScheduledActionName"]: one for one in told}
    for action in wanted:
        if not _is_so(present.pop(action["ScheduledActionName"], {}), action):
            door.call(SERVICE, "put_scheduled_action", **action)
    for name in present:
        dimension = place["ScalableDimension"]
        door.call(SERVICE, "delete_scheduled_action", **asked, ScheduledActionName=name, ScalableDimension=dimension)


def _is_so(present: Mapping[str, Any], action: Mapping[str, Any]) -> bool:
    return all(present.get(key) == entry for key, entry in action.items())


def leave(door: Door, scope: Scope, cluster: str, name: str) -> None:
    """Nobody but us says how many tasks the service has. Its policies go with it."""
    place = scaling.resource(scope, cluster, name)
    if _target(door, place) is None:
        return
    try:
        door.call(SERVICE, "deregister_scalable_target", **place)
    except Refused as no:
        if no.said != "ObjectNotFoundException":  # another command did it meanwhile
            raise


def _target(door: Door, place: Mapping[str, Any]) -> dict[str, Any] | None:
    asked = {"ServiceNamespace": place["ServiceNamespace"], "ResourceIds": [place["ResourceId"]]}
    found = door.all(SERVICE, "describe_scalable_targets", "ScalableTargets", **asked)
    return next(iter(found), None)


def _others(door: Door, deployment: Deployment, given: Given, name: str) -> list[dict[str, Any] | None]:
    return [_target(door, scaling.scalable(deployment, given, other)) for other in SLOTS if other != name]


def _has(door: Door, policy: Mapping[str, Any]) -> bool:
    asked = {"ServiceNamespace": policy["ServiceNamespace"], "ResourceId": policy["ResourceId"]}
    said = "TargetTrackingScalingPolicyConfiguration"
    return any(
        one["PolicyName"] == policy["PolicyName"] and one.get(said) == policy[said]
        for one in door.all(SERVICE, "describe_scaling_policies", "ScalingPolicies", **asked)
    )
