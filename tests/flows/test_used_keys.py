"""What a service does not have is refused at its place before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_project import built, made_context

from mlship.config.load import load_project
from mlship.errors import FindingsError
from mlship.flows import plan
from mlship.flows.context import Where
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


def aws(service: str, more: str = "") -> str:
    return f"target: aws\ntargets: {{aws: {{region: us-east-1, service: {service}{more}}}}}\n"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (
            f"{aws('ecs')}rollout: {{mirror: 10%, bake: 5m}}\n",
            "mlship.yaml:5:11 rollout.mirror  rollout.mirror is not possible",
        ),
        (
            f"{aws('lambda')}rollout: {{mirror: 10%, bake: 5m}}\n",
            "mlship.yaml:5:11 rollout.mirror  rollout.mirror is not possible",
        ),
        (
            "target: gcp\ntargets: {gcp: {region: europe-west1, project: acme-ml}}\nrollout: {mirror: 10%, bake: 5m}\n",
            "mlship.yaml:5:11 rollout.mirror  rollout.mirror is not possible with the service cloud-run",
        ),
        (f"{aws('ecs')}scale: {{replicas: 1..3, metric: queue}}\n", "mlship.yaml:5:25 scale.metric  scale.metric queue is not"),
        (f"{aws('ecs', ', certificate: arn:aws:acm:us-east-1:1:certificate/a')}", "nothing says by which one callers come"),
        (f"{aws('ecs')}resources: {{cpu: 32}}\n", "resources.cpu 32 is more than Fargate has"),
        (f"{aws('lambda')}rollout: {{strategy: recreate}}\n", "mlship.yaml:5:11 rollout.strategy  rollout.strategy recreate"),
        (f"{aws('sagemaker')}scale: {{replicas: 2}}\n", "targets.aws.instance is missing"),
    ],
)
def test_what_the_file_alone_tells_is_refused_before_anybody_is_asked(tmp_path: Path, said: str, what: str) -> None:
    context = made_context(tmp_path, f"name: churn\nmodel: model.joblib\n{said}")
    with pytest.raises(FindingsError) as refused:
        plan.prepare(context, Where(), image=built(context, 1))
    errors = [str(one) for one in refused.value.findings if one.severity == "error"]
    assert any(what in one for one in errors), errors
