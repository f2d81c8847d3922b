"""Application Auto Scaling as it should be: each looks first, and changes what is not so yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlship.targets.aws.documents import Body
from mlship.targets.aws.door import Door, Refused

SERVICE = "application-autoscaling"
POLICY_NAME, TRACKED = "PolicyName", "TargetTrackingScalingPolicyConfiguration"
_BOUNDS = ("MinCapacity", "MaxCapacity")


def follow(door: Door, wanted: Body, policy: Body | None, floors: Sequence[Body], beside: Sequence[Body] = ()) -> None:
    """What `wanted` registers is scaled by the policy and by the schedule, and by no others.

    floors: PutScheduledAction. The floor of this hour is kept until the schedule says another one, as it is or as one of `beside`
    has it, which the callers come from.
    """
    present = registered(door, wanted)
    said = {floor["ScalableTargetAction"]["MinCapacity"] for floor in floors}
    if said:
        here = [one for one in (present, *(registered(door, other) for other in beside)) if one is not None]
        kept = next((one["MinCapacity"] for one in here if one["MinCapacity"] in said), wanted["MinCapacity"])
        wanted = {**wanted, "MinCapacity": kept}
    if present is None or any(present[bound] != wanted[bound] for bound in _BOUNDS):
        door.call(SERVICE, "register_scalable_target", **wanted)
    _track(door, wanted, policy)
    _schedule(door, wanted, floors)


def leave(door: Door, place: Body) -> None:
    """Nobody but us says how many there are. Its policies and its schedule go with it."""
    if registered(door, place) is None:
        return
    try:
        door.call(SERVICE, "deregister_scalable_target", **_place(place), ScalableDimension=place["ScalableDimension"])
    except Refused as no:
        if no.said != "ObjectNotFoundException":  # another command did it meanwhile
            raise


def registered(door: Door, place: Body) -> dict[str, Any] | None:
    asked = {"ServiceNamespace": place["ServiceNamespace"], "ResourceIds": [place["ResourceId"]]}
    return next(iter(door.all(SERVICE, "describe_scalable_targets", "ScalableTargets", **asked)), None)


def _track(door: Door, place: Body, wanted: Body | None) -> None:
    told = door.all(SERVICE, "describe_scaling_policies", "ScalingPolicies", **_place(place))
    present = {one[POLICY_NAME]: one for one in told}
    known = present.pop(wanted[POLICY_NAME], {}) if wanted else {}
    if wanted and known.get(TRACKED) != wanted[TRACKED]:
        door.call(SERVICE, "put_scaling_policy", **wanted)
    for name in present:
        _delete(door, "delete_scaling_policy", place, PolicyName=name)


def _schedule(door: Door, place: Body, wanted: Sequence[Body]) -> None:
    told = door.all(SERVICE, "describe_scheduled_actions", "ScheduledActions", **_place(place))
    present = {one["ScheduledActionName"]: one for one in told}
    for action in wanted:
        if not _is_so(present.pop(action["ScheduledActionName"], {}), action):
            door.call(SERVICE, "put_scheduled_action", **action)
    for name in present:
        _delete(door, "delete_scheduled_action", place, ScheduledActionName=name)


def _delete(door: Door, operation: str, place: Body, **name: str) -> None:
    door.call(SERVICE, operation, **_place(place), ScalableDimension=place["ScalableDimension"], **name)


def _is_so(present: Mapping[str, Any], action: Body) -> bool:
    return all(present.get(key) == entry for key, entry in action.items())


def _place(of: Body) -> dict[str, str]:
    return {"ServiceNamespace": of["ServiceNamespace"], "ResourceId": of["ResourceId"]}
