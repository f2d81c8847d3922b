"""What a service does not have is refused at its place before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.config.load import load_project
from mlship.flows.used_keys import impossible

SERVICES = (
    *("local", "docker", "aws ecs", "aws sagemaker", "aws lambda", "gcp cloud-run", "gcp vertex"),
    *("azure container-apps", "kubernetes deployment", "kubernetes kserve"),
)


def refusals(where: str) -> list[str]:
    target, _, service = where.partition(" ")
    said = f"targets: {{{target}: {{service: {service}}}}}\n" if service else ""
    text = f"name: churn\nmodel: model.joblib\ntarget: {target}\nrollout: {{mirror: 10%, bake: 5m}}\n{said}"
    return [str(one) for one in impossible(load_project(Path("mlship.yaml"), text=text)) if "rollout.mirror" in one.what]


@pytest.mark.parametrize("where", SERVICES)
def test_a_mirror_is_refused_where_there_is_none_with_what_to_do_instead(where: str) -> None:
    (said,) = refusals(where)
    assert said.startswith("mlship.yaml:4:11 rollout.mirror  rollout.mirror is not possible with the service ")
    assert "a canary" in said and said.endswith(", or leave it out")


def test_azure_ml_has_it() -> None:
    assert refusals("azure azureml") == []
