"""Where the three rules of a project stand among the others of their listener: `targets.aws.priority` may become another number.

CloudFormation would move the slots' rules one after the other, and stumble where old and new numbers overlap; the rule that shares the
callers is not in its stack at all, and must not come before those of the slots. So all three are moved by one call, which is refused as
a whole where somebody else's rule stands in the way (SetRulePriorities: "no priority conflicts in the new order", service model of
botocore 1.44.5), and before the stack is changed, which then finds its own where it wants them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlship.targets.aws import stack
from mlship.targets.aws.door import Door
from mlship.targets.aws.ecs.foundation import SLOT_HEADER
from mlship.targets.aws.ecs.seen import rules
from mlship.targets.aws.scope import SLOTS, Scope

Rule = Mapping[str, Any]
CALLERS = len(SLOTS)  # the rule that shares the callers comes after those of the slots
RULES = CALLERS + 1


def own(told: Iterable[Rule], outputs: Mapping[str, str]) -> dict[int, Rule]:
    """Those of the project by their place among its own. outputs: of its foundation. Pure."""
    groups = [outputs.get(f"TargetGroup{slot.upper()}", "") for slot in SLOTS]
    found: dict[int, Rule] = {}
    for one in told:
        named = groups_of(one)
        if named == set(groups):
            found.setdefault(CALLERS, one)
        for number, slot in enumerate(SLOTS):
            if named == {groups[number]} and slot in _slots_of(one):
                found[number] = one
    return found


def groups_of(rule: Rule) -> set[str]:
    """ARNs of the target groups that it leads to."""
    named = {str(action.get("TargetGroupArn", "")) for action in rule["Actions"]}
    shared = [one for action in rule["Actions"] for one in (action.get("ForwardConfig") or {}).get("TargetGroups") or ()]
    return (named | {str(one["TargetGroupArn"]) for one in shared}) - {""}


def moves(mine: Mapping[int, Rule], first: int, *, is_administrators: bool) -> list[dict[str, Any]]:
    """RulePriorities of those that stand elsewhere. is_administrators: the slots' rules stay where somebody else's stack has them, and the
    callers' follows only to where these are. Pure.
    """
    if is_administrators and any(not _stands(mine.get(number), first + number) for number in range(CALLERS)):
        return []
    going = {number: one for number, one in sorted(mine.items()) if not _stands(one, first + number)}
    return [{"RuleArn": one["RuleArn"], "Priority": first + number} for number, one in going.items()]


def follow(door: Door, scope: Scope, outputs: Mapping[str, str], first: int) -> None:
    """outputs: of the foundation. Raises Refused where another rule stands there by now: then none has moved."""
    mine = own(rules(door, outputs["Listener"]), outputs)
    if all(_stands(one, first + number) for number, one in mine.items()):
        return
    found = stack.read(door, scope.stem)
    is_administrators = found is None or found.spec == stack.OF_ADMINISTRATOR
    if going := moves(mine, first, is_administrators=is_administrators):
        door.call("elbv2", "set_rule_priorities", RulePriorities=going)


def numbers(told: Iterable[Rule]) -> str:
    """`100, 101, 102`."""
    return ", ".join(sorted((str(one["Priority"]) for one in told), key=int))


def others_at(told: Sequence[Rule], mine: Mapping[int, Rule], first: int) -> list[Rule]:
    """What is not the project's, and stands where its rules would be."""
    known = {one["RuleArn"] for one in mine.values()}
    wanted = {str(first + number) for number in range(RULES)}
    return [one for one in told if one["Priority"] in wanted and one["RuleArn"] not in known]


def _stands(rule: Rule | None, priority: int) -> bool:
    return rule is not None and rule["Priority"] == str(priority)


def _slots_of(rule: Rule) -> set[str]:
    """Which it is for, where it asks for the header that names one."""
    said = [one.get("HttpHeaderConfig") or {} for one in rule["Conditions"]]
    return {value for one in said if str(one.get("HttpHeaderName")).lower() == SLOT_HEADER for value in one["Values"]}
