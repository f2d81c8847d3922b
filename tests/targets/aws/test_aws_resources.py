"""What AWS bills for a deployment: settings in, resources out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cloud_deployment import deployment, lines

from mlship.errors import MlshipError
from mlship.targets.aws.resources import resources
from mlship.targets.aws.sagemaker.types import TYPES, premium
from mlship.targets.aws.sizes import FARGATE, fargate, function
from mlship.targets.sizes import Size

FARGATE_X86 = [
    "compute 1 vCPU-hour scaled aws us-east-1 fargate vcpu_x86",
    "compute 1 vCPU-hour spot aws us-east-1 fargate spot_vcpu_x86",
    "compute 2 GB-hour scaled aws us-east-1 fargate memory_x86",
    "compute 2 GB-hour spot aws us-east-1 fargate spot_memory_x86",
]
FARGATE_ARM = [line.replace("x86", "arm64") for line in FARGATE_X86]
BALANCER = "load balancer 1 hour always aws us-east-1 load_balancer alb_hour"
ADDRESS = "public IPv4 1 hour scaled aws us-east-1 public_ipv4 in_use"
LOGS = "logs 1 GB logs aws us-east-1 cloudwatch_logs ingestion"
EGRESS = "egress 1 GB egress aws us-east-1 egress_internet out"
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a service on Fargate behind a balancer": (
        {"service": "ecs", "arch": "arm64"},
        [*FARGATE_ARM, BALANCER, ADDRESS, LOGS, EGRESS],
    ),
    "subnets of your own need a way out": (
        {"service": "ecs", "subnets": ("subnet-1", "subnet-2")},
        [*FARGATE_X86, BALANCER, "NAT 1 hour always aws us-east-1 nat_gateway hour", LOGS, EGRESS],
    ),
    "a listener of a balancer that is there already": (
        {"service": "ecs", "listener": "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/ml/1/2"},
        [*FARGATE_X86, ADDRESS, LOGS, EGRESS],
    ),
    "no balancer, and a name in its place": (
        {"service": "ecs", "balancer": False},
        [*FARGATE_X86, "DNS 1 zone-month always aws us-east-1 route53 hosted_zone", ADDRESS, LOGS, EGRESS],
    ),
    "no balancer, and a name in a namespace that is there already": (
        {"service": "ecs", "balancer": False, "namespace": "ns-0123"},
        [*FARGATE_X86, ADDRESS, LOGS, EGRESS],
    ),
    "storage and the image, where they are known": (
        {"service": "ecs", "ephemeral_gb": 50, "image_gb": 0.5},
        [
            *FARGATE_X86,
            "storage 30 GB-hour scaled aws us-east-1 fargate ephemeral_storage_above_20gb",
            *(BALANCER, ADDRESS, "registry 0.5 GB-month always aws us-east-1 ecr storage", LOGS, EGRESS),
        ],
    ),
    "the price of an endpoint that is written down": (
        {"service": "sagemaker", "instance": "ml.m5.xlarge"},
        ["instance 1 hour scaled aws us-east-1 sagemaker_realtime ml.m5.xlarge", LOGS, EGRESS],
    ),
    "the price of an endpoint by the machine's": (
        {"service": "sagemaker", "instance": "m6i.2xlarge"},
        ["instance 1 hour scaled aws us-east-1 sagemaker_realtime ml.m6i.2xlarge m6i.2xlarge x1.2", LOGS, EGRESS],
    ),
    "a function": (
        {"service": "lambda"},
        [
            "compute 2 GB-second busy aws us-east-1 lambda duration_x86",
            "requests 1 request request aws us-east-1 lambda requests",
            *(LOGS, EGRESS),
        ],
    ),
    "a plain machine": (
        {"service": "vm", "instance": "m7g.large"},
        ["instance 1 hour scaled aws us-east-1 m7g.large", "instance 1 hour spot aws us-east-1 m7g.large", EGRESS],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_billed(case: str) -> None:
    said, expected = CASES[case]
    assert lines(resources(deployment("aws", **said))) == expected


def test_a_function_for_arm64_has_a_price_of_its_own() -> None:
    assert "lambda duration_arm64" in lines(resources(deployment("aws", "lambda", arch="arm64")))[0]


@pytest.mark.parametrize(
    ("cpu", "gib", "expected"),
    [
        (1, 2, Size(1, 2)),
        (0.1, 0.0625, Size(0.25, 0.5)),
        (0.25, 2.5, Size(0.5, 3)),
        (1, 0.5, Size(1, 2)),
        (1.5, 3, Size(2, 4)),
        (1, 8.1, Size(2, 9)),
        (4, 30.5, Size(8, 32)),
        (8, 17, Size(8, 20)),
        (16, 32, Size(16, 32)),
        (9, 120, Size(16, 120)),
        (17, 2, Size(16, 120)),
    ],
)
def test_a_task_has_the_smallest_size_that_holds_what_is_asked_for(cpu: float, gib: float, expected: Size) -> None:
    assert fargate(Size(cpu, gib)) == expected


def test_sizes_of_tasks_rise_in_price() -> None:
    prices = [size.vcpus * 0.04048 + size.memory_gib * 0.004445 for size in FARGATE]
    by_vcpus = {size.vcpus: [p for p, s in zip(prices, FARGATE, strict=True) if s.vcpus == size.vcpus] for size in FARGATE}
    assert list(by_vcpus) == [0.25, 0.5, 1, 2, 4, 8, 16]
    assert all(found == sorted(found) for found in by_vcpus.values())
    assert len(FARGATE) == 3 + 4 + 7 + 13 + 23 + 12 + 12


def test_what_is_rounded_is_said() -> None:
    first, *_ = resources(deployment("aws", "ecs", cpu=1.5, gib=3))
    assert first.settings == {
        "vcpus": 2,
        "memory_gib": 4,
        "assumed": "Fargate has no 1.5 vCPU 3 GiB: 2 vCPU 4 GiB is the next size",
    }
    first, *_ = resources(deployment("aws", "ecs", cpu=32, gib=3))
    assert first.settings["assumed"] == "Fargate has no 32 vCPU 3 GiB: 16 vCPU 120 GiB is the largest size"
    first, *_ = resources(deployment("aws", "ecs"))
    assert "assumed" not in first.settings


@pytest.mark.parametrize(("gib", "megabytes"), [(0.0625, 128), (2, 2048), (1.8626451, 1908), (10, 10_240), (11, 10_240)])
def test_a_function_is_sized_by_its_memory(gib: float, megabytes: int) -> None:
    size = function(gib)
    assert size == Size(megabytes / 1769, megabytes / 1024)


def test_a_function_is_billed_by_the_millisecond() -> None:
    first, *_ = resources(deployment("aws", "lambda", cpu=4))
    assert first.settings == {"vcpus": 2048 / 1769, "memory_gib": 2, "round_s": 0.001}


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("m6i.large", 1.2),
        ("c7g.4xlarge", 1.2),
        ("g5.xlarge", 1.4),
        ("g6e.12xlarge", 1.25),
        ("p5.48xlarge", None),
        ("inf2.xlarge", None),
        ("trn1.2xlarge", None),
    ],
)
def test_the_premium_of_an_endpoint_is_that_of_its_class(name: str, times: float | None) -> None:
    more = premium(name)
    assert (more.times if more else None) == times


def test_an_assumed_price_of_an_endpoint_is_said() -> None:
    found = resources(deployment("aws", "sagemaker", region="eu-west-1", instance="ml.m5.xlarge"))[0]
    assert lines([found]) == ["instance 1 hour scaled aws eu-west-1 sagemaker_realtime ml.m5.xlarge m5.xlarge x1.2"]
    assert found.settings["assumed"] == (
        "SageMaker's ml.m5.xlarge costs 1.2 times the plain m5.xlarge, as ml.c5.xlarge and ml.m5.xlarge do"
    )


def test_an_endpoint_whose_premium_nobody_tells_has_no_price() -> None:
    found = resources(deployment("aws", "sagemaker", region="eu-west-1", instance="p4d.24xlarge"))[0]
    assert lines([found]) == ["instance 1 hour scaled aws eu-west-1 sagemaker_realtime ml.p4d.24xlarge"]
    assert not found.settings


def test_sagemaker_hosts_on_what_its_api_names() -> None:
    assert {"m5.large", "c7g.16xlarge", "g6.48xlarge", "r8g.medium", "p5.4xlarge"} <= TYPES
    assert not {"m7g.large", "m6a.large", "t3.medium", "c5.24xlarge"} & TYPES


def test_an_unknown_service_is_refused() -> None:
    with pytest.raises(MlshipError, match="aws has no service eks; use one of: ecs, sagemaker, lambda, vm"):
        resources(deployment("aws", "eks"))


def test_a_balancer_on_the_internet_has_an_address_in_each_zone() -> None:
    made = replace(deployment("aws", "ecs"), operating={"public": True})
    assert lines(resources(made))[4:6] == [BALANCER, "public IPv4 2 hour always aws us-east-1 public_ipv4 in_use"]
