"""GPUs of replicas at an engine: what it is asked for, and whether it can give it. Pure.

The engine hands out GPUs by DeviceRequests (Engine API 1.40, POST /containers/create) where NVIDIA's container toolkit is
installed on its machine: by the hook of its runtime, or, in newer engines, by CDI, to whose names it turns the same ids
(moby, daemon/nvidia_linux.go). Ids and a count exclude each other there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlship.errors import Finding
from mlship.targets.base import Deployment
from mlship.targets.docker.seen import EngineFacts

# `gpu` finds the engine's driver for GPUs; the others are what the toolkit mounts: the CUDA driver, and nvidia-smi's library.
CAPABILITIES = [["gpu", "compute", "utility"]]
INSTALL = (
    "on the engine's machine install the NVIDIA driver and nvidia-container-toolkit, then: "
    "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
)


def device_requests(wanted: int, number: int) -> list[dict[str, Any]]:
    """Of the replica with that number, from 1 on: the first has the first GPUs, the second the next ones. Empty for none.

    Replicas of another release with the same number have the same ones, for as long as both run.
    """
    if not wanted:
        return []
    first = (max(number, 1) - 1) * wanted
    ids = [str(place) for place in range(first, first + wanted)]
    return [{"Driver": "", "DeviceIDs": ids, "Capabilities": CAPABILITIES, "Options": {}}]


def reserved(requests: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The same for `docker compose`: what stands below `deploy`."""
    devices = [{"driver": "nvidia", "device_ids": one["DeviceIDs"], "capabilities": one["Capabilities"][0]} for one in requests]
    return {"deploy": {"resources": {"reservations": {"devices": devices}}}} if devices else {}


def findings(deployment: Deployment, engine: EngineFacts) -> Iterator[Finding]:
    wanted = int(deployment.release.served.resources.get("gpu", 0))
    if not wanted:
        return
    place = deployment.places.get("resources.gpu", "")
    if not engine.hands_out_gpus:
        lacking = "it has neither the runtime nvidia nor a CDI device of NVIDIA's"
        what = f"resources.gpu is {wanted}, and the engine hands out no GPUs: {lacking}"
        yield Finding(what, place, INSTALL, code="no-gpu-runtime")
        return
    count = deployment.replicas[0]
    if engine.gpus and wanted * count > engine.gpus:
        each = f"{count} replicas with {wanted} each need {wanted * count}" if count > 1 else f"resources.gpu is {wanted}"
        fix = "write less, or fewer replicas" if count > 1 else f"write {engine.gpus}, or less"
        yield Finding(
            f"{each}, and the engine's machine has {engine.gpus} GPU{'s' if engine.gpus > 1 else ''}",
            place,
            fix,
            code="few-gpus",
        )
    if deployment.release.served.serving.get("gpus", wanted) != wanted:
        what = f"the image was built for {deployment.release.served.serving['gpus']} GPUs, and resources.gpu is {wanted}"
        yield Finding(what, place, "mlship build", code="other-gpus")
    yield Finding(
        "while one release takes over from another, both are on the same GPUs: their memory has to hold both models",
        place,
        "write rollout: {strategy: recreate} where it does not",
        "note",
        "shared-gpus",
    )
