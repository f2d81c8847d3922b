"""What a deployment to Microsoft Azure is billed for. Pure; item names are those of the price book."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from mlship.errors import Finding
from mlship.targets import machines
from mlship.targets.azure.features import EXCLUDED as EXCLUDED
from mlship.targets.azure.features import FEATURES
from mlship.targets.azure.sizes import EXAMPLE, LARGEST, REPLICAS, container_app
from mlship.targets.base import Deployment, PriceKey, Resource
from mlship.targets.refusals import (
    amd64_only,
    check_service,
    impossible_strategy,
    refused,
    too_large,
    too_many,
    unsaid_or_impossible,
)
from mlship.targets.sizes import asked_of, settings_of

MILLIONTH = 1e-6  # requests are sold by the million
EVERYWHERE = "all"  # the book's region of what costs the same in all of them
_PREFIX = "Standard_"
# "The following sizes are not supported for Azure Spot Virtual Machines: B-series" (learn.microsoft.com/azure, "Azure Spot
# Virtual Machines for Virtual Machine Scale Sets", read 2026-11).
_WITHOUT_SPOT = re.compile(r"Standard_B[0-9]")
_NEEDS_INSTANCE = ("azureml", machines.SERVICE)


def resources(deployment: Deployment) -> tuple[Resource, ...]:
    """Raises MlshipError for a service that Azure does not have here."""
    check_service(deployment, FEATURES)
    return (*_OF[deployment.service](deployment), _egress(deployment))


def findings(deployment: Deployment) -> tuple[Finding, ...]:
    """Raises MlshipError for a service that Azure does not have here."""
    check_service(deployment, FEATURES)
    return (
        *unsaid_or_impossible(deployment, FEATURES, _NEEDS_INSTANCE, region="westus2", instance=EXAMPLE),
        *_REFUSED[deployment.service](deployment),
    )


# -- container-apps --------------------------------------------------------------------------------------------------------


def _container_apps(deployment: Deployment) -> Iterator[Resource]:
    """Idle replicas are billed at their own rate, and there are some only where a least number is kept."""
    asked = asked_of(deployment)
    size = container_app(asked)
    said = settings_of(size, asked, "Container Apps")
    amounts = (("vcpu", size.vcpus, "vCPU-second"), ("memory", size.memory_gib, "GiB-second"))
    for item, quantity, unit in amounts:
        key = _key(deployment, "container_apps", f"{item}_active")
        yield Resource("compute", f"Container Apps {item}", quantity, unit, "active", said, key)
    if deployment.replicas[0]:
        for item, quantity, unit in amounts:
            key = _key(deployment, "container_apps", f"{item}_idle")
            yield Resource("idle", f"Container Apps idle {item}", quantity, unit, "idle", said, key)
    key = _key(deployment, "container_apps", "requests")
    yield Resource("requests", "Container Apps requests", MILLIONTH, "million requests", "request", price=key)
    yield _logs(deployment)


def _container_apps_refused(deployment: Deployment) -> Iterator[Finding]:
    yield from impossible_strategy(deployment, FEATURES["container-apps"])
    yield from too_large(deployment, "Container Apps", LARGEST, "service vm")
    yield from too_many(deployment, "a container app", REPLICAS, "limit of Azure")
    # "Any Linux-based x86-64 (linux/amd64) container image" (learn.microsoft.com/azure/container-apps, "Containers", read 2026-11)
    yield from amd64_only(deployment, "Container Apps")


# -- azureml and vm --------------------------------------------------------------------------------------------------------


def _azureml(deployment: Deployment) -> Iterator[Resource]:
    """The machine at its own price, and a surcharge of nothing that the book dates."""
    name = _instance(deployment)
    key = PriceKey("azure", _region(deployment), instance=name)
    yield Resource("instance", name, unit="hour", billed="scaled", price=key)
    key = PriceKey("azure", EVERYWHERE, service="azure_ml_online_endpoint", item="surcharge")
    yield Resource("surcharge", "Azure ML surcharge", unit="instance-hour", billed="scaled", price=key)
    yield _logs(deployment)


def _vm(deployment: Deployment) -> Iterator[Resource]:
    yield from machines.machine(PriceKey("azure", _region(deployment), instance=_instance(deployment)))


def _machine_refused(deployment: Deployment) -> Iterator[Finding]:
    name = _instance(deployment)
    if name and not name.startswith(_PREFIX):
        what = f"{name} is no type of Azure's machines"
        fix = f"write its whole name, such as {EXAMPLE}"
        yield refused(deployment, "targets.azure.instance", what, fix, "unknown-instance")
    else:
        yield from machines.without_gpu(deployment, "azure", name)


def _vm_refused(deployment: Deployment) -> Iterator[Finding]:
    yield from _machine_refused(deployment)
    name, cost = _instance(deployment), deployment.operating.get("cost") or {}
    if cost.get("profile") == "spot" and _WITHOUT_SPOT.match(name):
        fix = f"use an instance of another series, such as {EXAMPLE}"
        what = f"spot is not possible with {name}: Azure sells no spot of the B series"
        yield refused(deployment, "targets.azure.instance", what, fix, "absent-feature")


# -- all -------------------------------------------------------------------------------------------------------------------


def _logs(deployment: Deployment) -> Resource:
    key = _key(deployment, "log_analytics", "ingestion")
    return Resource("logs", "Log Analytics", unit="GB", billed="logs", price=key)


def _egress(deployment: Deployment) -> Resource:
    key = _key(deployment, "egress_internet", "out")
    return Resource("egress", "egress to the internet", unit="GB", billed="egress", price=key)


def _key(deployment: Deployment, service: str, item: str) -> PriceKey:
    return PriceKey("azure", _region(deployment), service=service, item=item)


def _region(deployment: Deployment) -> str:
    return str(deployment.settings.get("region") or "")


def _instance(deployment: Deployment) -> str:
    return str(deployment.settings.get("instance") or "")


_OF: Mapping[str, Callable[[Deployment], Iterator[Resource]]] = {
    "container-apps": _container_apps,
    "azureml": _azureml,
    machines.SERVICE: _vm,
}
_REFUSED: Mapping[str, Callable[[Deployment], Iterator[Finding]]] = {
    "container-apps": _container_apps_refused,
    "azureml": _machine_refused,
    machines.SERVICE: _vm_refused,
}
