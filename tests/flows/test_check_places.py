"""Where a model that does not load, or does not answer, is looked for in mlship.yaml."""

from pathlib import Path

import pytest

from mlship.config.load import load_project
from mlship.errors import MlshipError
from mlship.flows.check import failed_at

ONE = "name: churn\nmodel:\n  uri: a.joblib\n  sample: rows.json\n"
TWO = "name: churn\nmodels:\n  loss: {uri: a.joblib}\n  win: {uri: b.joblib, sample: rows.json}\n"


@pytest.mark.parametrize(
    ("text", "name", "code", "place"),
    [
        (ONE, "churn", "sample", "mlship.yaml:4:3 model.sample"),
        (ONE, "churn", "predict", "mlship.yaml:4:3 model.sample"),
        (ONE, "churn", "not-fitted", "mlship.yaml:3:3 model.uri"),
        (TWO, "win", "sample", "mlship.yaml:4:24 models.win.sample"),
        (TWO, "loss", "crash", "mlship.yaml:3:10 models.loss.uri"),
        (ONE, "churn", "disk", "/full"),
    ],
)
def test_the_key_that_the_failure_is_about_is_named(text: str, name: str, code: str, place: str, tmp_path: Path):
    file = tmp_path / "mlship.yaml"
    file.write_text(text)
    assert failed_at(load_project(file), name, MlshipError("x", "/full", "y", code=code)) == place
