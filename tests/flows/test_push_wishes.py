"""build --push: what cannot be pushed is refused before anything is built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.flows.build import build
from mlship.flows.building.wishes import Wishes
from mlship.flows.context import Context, Where
from mlship.flows.loading import project_of
from mlship.flows.push import pushing
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import LocalRunner


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "mlship.yaml").write_text("name: churn\nmodel: a.joblib\n")
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    return Context(Home(tmp_path / "home"), LocalRunner(), Silent(), environ, tmp_path, lambda: 0.0, "anna@test pid 1")


@pytest.mark.parametrize(
    ("push", "push_as", "said"),
    [
        (["https://r.io/churn"], "", "an image reference has no scheme"),
        (["r.io/Churn:1"], "", "upper-case letters"),
        (["r.io/churn:1", "r.io/churn:a b"], "", "it has ' ' in it"),
        (["eve:w0rd@r.io/churn"], "", "'***@r.io/churn' is not an image reference"),
        (["r.io/churn@sha256:" + "a" * 64], "", "a digest is what a push gives; write r.io/churn:TAG, or no tag"),
        (["churn:1.4"], "", "docker.io is a name and no address"),
        (["r.io/churn:1"], "tar", "'tar' is not a word of it"),
        ([], "oci", "--push-as says in which form to push, and there is nowhere to; add --push REFERENCE"),
    ],
)
def test_what_is_no_reference_or_form_is_refused(context: Context, push: list[str], push_as: str, said: str) -> None:
    with pytest.raises(MlshipError) as refused:
        build(context, Where(), Wishes(push=tuple(push), push_as=push_as))
    assert said in str(refused.value)
    assert not context.home.images.exists()


def test_what_is_not_said_is_as_the_projects_target_takes_it(context: Context) -> None:
    (context.cwd / "mlship.yaml").write_text("name: churn\nmodel: a.joblib\ntarget: docker\n")
    project = project_of(context, Where())
    said = {text: str(pushing(context, project, ["r.io/churn"], text).variant) for text in ("", "docker-v2s2", "zstd")}
    assert said == {"": "oci,gzip,raw", "docker-v2s2": "docker-v2s2,gzip,raw", "zstd": "oci,zstd"}
    (context.cwd / "mlship.yaml").write_text("name: churn\nmodel: a.joblib\ntarget: local\n")
    assert str(pushing(context, project_of(context, Where()), ["r.io/churn"], "").variant) == "oci"


def test_credentials_that_are_none_are_refused_and_not_shown(context: Context) -> None:
    config = {"auths": {"r.io": {"auth": "not-base64-w0rd!"}}}
    (context.cwd / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        MlshipError, match=r"the entry auths\.r\.io\.auth is not base64 of user:password; docker login r\.io"
    ) as refused:
        build(context, Where(), Wishes(push=("r.io/churn:1",)))
    assert "w0rd" not in str(refused.value)
    assert not context.home.images.exists()
