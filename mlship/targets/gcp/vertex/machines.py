"""Machines of Vertex AI: which accelerator belongs to a type, and what a deployed model counts against which quota. Pure.

Types and their accelerators: docs.cloud.google.com/vertex-ai/docs/predictions/configure-compute, "GPUs", read 2026-11; the names of
accelerators: MachineSpec.acceleratorType in the discovery document of aiplatform.v1, 20261106. Names of the quota's metrics, those of
GPUs: gcloud's own (command_lib/ai/model_garden_utils.py, read 2026-11); of processors: public projects, the part for a family of
machines (`n2_cpus`) from memory, verify. One that the project does not tell is not judged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PREFIX = "aiplatform.googleapis.com/custom_model_serving_"
# The number of GPUs is in the name: `a2-highgpu-4g`.
_BY_NAME = {
    "a2-highgpu": "NVIDIA_TESLA_A100",
    "a2-megagpu": "NVIDIA_TESLA_A100",
    "a2-ultragpu": "NVIDIA_A100_80GB",
    "a3-highgpu": "NVIDIA_H100_80GB",
    "a3-edgegpu": "NVIDIA_H100_80GB",
    "a3-megagpu": "NVIDIA_H100_MEGA_80GB",
    "a3-ultragpu": "NVIDIA_H200_141GB",
    "a4-highgpu": "NVIDIA_B200",
}
# Of the others the number follows from the vCPUs (docs.cloud.google.com/compute/docs/accelerator-optimized-machines, read 2026-11).
_L4 = {4: 1, 8: 1, 12: 1, 16: 1, 32: 1, 24: 2, 48: 4, 96: 8}
_RTX = {48: 1, 96: 2, 192: 4, 384: 8}
_NAME = re.compile(r"(?P<family>[a-z]\d+[a-z]?)-(?P<kind>[a-z]+)-(?P<size>\d+)(?P<gpus>g)?")
_QUOTA_OF = {"NVIDIA_TESLA_A100": "nvidia_a100", "NVIDIA_L4": "nvidia_l4", "NVIDIA_H100_80GB": "nvidia_h100"}


@dataclass(frozen=True)
class Accelerator:
    """type: as the API names it."""

    type: str
    count: int


def accelerator(instance: str) -> Accelerator | None:
    """Of a type that has GPUs of its own; None of another. instance: `g2-standard-4`, `a2-highgpu-1g`."""
    found = _NAME.fullmatch(instance)
    if found is None:
        return None
    size, kind = int(found["size"]), f"{found['family']}-{found['kind']}"
    if found["gpus"] and kind in _BY_NAME:
        return Accelerator(_BY_NAME[kind], size)
    if kind == "g2-standard" and size in _L4:
        return Accelerator("NVIDIA_L4", _L4[size])
    if kind == "g4-standard" and size in _RTX:
        return Accelerator("NVIDIA_RTX_PRO_6000", _RTX[size])
    return None


def vcpus(instance: str) -> int:
    """As its name says; 0 where it does not."""
    found = _NAME.fullmatch(instance)
    return int(found["size"]) if found and not found["gpus"] else 0


@dataclass(frozen=True)
class Counted:
    """So much of a quota's metric for each replica."""

    metric: str
    amount: int


def counted(instance: str, *, spot: bool) -> tuple[Counted, ...]:
    """What a replica takes of the project's quotas: those of its GPUs, else those of its vCPUs."""
    kind = "preemptible_" if spot else ""
    own = accelerator(instance)
    if own is not None:
        name = _QUOTA_OF.get(own.type, own.type.lower())
        return (Counted(f"{_PREFIX}{kind}{name}_gpus", own.count),)
    family = instance.partition("-")[0]
    which = "" if family in ("n1", "e2") else f"{family}_"
    return (Counted(f"{_PREFIX}{kind}{which}cpus", vcpus(instance)),) if vcpus(instance) else ()
