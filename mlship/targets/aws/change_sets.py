"""What CloudFormation would do to a stack, said by a change set before anything is done. Nothing that callers use is taken from them
by one: what it would replace or remove of such things is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlship.targets.aws.documents import Template, cfn_tags
from mlship.targets.aws.door import Door
from mlship.targets.waiting import Waiting

SPEC = "mlship.spec"  # a tag of the stack: what it was made from
DECIDED_S = 120.0
# What callers, tasks that start and releases that are kept reach by its address, its name or its ARN.
_IN_USE = (
    "AWS::ECR::Repository",
    "AWS::ECS::Cluster",
    "AWS::ElasticLoadBalancingV2::Listener",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::IAM::Role",
    "AWS::ServiceDiscovery::PrivateDnsNamespace",
    "AWS::ServiceDiscovery::Service",
)
_MARKS = {"Add": "+", "Remove": "-"}


@dataclass(frozen=True)
class Wanted:
    """A stack as it should be."""

    name: str
    template: Template
    parameters: Mapping[str, str]
    tags: Mapping[str, str]

    @property
    def spec(self) -> str:
        return hashlib.sha256(json.dumps([self.template, dict(self.parameters)], sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Change:
    """Of one resource. replacement: `True`, `False`, `Conditional`, or empty, as CloudFormation says it."""

    action: str
    name: str
    kind: str
    replacement: str = ""

    @property
    def takes_away(self) -> bool:
        """Whether what is there goes, and callers or releases need it."""
        return self.kind in _IN_USE and (self.action == "Remove" or self.replacement == "True")

    @property
    def in_words(self) -> str:
        replaced = {"True": " (replaced)", "Conditional": " (perhaps replaced)"}.get(self.replacement, "")
        return f"{_MARKS.get(self.action, '~')} {self.name}{replaced}"


@dataclass(frozen=True)
class ChangeSet:
    """is_good: it can be carried out; reason: why not."""

    is_good: bool
    changes: tuple[Change, ...] = ()
    reason: str = ""

    @property
    def taken_away(self) -> tuple[str, ...]:
        return tuple(change.name for change in self.changes if change.takes_away)


def make(door: Door, wanted: Wanted, called: str, waiting: Waiting, *, is_new: bool, has_stack: bool) -> ChangeSet | None:
    """None where CloudFormation has not decided in time. has_stack: there may be one of that name, of a command that was killed."""
    place = {"StackName": wanted.name, "ChangeSetName": called}
    if has_stack and _is_begun(door, place):  # one that is being made cannot be deleted
        waiting.until(lambda: _decided(door, place), DECIDED_S)
        door.call("cloudformation", "delete_change_set", **place)
    door.call(
        "cloudformation",
        "create_change_set",
        **place,
        ChangeSetType="CREATE" if is_new else "UPDATE",
        TemplateBody=json.dumps(wanted.template),
        Parameters=[{"ParameterKey": key, "ParameterValue": text} for key, text in wanted.parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
        Tags=cfn_tags({**wanted.tags, SPEC: wanted.spec}),
    )
    made = waiting.until(lambda: _decided(door, place), DECIDED_S)
    if made is None:
        return None
    said = door.all("cloudformation", "describe_change_set", "Changes", **place)
    found = tuple(_change(one["ResourceChange"]) for one in said if one.get("ResourceChange"))
    return ChangeSet(made["Status"] != "FAILED", found, str(made.get("StatusReason", "")))


def drop(door: Door, name: str, called: str) -> None:
    door.call("cloudformation", "delete_change_set", StackName=name, ChangeSetName=called)


def _is_begun(door: Door, place: Mapping[str, str]) -> bool:
    told = door.all("cloudformation", "list_change_sets", "Summaries", StackName=place["StackName"])
    return any(one["ChangeSetName"] == place["ChangeSetName"] for one in told)


def _decided(door: Door, place: Mapping[str, str]) -> dict[str, Any] | None:
    found = door.call("cloudformation", "describe_change_set", **place)
    return found if found["Status"] in ("CREATE_COMPLETE", "FAILED") else None


def _change(told: Mapping[str, Any]) -> Change:
    return Change(told["Action"], told["LogicalResourceId"], told["ResourceType"], str(told.get("Replacement", "")))
