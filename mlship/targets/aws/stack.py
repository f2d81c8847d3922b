"""The foundation's stack: made and changed by change sets, never by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlship.targets.aws import change_sets
from mlship.targets.aws.change_sets import DECIDED_S, SPEC, Wanted
from mlship.targets.aws.door import Door, Refused
from mlship.targets.base import Outcome
from mlship.targets.waiting import POLL_S as POLL_S
from mlship.targets.waiting import Waiting as Waiting

OF_ADMINISTRATOR = ""  # who made it without that tag changes it, too
STACK_S = 1200.0
_READY = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
_EMPTY = ("REVIEW_IN_PROGRESS",)  # a change set was made for it and never carried out
_DEAD = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")  # never finished: it can only be deleted


@dataclass(frozen=True)
class Stack:
    """outputs: of the foundation. spec: empty where somebody else made it."""

    status: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    spec: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        return self.status in _READY

    @property
    def is_changing(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status not in _EMPTY


def read(door: Door, name: str) -> Stack | None:
    try:
        (found,) = door.call("cloudformation", "describe_stacks", StackName=name)["Stacks"]
    except Refused as no:
        if no.said == "ValidationError":  # the only answer to a well-formed name of no stack
            return None
        raise
    if found["StackStatus"] == "DELETE_COMPLETE":
        return None
    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags") or []}
    outputs = {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs") or []}
    parameters = {one["ParameterKey"]: one.get("ParameterValue", "") for one in found.get("Parameters") or []}
    return Stack(found["StackStatus"], outputs, tags.get(SPEC, ""), parameters)


def converge(door: Door, wanted: Wanted, waiting: Waiting) -> Outcome:
    """The stack as the template says. Nothing is asked of CloudFormation where it was made from the same.

    A change set that would replace or remove what callers use is not carried out.
    """
    name = wanted.name
    present = read(door, name)
    if present is not None and present.is_changing:  # by a command that was killed, or by an administrator
        _ended(door, name, waiting)
        present = read(door, name)
    if present is not None and present.is_ready and present.spec in (wanted.spec, OF_ADMINISTRATOR):
        return Outcome()
    if present is not None and present.status in _DEAD:
        gone = delete(door, name, waiting)
        if not gone.ok:
            return gone
        present = None
    is_new = present is None or present.status in _EMPTY
    called = f"mlship-{wanted.spec}"
    made = change_sets.make(door, wanted, called, waiting, is_new=is_new, has_stack=present is not None)
    if made is None:
        return Outcome(False, f"the change set of {name} is not ready after {DECIDED_S:.0f} s", fault="target")
    if not made.is_good:
        change_sets.drop(door, name, called)
        if not is_new and not made.changes and _says(door, name) == wanted.template:
            return Outcome()
        return Outcome(False, f"the change set of {name} failed", (made.reason,), fault="target")
    if made.taken_away:
        change_sets.drop(door, name, called)
        what = f"the change set of {name} would take away what callers and releases use: {', '.join(made.taken_away)}"
        return Outcome(False, what, ("say it as it was, or deploy it as another environment",), fault="target")
    door.call("cloudformation", "execute_change_set", StackName=name, ChangeSetName=called)
    return _ended(door, name, waiting)


def delete(door: Door, name: str, waiting: Waiting) -> Outcome:
    """What an administrator has applied stays, as the next release may stand on it."""
    present = read(door, name)
    if present is None:
        return Outcome()
    if present.is_ready and present.spec == OF_ADMINISTRATOR:
        return Outcome(notes=(f"not the stack {name}, which was applied without mlship: whoever did that may delete it",))
    door.call("cloudformation", "delete_stack", StackName=name)

    def gone() -> Outcome | None:
        found = read(door, name)
        if found is None:
            return Outcome(notes=(f"stack {name}",))
        return _failed(door, name, found) if found.status == "DELETE_FAILED" else None

    late = Outcome(False, f"the stack {name} is still being deleted after {STACK_S:.0f} s", fault="target")
    return waiting.until(gone, STACK_S) or late


def _says(door: Door, name: str) -> Any:
    """The stack's template as it is: where that is not the wanted one, a change set without changes failed for another reason."""
    said = door.call("cloudformation", "get_template", StackName=name)["TemplateBody"]
    return json.loads(said) if isinstance(said, str) else said


def _ended(door: Door, name: str, waiting: Waiting) -> Outcome:
    def look() -> Outcome | None:
        found = read(door, name)
        if found is None or found.status.endswith("_IN_PROGRESS"):
            return None
        good = found.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        return Outcome() if good else _failed(door, name, found)

    late = Outcome(
        False, f"the stack {name} is not ready after {STACK_S:.0f} s; the same command goes on with it", fault="target"
    )
    return waiting.until(look, STACK_S) or late


def _failed(door: Door, name: str, found: Stack) -> Outcome:
    """With what CloudFormation says of each resource that failed."""
    events = door.all("cloudformation", "describe_stack_events", "StackEvents", StackName=name)
    reasons = [
        f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for event in events
        if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason")
    ]
    return Outcome(False, f"the stack {name} is {found.status}", tuple(reasons[:5]), fault="target")
