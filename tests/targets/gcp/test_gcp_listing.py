"""mlship list: one project whose records cannot be read hides no other."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from mlship.home import Home
from mlship.releases.history import History
from mlship.runner import LocalRunner
from mlship.targets.base import Observed, Opening, Target
from mlship.targets.gcp.door import Door, Kept
from mlship.targets.gcp.listing import rows
from mlship.targets.gcp.target import open_with

OPENING = Opening("", "", Home(Path("/nonexistent")), LocalRunner(), lambda: 0.0, "test", {}, {"bucket": "b"})


class Bucket:
    """A door to a bucket in which every history is damaged."""

    project, region = "acme-ml", "europe-west1"

    def list_objects(self, bucket: str, prefix: str) -> list[str]:
        return ["mlship/churn/prod/history.json", "mlship/churn/prod/lease.json", "mlship/fraud/-/history.json"]

    def read_object(self, bucket: str, name: str) -> Kept:
        return Kept(b"{", 1)


class Serving:
    def observe(self) -> Observed:
        return Observed(History("churn", "prod", "gcp", live="r1-abcdef"), "https://churn.example", serving="r1-abcdef")


def opener(opening: Opening, door: Door) -> Target:
    return cast("Target", Serving()) if opening.project == "churn" else open_with(opening, door)


def test_a_damaged_history_is_named_beside_the_others() -> None:
    churn, fraud = rows(OPENING, cast(Door, Bucket()), opener)
    assert (churn.live, churn.ready, churn.wrong) == ("r1-abcdef", True, "")
    assert (fraud.project, fraud.environment, fraud.live, fraud.ready) == ("fraud", "", "", False)
    assert fraud.wrong.startswith("the records cannot be read (")
    assert "restore them from a backup" in fraud.fix
