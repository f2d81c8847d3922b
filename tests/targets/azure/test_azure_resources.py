"""What Azure bills for a deployment, and what it cannot give."""

from __future__ import annotations

from typing import Any

import pytest
from cloud_deployment import deployment, lines

from mlship.errors import MlshipError
from mlship.targets.azure.resources import findings, resources
from mlship.targets.azure.sizes import EXAMPLE, container_app
from mlship.targets.sizes import Size

LOGS = "logs 1 GB logs azure westus2 log_analytics ingestion"
EGRESS = "egress 1 GB egress azure westus2 egress_internet out"
ACTIVE = [
    "compute 1 vCPU-second active azure westus2 container_apps vcpu_active",
    "compute 2 GiB-second active azure westus2 container_apps memory_active",
]
IDLE = [
    "idle 1 vCPU-second idle azure westus2 container_apps vcpu_idle",
    "idle 2 GiB-second idle azure westus2 container_apps memory_idle",
]
REQUESTS = "requests 1e-06 million requests request azure westus2 container_apps requests"
MACHINE = EXAMPLE
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a container app that keeps a replica": ({"service": "container-apps"}, [*ACTIVE, *IDLE, REQUESTS, LOGS, EGRESS]),
    "a container app that sleeps": (
        {"service": "container-apps", "replicas": (0, 4)},
        [*ACTIVE, REQUESTS, LOGS, EGRESS],
    ),
    "an endpoint": (
        {"service": "azureml", "instance": MACHINE},
        [
            f"instance 1 hour scaled azure westus2 {MACHINE}",
            "surcharge 1 instance-hour scaled azure all azure_ml_online_endpoint surcharge",
            *(LOGS, EGRESS),
        ],
    ),
    "a plain machine": (
        {"service": "vm", "instance": MACHINE},
        [f"instance 1 hour scaled azure westus2 {MACHINE}", f"instance 1 hour spot azure westus2 {MACHINE}", EGRESS],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_billed(case: str) -> None:
    said, expected = CASES[case]
    assert lines(resources(deployment("azure", **said))) == expected


@pytest.mark.parametrize(
    ("cpu", "gib", "expected"),
    [
        (1, 2, Size(1, 2)),
        (0.1, 0.1, Size(0.25, 0.5)),
        (0.3, 0.5, Size(0.5, 1)),
        (1, 2.1, Size(1.25, 2.5)),
        (4, 8, Size(4, 8)),
        (1, 9, Size(4, 8)),
    ],
)
def test_a_replica_has_two_gib_for_each_processor(cpu: float, gib: float, expected: Size) -> None:
    assert container_app(Size(cpu, gib)) == expected


def test_what_is_rounded_is_said() -> None:
    first, *_ = resources(deployment("azure", "container-apps", cpu=1, gib=3))
    assert first.settings["assumed"] == "Container Apps has no 1 vCPU 3 GiB: 1.5 vCPU 3 GiB is the next size"


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an ordinary container app": ({"service": "container-apps", "replicas": (0, 1000)}, []),
    "no region and no instance": (
        {"service": "vm", "region": None},
        [
            "targets.azure.region is missing, and azure service vm needs it;"
            " write targets.azure.region: westus2, or say --region westus2",
            f"targets.azure.instance is missing, and azure service vm needs it;"
            f" write targets.azure.instance: {MACHINE}, or mlship cost-estimate --instance {MACHINE}",
        ],
    ),
    "a replica that is too large": (
        {"service": "container-apps", "gib": 9},
        [
            "resources.memory 9GiB is more than Container Apps has: a replica gets at most 8GiB; write at most 8GiB, or use service vm"
        ],
    ),
    "too many replicas": (
        {"service": "container-apps", "replicas": (1, 1001)},
        ["scale.replicas goes up to 1,001, and a container app has at most 1,000 (limit of Azure); write at most 1000"],
    ),
    "an image for arm64": (
        {"service": "container-apps", "arch": "arm64", "places": ["build.platforms"]},
        [
            "mlship.yaml:7:3 build.platforms  Container Apps runs images of linux/amd64 only; build for linux/amd64, or say --arch x86_64"
        ],
    ),
    "a GPU": (
        {"service": "container-apps", "gpu": 1},
        [
            "a GPU is not possible with azure service container-apps: its GPUs stand in workload profiles, which mlship does"
            " not make; use service azureml or vm, or no resources.gpu"
        ],
    ),
    "an endpoint that sleeps": (
        {"service": "azureml", "instance": MACHINE, "replicas": (0, 2)},
        [
            "scaling to zero is not possible with azure service azureml: an online endpoint keeps one machine;"
            " use service container-apps, or scale.replicas: 1..2"
        ],
    ),
    "reserved for a container app": (
        {"service": "container-apps", "profile": "reserved"},
        [
            "reserved is not possible with azure service container-apps: only a savings plan covers it, whose price nobody"
            " tells; use service vm, or cost.profile: on-demand"
        ],
    ),
    "a name that is cut": (
        {"service": "azureml", "instance": "D2s_v5"},
        [f"D2s_v5 is no type of Azure's machines; write its whole name, such as {EXAMPLE}"],
    ),
    "a machine without a GPU": (
        {"service": "azureml", "instance": MACHINE, "gpu": 1},
        [f"{MACHINE} has no GPU; use an instance that has one, such as Standard_NC4as_T4_v3"],
    ),
    "a machine with a GPU": ({"service": "vm", "instance": "Standard_NV36ads_A10_v5", "gpu": 1}, []),
    "spot of the B series": (
        {"service": "vm", "instance": "Standard_B2s_v2", "profile": "spot"},
        [
            "spot is not possible with Standard_B2s_v2: Azure sells no spot of the B series;"
            f" use an instance of another series, such as {MACHINE}"
        ],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    said, expected = REFUSED[case]
    assert [str(found) for found in findings(deployment("azure", **said))] == expected


def test_an_unknown_service_is_refused() -> None:
    for ask in (resources, findings):
        with pytest.raises(MlshipError, match="azure has no service aks; use one of: container-apps, azureml, vm"):
            ask(deployment("azure", "aks"))
