"""Every project of an account in one region: what `mlship list` asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.records import MISSING, own_bucket
from mlship.targets.aws.scope import PROJECT, Scope
from mlship.targets.base import Observed, Opening, ServiceRow, Target
from mlship.targets.listed import row_of

_OF_EACH = {"LogGroup", "Repository"}  # outputs of a foundation, whatever its service


def rows(opening: Opening, door: Door, opener: Callable[[Opening, Door], Target]) -> Iterator[ServiceRow]:
    """One a project and environment, by its records in mlship's own bucket and by its stack: a bucket that is given is known to
    the stack alone.
    """
    stacked, committed = set(_stacked(door)), set[tuple[str, str]]()

    def seen(one: Opening) -> Observed:
        observed = opener(one, door).observe()
        if observed.history is not None:
            committed.add((one.project, one.environment))
        return observed

    for named in sorted({*_recorded(door), *stacked}):
        opening.progress.step("list", " ".join(filter(None, named)))
        row = row_of(replace(opening, project=named[0], environment=named[1]), "aws", seen)
        # what is in neither was destroyed, or is not committed yet
        if named in stacked or named in committed or row.wrong:
            yield row


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
