"""A deployment as the clouds' pure part takes it, and what it bills as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlship.releases.release import Release, Served
from mlship.targets.base import Deployment, PriceKey, Resource

GIB = 2**30
REGIONS = {"aws": "us-east-1", "gcp": "us-central1", "azure": "westus2", "kubernetes": "us-east-1"}


def deployment(
    target: str,
    service: str,
    *,
    cpu: float = 1,
    gib: float = 2,
    gpu: int = 0,
    replicas: tuple[int, int] = (1, 1),
    profile: str = "",
    places: Iterable[str] = (),
    **settings: Any,
) -> Deployment:
    """cpu: cores. places: keys that the file sets. settings: of the target's section; its region is there unless said."""
    served = {"cpu": round(cpu * 1000), "memory": round(gib * GIB)} | ({"gpu": gpu} if gpu else {})
    operating: Mapping[str, Any] = {"cost": {"profile": profile}} if profile else {}
    return Deployment(
        project="churn",
        environment="",
        target=target,
        service=service,
        release=Release(1, Served("sha256:" + "0" * 64, (), resources=served), 0.0),
        settings={"region": REGIONS[target], "arch": "x86_64", **settings},
        operating=operating,
        replicas=replicas,
        places={key: f"mlship.yaml:7:3 {key}" for key in places},
    )


def lines(resources: Iterable[Resource]) -> list[str]:
    """`compute 1 vCPU-hour scaled aws us-east-1 fargate vcpu_x86`."""
    return [
        f"{one.kind} {one.quantity:.6g} {one.unit} {one.billed} {where(one.price) if one.price else '-'}" for one in resources
    ]


def where(key: PriceKey) -> str:
    times = f" x{key.times:g}" if key.times != 1 else ""
    return " ".join(part for part in (key.cloud, key.region, key.service, key.item, key.instance) if part) + times
