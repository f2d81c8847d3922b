"""What an instance of Cloud Run gets: sizes, and the GPUs with what they need beside them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlship.targets.base import Deployment
from mlship.targets.gcp.sizes import cloud_run
from mlship.targets.sizes import Size, asked_of


@dataclass(frozen=True)
class Accelerator:
    """name: as run.v2 takes it (NodeSelector, accelerator). least: what an instance has beside one of it. title: for people.

    priced: its item in the price book; a book without it says that the price is not known. is_preview: Google says so.
    """

    name: str
    least: Size
    title: str
    priced: str
    is_preview: bool = False


# cloud.google.com/run/docs/configuring/services/gpu, "Supported GPU types": L4 with at least 4 vCPU and 16 GiB, RTX PRO 6000 (a
# preview) with at least 20 and 80 (stored copies, read 2026-11). The most that there is beside the second was not found.
ACCELERATORS: Mapping[str, Accelerator] = {
    "nvidia-l4": Accelerator("nvidia-l4", Size(4, 16.0, 1), "L4", "gpu_l4"),
    "nvidia-rtx-pro-6000": Accelerator("nvidia-rtx-pro-6000", Size(20, 80.0, 1), "RTX PRO 6000", "gpu_rtx_pro_6000", True),
}
DEFAULT_GPU = "nvidia-l4"


def is_by_request(deployment: Deployment) -> bool:
    """How a replica is billed: while it serves, or all the while. With a GPU there is only the second."""
    return deployment.settings.get("billing") != "instance" and not asked_of(deployment).gpus


def accelerator(deployment: Deployment) -> Accelerator | None:
    """None without resources.gpu."""
    if not asked_of(deployment).gpus:
        return None
    return ACCELERATORS[str(deployment.settings.get("accelerator") or DEFAULT_GPU)]


def size_of(deployment: Deployment) -> Size:
    """The smallest that holds what is asked for; what is beyond the largest was refused before (resources.findings)."""
    asked, gpu = asked_of(deployment), accelerator(deployment)
    if gpu is not None and gpu.name != DEFAULT_GPU:
        return Size(max(asked.vcpus, gpu.least.vcpus), max(asked.memory_gib, gpu.least.memory_gib), 1)
    return cloud_run(asked, by_request=is_by_request(deployment))
