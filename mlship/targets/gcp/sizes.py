"""The sizes of Cloud Run, and the regions that share a price. Pure."""

from __future__ import annotations

from mlship.targets.sizes import Size

# vCPU -> least and most GiB (docs.cloud.google.com/run, "Configure CPU limits for services" and "Configure memory limits",
# read 2026-11). Less than a vCPU is billed by the request only, and serves one request at a time.
WHOLE = ((1, 0.5, 4.0), (2, 0.5, 8.0), (4, 2.0, 16.0), (6, 4.0, 24.0), (8, 4.0, 32.0))
LEAST_VCPUS = 0.08
_LEAST_GIB = 0.125
_HALF_GIB, _ONE_GIB = 0.5, 1.0
# A GPU: one of type L4, with at least 4 vCPU and 16 GiB, billed by the instance (same place, "GPU support for services").
WITH_GPU = Size(4, 16.0, 1)
LARGEST = Size(8, 32.0)

# docs.cloud.google.com/run/docs/locations, "Subject to Tier 1 pricing" (stored copy, page undated; read 2026-11). All others are
# tier 2, or later than that page: their price is not the one of tier 1.
TIER1 = frozenset(
    (
        *("asia-east1", "asia-northeast1", "asia-northeast2", "me-west1"),
        *("europe-north1", "europe-southwest1", "europe-west1", "europe-west4", "europe-west8", "europe-west9"),
        *("us-central1", "us-east1", "us-east4", "us-east5", "us-south1", "us-west1"),
    )
)


def shared_prices(region: str) -> str:
    """The book's name for the regions in which Cloud Run costs the same as in this one; `` where it names none."""
    return "tier1" if region in TIER1 else ""


def cloud_run(asked: Size, *, by_request: bool) -> Size:
    """The smallest size that holds what is asked for; the largest, where none does. by_request: how it is billed."""
    if asked.gpus:
        whole = _whole(Size(max(asked.vcpus, WITH_GPU.vcpus), max(asked.memory_gib, WITH_GPU.memory_gib)))
        return Size(whole.vcpus, whole.memory_gib, 1)
    part = _part(asked)
    return part if by_request and part.vcpus < 1 else _whole(asked)


def _part(asked: Size) -> Size:
    """Of a vCPU: more than half a GiB needs half of one, more than one GiB a whole one."""
    needed = 1.0 if asked.memory_gib > _ONE_GIB else 0.5 if asked.memory_gib > _HALF_GIB else LEAST_VCPUS
    return Size(max(asked.vcpus, needed), max(asked.memory_gib, _LEAST_GIB))


def _whole(asked: Size) -> Size:
    for vcpus, least, most in WHOLE:
        if vcpus >= asked.vcpus and most >= asked.memory_gib:
            return Size(vcpus, max(asked.memory_gib, least))
    return LARGEST
