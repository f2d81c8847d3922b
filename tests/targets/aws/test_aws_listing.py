"""mlship list: projects by their records, and those whose records are in a bucket of their own by their stacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from aws_door import FakeDoor

from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.releases.history import History
from mlship.runner import LocalRunner
from mlship.targets.aws.door import Door
from mlship.targets.aws.listing import rows
from mlship.targets.base import Observed, Opening, ServiceRow, Target

OPENING = Opening("", "", Home(Path("/nonexistent")), LocalRunner(), lambda: 0.0, "test", {})
OBJECTS = (
    "mlship/churn/prod/history.json",
    "mlship/churn/prod/lease.json",
    "mlship/destroyed/-/history.json",  # of which a tombstone is left
    "mlship/fraud/-/history.json",
)
OUTPUTS = ("LogGroup", "Repository", "Cluster")
STACKS = (
    ("mlship-churn--prod", "CREATE_COMPLETE", OUTPUTS, ""),
    ("mlship-given", "UPDATE_COMPLETE", OUTPUTS, ""),
    ("mlship-gone", "DELETE_COMPLETE", OUTPUTS, ""),
    ("mlship-half", "ROLLBACK_COMPLETE", (), "mlship.project"),
    ("mlship-network", "CREATE_COMPLETE", ("Vpc",), "mlship.project"),
    ("mlship-others", "CREATE_COMPLETE", (), ""),
)


def told(name: str, status: str, outputs: tuple[str, ...], tag: str) -> dict[str, Any]:
    tags = [{"Key": tag, "Value": "x"}] if tag else []
    return {"StackName": name, "StackStatus": status, "Outputs": [{"OutputKey": one} for one in outputs], "Tags": tags}


def opener(opening: Opening, door: Door) -> Target:
    class Seen:
        def observe(self) -> Observed:
            if opening.project in ("destroyed", "half"):
                return Observed(None)
            history = History(opening.project, opening.environment, "aws", live="r1-abcdef")
            serving = "r1-abcdef" if opening.project == "churn" else ""
            return Observed(history, f"http://{opening.project}.example", serving=serving)

    return cast("Target", Seen())


def test_every_project_is_listed_once() -> None:
    answers = {
        "s3 list_objects_v2": {"Contents": [{"Key": key} for key in OBJECTS]},
        "cloudformation describe_stacks": {"Stacks": [told(*one) for one in STACKS]},
    }
    found = tuple(rows(OPENING, FakeDoor(answers), opener))
    assert [(row.project, row.environment, row.ready) for row in found] == [
        ("churn", "prod", True),
        ("fraud", "", False),
        ("given", "", False),
        ("half", "", False),
    ]
    assert found[0] == ServiceRow("churn", "prod", "aws", "r1-abcdef", "http://churn.example", ready=True)


def test_an_account_without_anything_of_mlship_has_no_rows() -> None:
    answers = {"s3 list_objects_v2": "NoSuchBucket", "cloudformation describe_stacks": {"Stacks": []}}
    assert tuple(rows(OPENING, FakeDoor(answers), opener)) == ()


def lost(opening: Opening, door: Door) -> Target:
    """Of fraud no record can be read."""
    if opening.project == "fraud":
        raise MlshipError(
            "the release record cannot be read", "registry/mlship/fraud:r1", "delete this tag", code="damaged-records"
        )
    return opener(opening, door)


ONLY_RECORDED: dict[str, Any] = {
    "s3 list_objects_v2": {"Contents": [{"Key": key} for key in OBJECTS]},
    "cloudformation describe_stacks": {"Stacks": []},
}


def test_a_damaged_record_hides_no_other_project_and_is_named_with_what_to_do() -> None:
    churn, fraud = rows(OPENING, FakeDoor(ONLY_RECORDED), lost)
    assert (churn.project, churn.ready, churn.wrong) == ("churn", True, "")
    assert (fraud.project, fraud.live, fraud.ready) == ("fraud", "", False)
    assert fraud.wrong == "the release record cannot be read (registry/mlship/fraud:r1)"
    assert (fraud.fix, fraud.exit) == ("delete this tag", Exit.USAGE)


def test_a_cloud_that_does_not_answer_ends_the_list() -> None:
    def away(opening: Opening, door: Door) -> Target:
        raise MlshipError("AWS does not answer", exit=Exit.UNREACHABLE)

    with pytest.raises(MlshipError, match="AWS does not answer"):
        list(rows(OPENING, FakeDoor(ONLY_RECORDED), away))
