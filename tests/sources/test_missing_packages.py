"""Whoever names a source whose package is not installed reads what to install."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.runner import LocalRunner
from mlship.sources.base import Opening
from mlship.sources.table import open_source


@pytest.mark.parametrize(
    ("address", "package", "extra"),
    [
        ("s3://models/churn.joblib", "boto3", "aws"),
        ("az://models/churn.joblib", "azure", "azure"),
        ("gs://models/churn.joblib", "google", "gcp"),
        ("models:/churn/3", "mlflow", "mlflow"),
        ("runs:/abc/model", "mlflow", "mlflow"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(address: str, package: str, extra: str) -> None:
    if find_spec(package):
        pytest.skip(f"{package} is installed here")
    opening = Opening(address, Path(), {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, LocalRunner(), "mlship.yaml:2")
    with pytest.raises(MlshipError, match=f"the package {package}[a-z.]* is not installed") as raised:
        open_source(opening).snapshot()
    assert raised.value.fix == f'pip install "mlship[{extra}]"'
