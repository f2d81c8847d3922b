"""What a deploy would change of the foundation's stack, said in the plan: its own template now beside the one that is wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mlship.errors import Finding
from mlship.targets.aws import stack
from mlship.targets.aws.documents import Template
from mlship.targets.aws.door import Door, Refused

_HELD = {"AWS::ECR::Repository": "targets.aws.repository", "AWS::IAM::Role": "targets.aws.roles"}
_OPTIONAL = {"Address", "Bucket", "Host", "OperatorKey", "SecurityGroups"}  # outputs of some foundations of a service


def findings(door: Door, name: str, wanted: Template) -> Iterator[Finding]:
    """A note where there is something to say, an error for what releases need. No change set is made for it: one that nobody carries
    out would stay behind.
    """
    present = stack.read(door, name)
    if present is None or not present.outputs:
        resources = ", ".join(sorted({one["Type"].removeprefix("AWS::") for one in wanted["Resources"].values()}))
        yield _note(f"the stack {name} is made: {resources}")
        return
    if present.spec == stack.OF_ADMINISTRATOR:  # it is used as it is
        return
    try:
        said = door.call("cloudformation", "get_template", StackName=name)["TemplateBody"]
    except Refused as no:
        yield _note(f"what the stack {name} changes could not be asked ({no.said})")
        return
    before = _resources(said)
    if is_of_same_service(present, wanted):
        yield from _taken_away(name, before, wanted["Resources"])
    changes = differences(before, wanted["Resources"])
    if changes:
        yield _note(f"the stack {name} changes: {', '.join(changes)}")


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
