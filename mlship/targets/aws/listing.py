"""Every project of an account in one region: what `mlship list` asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.records import MISSING, LostRecords, own_bucket
from mlship.targets.aws.scope import PROJECT, Scope
from mlship.targets.base import Opening, ServiceRow, Target

_OF_EACH = {"LogGroup", "Repository"}  # outputs of a foundation, whatever its service


def rows(opening: Opening, door: Door, opener: Callable[[Opening, Door], Target]) -> Iterator[ServiceRow]:
    """One a project and environment, by its records in mlship's own bucket and by its stack: a bucket that is given is known to
    the stack alone.
    """
    stacked = set(_stacked(door))
    for project, environment in sorted({*_recorded(door), *stacked}):
        opening.progress.step("list", " ".join(filter(None, (project, environment))))
        row = _row(replace(opening, project=project, environment=environment), door, opener)
        if row is not None or (project, environment) in stacked:
            yield row or ServiceRow(project, environment, "aws", "", "", ready=False)


def _row(opening: Opening, door: Door, opener: Callable[[Opening, Door], Target]) -> ServiceRow | None:
    """One whose history is gone must not hide the others: it has nothing live, which `status` explains. None where nothing is recorded:
    destroyed, or not committed yet.
    """
    try:
        observed = opener(opening, door).observe()
    except LostRecords:
        return ServiceRow(opening.project, opening.environment, "aws", "", "", ready=False)
    if observed.history is None:
        return None
    live = observed.history.live
    is_ready = bool(live) and observed.serving == live
    return ServiceRow(opening.project, opening.environment, "aws", live, observed.endpoint, is_ready)


def _recorded(door: Door) -> Iterator[tuple[str, str]]:
    try:
        found = door.all("s3", "list_objects_v2", "Contents", Bucket=own_bucket(door), Prefix=Scope.RECORDS)
    except Refused as no:
        if no.said in MISSING:
            return
        raise
    for one in found:
        project, _, rest = str(one["Key"]).removeprefix(Scope.RECORDS).partition("/")
        environment, _, name = rest.partition("/")
        if name == "history.json":
            yield project, "" if environment == "-" else environment


def _stacked(door: Door) -> Iterator[tuple[str, str]]:
    for one in door.all("cloudformation", "describe_stacks", "Stacks"):
        if one["StackName"].startswith(Scope.STEM) and one["StackStatus"] != "DELETE_COMPLETE" and _is_foundation(one):
            project, _, environment = one["StackName"].removeprefix(Scope.STEM).partition("--")
            yield project, environment


def _is_foundation(told: Mapping[str, Any]) -> bool:
    """By its outputs, which one of an administrator has, too, or by its tags while it has none: anybody may call a stack mlship-..."""
    outputs = {one["OutputKey"] for one in told.get("Outputs") or ()}
    tags = {one["Key"] for one in told.get("Tags") or ()}
    return outputs >= _OF_EACH or (not outputs and PROJECT in tags)
