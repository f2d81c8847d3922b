"""The ways in which a deployment can be served and bought: what a target would create, as the estimate takes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from mlship.cost.book import Machine, Offer, PriceBook
from mlship.cost.candidate import Candidate, Purchase, PurchaseName
from mlship.cost.speeds import ANY, unit_of, unit_of_vcpus
from mlship.cost.workload import Unit
from mlship.targets.base import Deployment, PriceKey, Resource
from mlship.targets.priced import priced

GIB = 2**30
MACHINES = ("vm",)  # services that are whole machines, one replica each
ENDPOINTS = ("sagemaker", "vertex", "azureml")  # managed, on machines that are named
NODES = ("deployment", "kserve")  # replicas side by side on machines that are named
OWN = ("haproxy", "process", "memory")  # nobody's bill
_BY_THE_HOUR: tuple[PurchaseName, ...] = (
    "on-demand",
    "fixed",
    "reserved",
    "reserved+on-demand",
    "on-demand+spot",
    "reserved+spot",
)


def purchases_of(service: str, settings: Mapping[str, object]) -> tuple[PurchaseName, ...]:
    """How a service can be bought; the first is what a project gets that says nothing."""
    if service == "vertex":
        return ("managed", "on-demand+spot")  # each with prices of its own, not the machine's
    if service in ENDPOINTS:
        return ("managed",)
    if service in ("lambda", "container-apps") or (service == "cloud-run" and settings.get("billing") != "instance"):
        return ("per-request",)
    if service == "cloud-run":
        return ("on-demand", "fixed")
    return ("on-demand",) if service in OWN else _BY_THE_HOUR


def candidate_of(
    deployment: Deployment, purchase: Purchase, book: PriceBook, measured: Mapping[str, float] | None = None
) -> Candidate:
    """What the deployment's target would create, bought in one way. measured: as in cost.speeds.

    A machine that the book does not name counts as one with the cores that the deployment asks for, and has no price.
    """
    described = priced(deployment.target)
    excluded = described.EXCLUDED.get(deployment.service, ())
    return candidate_from(deployment, described.resources(deployment), excluded, purchase, book, measured)


def candidate_from(
    deployment: Deployment,
    resources: tuple[Resource, ...],
    excluded: tuple[str, ...],
    purchase: Purchase,
    book: PriceBook,
    measured: Mapping[str, float] | None = None,
) -> Candidate:
    """The same, of resources that a target has named already."""
    service, settings = deployment.service, deployment.settings
    machine, size = machine_of(deployment, book), _size_of(deployment, resources)
    arch = machine.arch if machine else str(settings.get("arch", "x86_64"))
    unit = _unit(deployment, machine, arch, size, measured or {})
    return Candidate(
        target=deployment.target,
        service=service,
        region=str(settings.get("region") or ""),
        purchase=purchase,
        unit=_alone(unit, service, size.vcpus) if purchase.name == "per-request" else unit,
        resources=resources,
        instance=_instance(deployment),
        arch=arch,
        size=_size_text(service, size) if service in _WITHOUT_INSTANCE else "",
        can_deploy=service not in MACHINES,
        excluded=excluded,
    )


_WITHOUT_INSTANCE = ("ecs", "lambda", "cloud-run", "container-apps", *OWN)


def _instance(deployment: Deployment) -> str:
    """As the service names its machine."""
    name = str(deployment.settings.get("instance") or "")
    if deployment.service in _WITHOUT_INSTANCE:
        return ""
    return f"ml.{name}" if deployment.service == "sagemaker" else name


def machine_of(deployment: Deployment, book: PriceBook) -> Machine | None:
    """The type of instance that the deployment names, where its service has one and the book knows it in any region."""
    if deployment.service in _WITHOUT_INSTANCE:
        return None
    settings = deployment.settings
    cloud, region, name = cloud_of(deployment), str(settings.get("region") or ""), str(settings.get("instance") or "")
    offer = book.offer(cloud, region, name)
    elsewhere = (book.offer(cloud, other, name) for other in book.regions(cloud))
    found = offer or next((one for one in elsewhere if one), None)
    return found.machine if found else None


def cloud_of(deployment: Deployment) -> str:
    """Whose prices count."""
    return str(deployment.settings.get("cloud") or "") if deployment.target == "kubernetes" else deployment.target


@dataclass(frozen=True)
class _Size:
    """Of one replica, as the service gives it: the next one that it has above what was asked for."""

    vcpus: float
    memory_gib: float
    gpus: int


def _size_of(deployment: Deployment, resources: tuple[Resource, ...]) -> _Size:
    """As the target rounded it, where it did."""
    served = deployment.release.served.resources
    given = next((resource.settings for resource in resources if "vcpus" in resource.settings), {})
    return _Size(
        float(given.get("vcpus", served.get("cpu", 1000) / 1000)),
        float(given.get("memory_gib", served.get("memory", 0) / GIB)),
        int(given.get("gpus", served.get("gpu", 0))),
    )


def _unit(deployment: Deployment, machine: Machine | None, arch: str, size: _Size, measured: Mapping[str, float]) -> Unit:
    service = deployment.service
    if machine is not None and service not in NODES:
        return unit_of(machine, measured)
    if size.gpus:
        return Unit(size.gpus, memory_gib=size.memory_gib, assumption="a GPU computes one request at a time")
    whole = machine.has_whole_cores if machine else arch == "arm64"
    if service in OWN:
        whole = True  # the service time was measured on such a core
    unit = unit_of_vcpus(size.vcpus, size.memory_gib, whole_cores=whole, what=f"{service} {arch}")
    named = next((name for name in (f"{service}/{arch}", service, ANY) if name in measured), None)
    if named is not None:
        told = f"{service} {arch}: {size.vcpus:g} vCPU, each of measured speed {measured[named]:g} ({named})"
        unit = replace(unit, speed=measured[named] * size.vcpus / unit.servers, assumption=told)
    return unit


def _alone(unit: Unit, service: str, vcpus: float) -> Unit:
    """A request of a service that bills by the request has its vCPUs to itself, and uses one of them at most."""
    told = f"{service}: a request that has {vcpus:.3g} vCPU to itself takes as long as where it was measured"
    if vcpus < 1:
        told = f"{service}: a request is billed as long as is said; where it was measured, {1 / vcpus:.3g} times that ({vcpus:.3g} vCPU)"
    return replace(unit, alone=min(vcpus, 1.0), assumption=f"{told} (assumed)")


def _size_text(service: str, size: _Size) -> str:
    """`1 vCPU 2 GiB`."""
    memory = f"{size.memory_gib:.4g} GiB"
    return memory if service == "lambda" else f"{size.vcpus:g} vCPU {memory}"


def machine_candidates(offers: Iterable[Offer], purchases: Iterable[Purchase]) -> Iterator[Candidate]:
    """Every offer as a plain machine, in every way to buy it."""
    purchases = tuple(purchases)
    for offer in offers:
        machine, unit = offer.machine, unit_of(offer.machine)
        for purchase in purchases:
            yield Candidate(
                target=machine.cloud,
                service="vm",
                region=offer.region,
                purchase=purchase,
                unit=unit,
                resources=machine_resources(machine.cloud, offer.region, machine.name),
                instance=machine.name,
                arch=machine.arch,
                can_deploy=False,
                excluded=priced(machine.cloud).EXCLUDED.get("vm", ()),
            )


def machine_resources(cloud: str, region: str, name: str) -> tuple[Resource, ...]:
    """What the service `vm` of every cloud creates for a replica: the machine, on demand or spot."""
    key = PriceKey(cloud, region, instance=name)
    return (
        Resource("instance", name, unit="hour", billed="scaled", price=key),
        Resource("instance", name, unit="hour", billed="spot", price=key),
    )
