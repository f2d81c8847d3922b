"""Which callers the rule that shares them is for: releases made it, and no change of the stack reaches it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlship.targets.aws.door import Door
from mlship.targets.aws.ecs.foundation import conditions
from mlship.targets.aws.ecs.seen import Seen
from mlship.targets.aws.given import Given


def follow(door: Door, given: Given, present: Seen) -> None:
    """The same callers as the slots' rules, which the stack has changed: `targets.aws.hosts` may be others. An administrator's stack stays
    as it is, and so does this.
    """
    if not present.rule or present.outputs.get("Host", "") != next(iter(given.hosts), ""):
        return
    (told,) = door.call("elbv2", "describe_rules", RuleArns=[present.rule])["Rules"]
    wanted = conditions(given)
    if _meant(told["Conditions"]) != _meant(wanted):
        door.call("elbv2", "modify_rule", RuleArn=present.rule, Conditions=wanted)


def _meant(said: Iterable[Mapping[str, Any]]) -> set[tuple[str, frozenset[str]]]:
    """AWS tells the values of a host or a path twice, in its older spelling, too."""
    return {(one["Field"], frozenset(_values(one))) for one in said}


def _values(condition: Mapping[str, Any]) -> Iterable[str]:
    configured = [text for key, entry in condition.items() if key.endswith("Config") for text in entry["Values"]]
    return configured or condition.get("Values") or ()
