"""The sizes of Container Apps, and a type of machine to suggest. Pure."""

from __future__ import annotations

from mlship.targets.sizes import Size, smallest

# 0.25 to 4 vCPU with 2 GiB for each (learn.microsoft.com/azure/container-apps, "Containers" and "Quotas": the consumption
# profile of an environment with workload profiles, read 2026-11).
CONTAINER_APPS = tuple(Size(quarters / 4, quarters / 2) for quarters in range(1, 17))
LARGEST = CONTAINER_APPS[-1]
# Azure ML has it ("Managed online endpoints SKU list", learn.microsoft.com/azure/machine-learning, read 2026-11) and the price book
# knows what it costs: 4 vCPU, 8 GiB. Of newer series that list says nothing.
EXAMPLE = "Standard_F4s_v2"
REPLICAS = 1000  # same place: "Maximum replicas configurable are ... 1000 in Azure CLI"


def container_app(asked: Size) -> Size:
    """The smallest that holds what is asked for; the largest, where none does."""
    return smallest(CONTAINER_APPS, Size(asked.vcpus, asked.memory_gib)) or LARGEST
