"""build --sbom: what cannot take the papers is refused before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.flows.build import build
from mlship.flows.building.wishes import Wishes
from mlship.flows.context import Context, Where
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import LocalRunner


def test_a_file_where_the_papers_shall_go_is_refused_before_the_build(tmp_path: Path) -> None:
    context = Context(Home(tmp_path / "home"), LocalRunner(), Silent(), {}, tmp_path, lambda: 0.0, "anna@test pid 1")
    (tmp_path / "mlship.yaml").write_text("name: churn\nmodel: a.joblib\n")
    (tmp_path / "sbom").write_text("a file")
    with pytest.raises(MlshipError, match="sbom is not a folder") as refused:
        build(context, Where(), Wishes(sbom=tmp_path / "sbom"))
    assert refused.value.code == "usage"
    assert not (tmp_path / "home").exists()
