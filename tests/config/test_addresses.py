"""The addresses of models: each scheme has its source, and what is none says what to write."""

from __future__ import annotations

import re

import pytest

from mlship.config.addresses import SCHEMES, may_move, problem_of
from mlship.sources.table import SOURCES

GOOD = [
    "s3://models/churn/model.joblib",
    "s3://models/a folder/",
    "gs://acme.example.com/churn.joblib",
    "az://models/churn.joblib",
    "abfss://models@acme.dfs.core.windows.net/churn.joblib",
    "wasbs://models@acme.blob.core.windows.net/churn",
    "models:/churn@champion",
    "models:/a b/3",
    "models:/churn/3/model.skops",
    "models:/churn@champion/model.skops",
    "runs:/0af7651916cd43dd8448eb211c80319c/model",
    "dvc://models/churn.joblib",
    "dvc://models/churn.joblib@release/v1.2",
    "hf://acme/churn",
    "hf://acme/churn@v1.0/model.joblib",
    "./s3:/a",
    "models/churn.joblib",
]
BAD = {
    "https://example.com/m": "models from https: are not served; write a path, or an address of s3, gs",
    "file:///etc/passwd": "models from file: are not served",
    "s3a://models/churn": "models from s3a: are not served; write s3://BUCKET/models/churn.joblib",
    "S3://models/churn": "models from S3: are not served; write s3://",
    "s3://models": "s3://models is no address of s3:; write s3://BUCKET/",
    "s3://AKIA:secret@models/x": r"s3://\*\*\*@models/x is no address of s3:",
    "s3://models/../x": "has an empty part, . or .. in it",
    "s3://models/a//x": "has an empty part, . or .. in it",
    "models:/churn": r"models:/churn is no address of models:; write models:/churn@champion, or models:/churn/3",
    "models:/churn/Production": "is no address of models:",
    "dvc://../churn": "has an empty part, . or .. in it",
    "dvc://churn@--output=x": "is no address of dvc:",
    "abfss://data@acct.dfs.evil.example/x": "is no address of abfss:",
    "hf://churn": "is no address of hf:; write hf://ORG/NAME",
    "hf://acme/churn@../../api": "is no address of hf:",
}


def test_every_scheme_has_a_source_and_an_example_that_fits() -> None:
    assert {*SCHEMES} == {*SOURCES} - {"pointer"}
    for scheme in SCHEMES.values():
        for example in scheme.example.split(", or "):
            assert problem_of(example.lower()) is None


@pytest.mark.parametrize("uri", GOOD)
def test_an_address_is_taken(uri: str) -> None:
    assert problem_of(uri) is None


@pytest.mark.parametrize("uri", BAD)
def test_what_is_no_address_says_what_to_write(uri: str) -> None:
    found = problem_of(uri)
    assert found is not None
    assert re.search(BAD[uri], "; ".join(found)) and "secret" not in "; ".join(found)


def test_versions_runs_and_commits_do_not_move() -> None:
    still = ("models:/churn/3", "runs:/abc/model", f"hf://acme/churn@{'a' * 40}", f"dvc://m@{'0' * 40}")
    assert not any(map(may_move, still))
    assert all(map(may_move, ("models:/churn@champion", "s3://models/x", "hf://acme/churn@main", "dvc://m")))
