"""What a deploy would change of the foundation's stack, said in the plan: by a change set, else its template beside the wanted one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mlship.errors import Finding
from mlship.targets.aws import change_sets, stack
from mlship.targets.aws.change_sets import Wanted
from mlship.targets.aws.documents import Template
from mlship.targets.aws.door import Door, Refused
from mlship.targets.waiting import Waiting

LOOKED_AT = "mlship-plan"  # the change set that a plan makes and takes away
_HELD = {"AWS::ECR::Repository": "targets.aws.repository", "AWS::IAM::Role": "targets.aws.roles"}
_OPTIONAL = {
    "Address",
    "Bucket",
    "Host",
    "InfrastructureRole",
    "OperatorKey",
    "SecurityGroups",
}  # outputs of some foundations of a service


def findings(door: Door, wanted: Wanted, waiting: Waiting) -> Iterator[Finding]:
    """A note where there is something to say, an error for what releases need. Nothing stays behind: a change set that tells what would
    happen is taken away again, and none is made for a stack that is not there, because it would leave an empty one.
    """
    name, resources = wanted.name, wanted.template["Resources"]
    present = stack.read(door, name)
    if present is None or not present.outputs:
        kinds = ", ".join(sorted({one["Type"].removeprefix("AWS::") for one in resources.values()}))
        yield _note(f"the stack {name} is made by a change set: {kinds}")
        return
    if present.spec in (stack.OF_ADMINISTRATOR, wanted.spec):  # it is used as it is
        return
    try:
        said = door.call("cloudformation", "get_template", StackName=name)["TemplateBody"]
    except Refused as no:
        yield _note(f"what the stack {name} changes could not be asked ({no.said})")
        return
    before = _resources(said)
    if is_of_same_service(present, wanted.template):
        yield from _taken_away(name, before, resources)
    compared = differences(before, resources)
    if compared or present.parameters != wanted.parameters:
        yield from _told(door, wanted, waiting, compared)


def _told(door: Door, wanted: Wanted, waiting: Waiting, compared: list[str]) -> Iterator[Finding]:
    """By CloudFormation itself, where these credentials may ask it."""
    name = wanted.name
    try:
        made = change_sets.make(door, wanted, LOOKED_AT, waiting, is_new=False, has_stack=True)
        change_sets.drop(door, name, LOOKED_AT)
    except Refused as no:
        if compared:
            said = f"its template compared with the one that is there, as no change set may be made ({no.said})"
            yield _note(f"the stack {name} changes: {', '.join(compared)} ({said})")
        return
    if made is None or not made.is_good:
        if compared:
            why = made.reason if made is not None else "CloudFormation has not decided"
            yield _note(
                f"the stack {name} changes: {', '.join(compared)} (compared with the one that is there; its change set: {why})"
            )
        return
    if made.taken_away:
        what = f"the change set of {name} would take away what callers and releases use: {', '.join(made.taken_away)}"
        yield Finding(what, "", "say it as it was; else deploy it as another environment", code="not-in-place")
    if made.changes:
        yield _note(f"the change set of {name}: {', '.join(sorted((one.in_words for one in made.changes), key=_by_name))}")


def _by_name(said: str) -> str:
    return said[2:]


def is_of_same_service(present: stack.Stack, wanted: Template) -> bool:
    """By the outputs that every foundation of a service has. Another service's is replaced as a whole, after it was destroyed."""
    told, said = set(present.outputs), set(wanted.get("Outputs", ()))
    return told - _OPTIONAL == said - _OPTIONAL


def _taken_away(name: str, present: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Finding]:
    """Copies that start later, and a rollback, need what their release was made with."""
    for logical in sorted(present.keys() - wanted.keys()):
        key = _HELD.get(present[logical]["Type"])
        if key:
            what = f"with {key} the stack {name} loses its {logical}, which the releases that are there need"
            yield Finding(what, "", f"leave {key} as it was; else deploy it as another environment", code="not-in-place")


def differences(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """`+ Alarm`, `~ TargetGroupA`, `- Cluster`, by name. Pure."""
    marks = dict.fromkeys(wanted.keys() - present.keys(), "+")
    marks |= dict.fromkeys(present.keys() - wanted.keys(), "-")
    marks |= {name: "~" for name in wanted.keys() & present.keys() if _plain(wanted[name]) != _plain(present[name])}
    return [f"{marks[name]} {name}" for name in sorted(marks)]


def _resources(said: Any) -> Mapping[str, Any]:
    """The SDK reads JSON by itself, and gives anything else as text."""
    document = json.loads(said) if isinstance(said, str) else said
    resources: Mapping[str, Any] = document.get("Resources", {})
    return resources


def _plain(document: Any) -> str:
    return json.dumps(document, sort_keys=True)


def _note(what: str) -> Finding:
    return Finding(what, severity="note", code="stack")
