"""What Google Cloud bills for a deployment, and what it cannot give."""

from __future__ import annotations

from typing import Any

import pytest
from cloud_deployment import deployment, lines

from mlship.errors import MlshipError
from mlship.targets.gcp.resources import findings, resources
from mlship.targets.gcp.sizes import TIER1, cloud_run, shared_prices
from mlship.targets.sizes import Size

LOGS = "logs 1 GB logs gcp us-central1 cloud_logging ingestion"
EGRESS = "egress 1 GB egress gcp us-central1 egress_internet out_default"
BUSY = [
    "compute 1 vCPU-second busy gcp us-central1 cloud_run vcpu_request_based",
    "compute 2 GiB-second busy gcp us-central1 cloud_run memory_request_based",
]
IDLE = [
    "idle 1 vCPU-second idle gcp us-central1 cloud_run vcpu_request_based_idle",
    "idle 2 GiB-second idle gcp us-central1 cloud_run memory_request_based_idle",
]
REQUESTS = "requests 1e-06 million requests request gcp us-central1 cloud_run requests"
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a service that is billed by the request": (
        {"service": "cloud-run", "replicas": (0, 1)},
        [*BUSY, REQUESTS, LOGS, EGRESS],
    ),
    "replicas that are kept waiting are billed too": (
        {"service": "cloud-run", "replicas": (2, 4)},
        [*BUSY, *IDLE, REQUESTS, LOGS, EGRESS],
    ),
    "a service that is billed all the while": (
        {"service": "cloud-run", "billing": "instance"},
        [
            "compute 3600 vCPU-second scaled gcp us-central1 cloud_run vcpu_instance_based",
            "compute 7200 GiB-second scaled gcp us-central1 cloud_run memory_instance_based",
            *(LOGS, EGRESS),
        ],
    ),
    "a GPU, which is never billed by the request": (
        {"service": "cloud-run", "gpu": 1},
        [
            "compute 14400 vCPU-second scaled gcp us-central1 cloud_run vcpu_instance_based",
            "compute 57600 GiB-second scaled gcp us-central1 cloud_run memory_instance_based",
            "GPU 3600 GPU-second scaled gcp us-central1 cloud_run gpu_l4",
            *(LOGS, EGRESS),
        ],
    ),
    "a larger GPU, with what it needs beside it": (
        {"service": "cloud-run", "gpu": 1, "accelerator": "nvidia-rtx-pro-6000"},
        [
            "compute 72000 vCPU-second scaled gcp us-central1 cloud_run vcpu_instance_based",
            "compute 288000 GiB-second scaled gcp us-central1 cloud_run memory_instance_based",
            "GPU 3600 GPU-second scaled gcp us-central1 cloud_run gpu_rtx_pro_6000",
            *(LOGS, EGRESS),
        ],
    ),
    "an endpoint": (
        {"service": "vertex", "instance": "n1-standard-4"},
        [
            "instance 1 node-hour scaled gcp us-central1 vertex_ai online_prediction n1-standard-4",
            "instance 1 node-hour spot gcp us-central1 vertex_ai online_prediction_spot n1-standard-4",
            *(LOGS, EGRESS),
        ],
    ),
    "a plain machine": (
        {"service": "vm", "instance": "n2-standard-2"},
        ["instance 1 hour scaled gcp us-central1 n2-standard-2", "instance 1 hour spot gcp us-central1 n2-standard-2", EGRESS],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_billed(case: str) -> None:
    said, expected = CASES[case]
    assert lines(resources(deployment("gcp", **said))) == expected


@pytest.mark.parametrize(
    ("region", "prices"),
    [
        ("us-central1", "tier1"),
        ("europe-west1", "tier1"),
        ("asia-northeast1", "tier1"),
        ("us-west2", ""),
        ("europe-west2", ""),
        ("europe-west3", ""),
        ("asia-south1", ""),
        ("southamerica-east1", ""),
        ("", ""),
    ],
)
def test_a_region_of_another_tier_has_no_price_of_the_first(region: str, prices: str) -> None:
    assert shared_prices(region) == prices
    assert len(TIER1) == 16


@pytest.mark.parametrize(
    ("cpu", "gib", "by_request", "expected"),
    [
        (1, 2, True, Size(1, 2)),
        (1, 0.25, False, Size(1, 0.5)),
        (0.5, 0.5, True, Size(0.5, 0.5)),
        (0.25, 0.75, True, Size(0.5, 0.75)),
        (0.25, 1.5, True, Size(1, 1.5)),
        (0.01, 0.0625, True, Size(0.08, 0.125)),
        (0.5, 0.5, False, Size(1, 0.5)),
        (1, 4.1, False, Size(2, 4.1)),
        (3, 1, False, Size(4, 2)),
        (2.5, 17, False, Size(6, 17)),
        (8, 32, False, Size(8, 32)),
        (9, 1, False, Size(8, 32)),
    ],
)
def test_a_replica_has_the_smallest_size_that_holds_what_is_asked_for(
    cpu: float, gib: float, by_request: bool, expected: Size
) -> None:
    assert cloud_run(Size(cpu, gib), by_request=by_request) == expected


@pytest.mark.parametrize(
    ("asked", "expected"), [(Size(1, 2, 1), Size(4, 16, 1)), (Size(6, 2, 1), Size(6, 16, 1)), (Size(4, 20, 2), Size(6, 20, 1))]
)
def test_a_gpu_comes_with_processors_and_memory(asked: Size, expected: Size) -> None:
    assert cloud_run(asked, by_request=False) == expected


def test_requests_are_billed_in_tenths_of_a_second_and_what_is_rounded_is_said() -> None:
    first, *_ = resources(deployment("gcp", "cloud-run", cpu=3, gib=1))
    assert first.settings == {
        "vcpus": 4,
        "memory_gib": 2,
        "assumed": "Cloud Run has no 3 vCPU 1 GiB: 4 vCPU 2 GiB is the next size",
        "round_s": 0.1,
    }


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an ordinary service": ({"service": "cloud-run", "replicas": (0, 10)}, []),
    "no region and no instance": (
        {"service": "vertex", "region": ""},
        [
            "targets.gcp.region is missing, and gcp service vertex needs it;"
            " write targets.gcp.region: us-central1, or say --region us-central1",
            "targets.gcp.instance is missing, and gcp service vertex needs it;"
            " write targets.gcp.instance: n2-standard-2, or mlship cost-estimate --instance n2-standard-2",
        ],
    ),
    "a replica that is too large": (
        {"service": "cloud-run", "cpu": 9, "gib": 33, "places": ["resources.memory"]},
        [
            "resources.cpu 9 is more than Cloud Run has: a replica gets at most 8; write at most 8, or use service vm",
            "mlship.yaml:7:3 resources.memory  resources.memory 33GiB is more than Cloud Run has: a replica gets at most"
            " 32GiB; write at most 32GiB, or use service vm",
        ],
    ),
    "two GPUs, by the request": (
        {"service": "cloud-run", "gpu": 2, "billing": "request"},
        [
            "resources.gpu 2: a replica of Cloud Run has one GPU at most; write gpu: 1, or use service vertex or vm",
            "replicas of Cloud Run with a GPU are billed all the while, not by the request;"
            " say --billing instance, or targets.gcp.billing: instance",
        ],
    ),
    "a GPU": ({"service": "cloud-run", "gpu": 1, "billing": "instance"}, []),
    "a larger GPU with as much beside it": (
        {"service": "cloud-run", "cpu": 24, "gib": 96, "gpu": 1, "billing": "instance", "accelerator": "nvidia-rtx-pro-6000"},
        [],
    ),
    "an image for arm64": (
        {"service": "cloud-run", "arch": "arm64"},
        ["Cloud Run runs images of linux/amd64 only; build for linux/amd64, or say --arch x86_64"],
    ),
    "spot": (
        {"service": "cloud-run", "profile": "spot"},
        [
            "spot is not possible with gcp service cloud-run: Cloud Run has no spot;"
            " use service vertex, vm, or target kubernetes, or cost.profile: on-demand"
        ],
    ),
    "an endpoint that sleeps": (
        {"service": "vertex", "instance": "n1-standard-4", "replicas": (0, 1)},
        [
            "scaling to zero is not possible with gcp service vertex: its scaling to zero is a preview;"
            " use service cloud-run, or scale.replicas: 1..1"
        ],
    ),
    "spot for an endpoint": ({"service": "vertex", "instance": "n1-standard-4", "profile": "spot"}, []),
    "a machine without a GPU": (
        {"service": "vm", "instance": "e2-standard-2", "gpu": 1},
        ["e2-standard-2 has no GPU; use an instance that has one, such as g2-standard-4"],
    ),
    "a machine to which GPUs are attached": (
        {"service": "vm", "instance": "n1-standard-4", "gpu": 1},
        [
            "n1-standard-4 has no GPU of its own, and the price of one that is attached to it is not known;"
            " use an instance that has one, such as g2-standard-4"
        ],
    ),
    "a machine with a GPU": ({"service": "vm", "instance": "a2-highgpu-1g", "gpu": 1}, []),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    said, expected = REFUSED[case]
    assert [str(found) for found in findings(deployment("gcp", **said))] == expected


def test_an_unknown_service_is_refused() -> None:
    for ask in (resources, findings):
        with pytest.raises(MlshipError, match="gcp has no service ecs; use one of: cloud-run, vertex, vm"):
            ask(deployment("gcp", "ecs"))
