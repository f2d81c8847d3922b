"""Where a registry says that a model is, is only followed where that is no way into this machine or to another host."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.runner import LocalRunner
from mlship.sources.base import Opening
from mlship.sources.mlflow import Local, Proxied, place_of

OPENING = Opening("models:/churn@champion", Path(), {}, LocalRunner(), "mlship.yaml:2")
SERVER, DATABASE = "https://mlflow.example", "sqlite:////srv/mlflow.db"


@pytest.mark.parametrize(
    ("tracking", "uri"),
    [
        (SERVER, "file:///etc"),
        (SERVER, "/etc/passwd"),
        (SERVER, "mlflow-artifacts://other.example/1/models"),
        (SERVER, "http://169.254.169.254/latest"),
        (SERVER, "s3://../x"),
        (SERVER, "dbfs:/databricks/mlflow-registry/x"),
        ("databricks", "file:///etc"),
        ("HTTPS://mlflow.example", "file:///etc"),
        ("postgresql://db.example/mlflow", "file:///etc"),
        (SERVER, "abfss://data@acct.dfs.evil.example/model"),
        (DATABASE, "ftp://host/x"),
    ],
)
def test_an_address_that_a_registry_must_not_lead_to_is_refused(tracking: str, uri: str) -> None:
    with pytest.raises(MlshipError, match=r"the registry says that models:/churn@champion is at .*, which is not followed"):
        place_of(OPENING, tracking, tracking, uri)


def test_files_of_this_machine_are_read_where_the_registry_is_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/MLmodel").write_text("flavors: {}")
    (tmp_path / "model/outside").symlink_to("/etc/passwd")
    place = place_of(OPENING, DATABASE, DATABASE, f"file://{tmp_path}/model")
    assert isinstance(place, Local)
    found = place.snapshot()
    assert [item.name for item in found.items] == ["MLmodel"]
    with place.read(found.items[0], 2) as body:
        assert b"".join(body.pieces) == b"avors: {}"


def test_artifacts_that_the_server_hands_out_come_from_the_server() -> None:
    assert isinstance(place_of(OPENING, SERVER, SERVER, "mlflow-artifacts:/1/models/m-1/artifacts"), Proxied)
    assert isinstance(place_of(OPENING, SERVER, SERVER, "mlflow-artifacts://mlflow.example/1/m"), Proxied)
