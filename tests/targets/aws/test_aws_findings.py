"""What AWS cannot give, with the place and the way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cloud_deployment import deployment

from mlship.errors import MlshipError
from mlship.targets.aws.resources import findings

A_MACHINE = "service sagemaker or vm with an instance such as g6.xlarge"
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an ordinary service": ({"service": "ecs"}, []),
    "no region": (
        {"service": "ecs", "region": None},
        [
            "targets.aws.region is missing, and aws service ecs needs it; write targets.aws.region: us-east-1, or say --region us-east-1"
        ],
    ),
    "no instance": (
        {"service": "vm"},
        [
            "targets.aws.instance is missing, and aws service vm needs it; write targets.aws.instance: m7g.large,"
            " or mlship cost-estimate --instance m7g.large"
        ],
    ),
    "a task that is too large": (
        {"service": "ecs", "cpu": 32, "gib": 256, "places": ["resources.cpu"]},
        [
            "mlship.yaml:7:3 resources.cpu  resources.cpu 32 is more than Fargate has: a replica gets at most 16;"
            " write at most 16, or use service vm",
            "resources.memory 256GiB is more than Fargate has: a replica gets at most 120GiB;"
            " write at most 120GiB, or use service vm",
        ],
    ),
    "too many tasks": (
        {"service": "ecs", "replicas": (1, 6000), "places": ["scale.replicas"]},
        [
            "mlship.yaml:7:3 scale.replicas  scale.replicas goes up to 6,000, and an ECS service has at most 5,000"
            " (quota of AWS); write at most 5000"
        ],
    ),
    "a GPU for a task": (
        {"service": "ecs", "gpu": 1, "places": ["resources.gpu"]},
        [
            "mlship.yaml:7:3 resources.gpu  a GPU is not possible with aws service ecs: Fargate has no GPUs;"
            f" use {A_MACHINE}, or no resources.gpu"
        ],
    ),
    "a GPU for a function": (
        {"service": "lambda", "gpu": 1},
        [f"a GPU is not possible with aws service lambda: Lambda has no GPUs; use {A_MACHINE}, or no resources.gpu"],
    ),
    "no replica at all": (
        {"service": "ecs", "replicas": (0, 4)},
        [
            "scaling to zero is not possible with aws service ecs: nothing starts a task when a request comes;"
            " use service lambda, or scale.replicas: 1..4"
        ],
    ),
    "a function that sleeps": ({"service": "lambda", "replicas": (0, 4)}, []),
    "spot for an endpoint": (
        {"service": "sagemaker", "instance": "ml.m5.large", "profile": "spot", "places": ["cost.profile"]},
        [
            "mlship.yaml:7:3 cost.profile  spot is not possible with aws service sagemaker: its API has no spot;"
            " use service ecs, or cost.profile: on-demand"
        ],
    ),
    "spot for a service": ({"service": "ecs", "profile": "spot"}, []),
    "an endpoint on what SageMaker does not have": (
        {"service": "sagemaker", "instance": "ml.p5.2xlarge"},
        ["SageMaker hosts on no p5.2xlarge; use one of: p5.48xlarge, p5.4xlarge"],
    ),
    "an endpoint with a GPU on a machine without": (
        {"service": "sagemaker", "instance": "m5.large", "gpu": 1},
        ["m5.large has no GPU; use an instance that has one, such as g6.xlarge"],
    ),
    "an endpoint with a GPU": ({"service": "sagemaker", "instance": "ml.g5.2xlarge", "gpu": 1}, []),
    "a function that is too large": (
        {"service": "lambda", "gib": 12},
        [
            "resources.memory 12GiB is more than Lambda has: a function gets at most 10,240 MB;"
            " write at most 10GiB, or use service ecs"
        ],
    ),
    "a function with more processors than its memory gives": (
        {"service": "lambda", "cpu": 2, "places": ["resources.cpu"]},
        ["mlship.yaml:7:3 resources.cpu  resources.cpu 2: a function with 2GiB has 1.16 vCPU; write resources.memory: 3538MiB"],
    ),
    "a function with more processors than any has": (
        {"service": "lambda", "cpu": 8, "places": ["resources.cpu"]},
        ["mlship.yaml:7:3 resources.cpu  resources.cpu 8: a function with 2GiB has 1.16 vCPU; use service ecs"],
    ),
    "processors that nobody asked for": ({"service": "lambda", "cpu": 1, "gib": 0.5}, []),
    "a plain machine by its name at SageMaker": (
        {"service": "vm", "instance": "ml.m5.large"},
        ["ml.m5.large is a type of SageMaker, and not of a plain machine; write m5.large, or service: sagemaker"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_refused(case: str) -> None:
    said, expected = CASES[case]
    assert [str(found) for found in findings(deployment("aws", **said))] == expected


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("p5.2xlarge", "p5.48xlarge, p5.4xlarge"),
        ("m7g.large", "m5.large, m5d.large, m6g.large, m6gd.large, m6i.large, m7i.large, m8g.large"),
        ("x2gd.large", "m6i.large, c6i.large, g6.xlarge"),
        ("nonsense", "m6i.large, c6i.large, g6.xlarge"),
    ],
)
def test_a_type_that_sagemaker_does_not_have_is_refused_with_those_that_are_like_it(name: str, instead: str) -> None:
    (found,) = findings(deployment("aws", "sagemaker", instance=name))
    assert str(found) == f"SageMaker hosts on no {name}; use one of: {instead}"


def test_a_function_with_fewer_processors_serves_all_the_same() -> None:
    (found,) = findings(deployment("aws", "lambda", cpu=2, places=["resources.cpu"]))
    assert found.severity == "warning"


def test_a_quota_that_can_be_raised_is_a_warning() -> None:
    (found,) = findings(deployment("aws", "ecs", replicas=(1, 6000)))
    assert (found.severity, found.code) == ("warning", "too-many-replicas")


def test_findings_have_stable_codes() -> None:
    wrong = deployment("aws", "lambda", gib=12, gpu=1, region=None)
    assert [found.code for found in findings(wrong)] == ["no-region", "absent-feature", "impossible-size"]


def test_an_unknown_service_is_refused() -> None:
    with pytest.raises(MlshipError, match="aws has no service eks"):
        findings(deployment("aws", "eks"))


def test_more_labels_than_aws_has_tags_are_refused() -> None:
    labelled = replace(deployment("aws", "ecs"), labels={f"label-{number}": "x" for number in range(41)})
    (found,) = findings(labelled)
    assert found.what == "41 labels are more than AWS takes beside mlship's own: a thing there has 50 tags at most"
    assert findings(replace(labelled, labels={})) == ()
