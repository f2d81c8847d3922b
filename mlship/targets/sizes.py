"""What a replica is asked to have, and what a service really gives it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlship.targets.base import Deployment

GIB = 2**30


@dataclass(frozen=True)
class Size:
    """Of one replica. vcpus: as many as it may keep busy. gpus: whole ones."""

    vcpus: float
    memory_gib: float
    gpus: int = 0

    def holds(self, other: Size) -> bool:
        return self.vcpus >= other.vcpus and self.memory_gib >= other.memory_gib and self.gpus >= other.gpus

    def __str__(self) -> str:
        gpus = f" {self.gpus} GPU" if self.gpus else ""
        return f"{self.vcpus:.4g} vCPU {self.memory_gib:.4g} GiB{gpus}"


def asked_of(deployment: Deployment) -> Size:
    """What the project says that a replica gets."""
    served = deployment.release.served.resources
    return Size(served.get("cpu", 0) / 1000, served.get("memory", 0) / GIB, served.get("gpu", 0))


def smallest(sizes: Iterable[Size], asked: Size) -> Size | None:
    """The first that holds what is asked for. sizes: rising in price. None: no size does."""
    return next((size for size in sizes if size.holds(asked)), None)


def settings_of(size: Size, asked: Size, service: str) -> dict[str, Any]:
    """Of a resource that is billed by its size. `assumed`: for people, where it is not what was asked for."""
    said: dict[str, Any] = {"vcpus": size.vcpus, "memory_gib": size.memory_gib}
    if size.gpus:
        said["gpus"] = size.gpus
    if str(size) != str(asked):
        said["assumed"] = f"{service} has no {asked}: {size} is the {'next' if size.holds(asked) else 'largest'} size"
    return said
