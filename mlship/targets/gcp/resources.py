"""What a deployment to Google Cloud is billed for. Pure; item names are those of the price book."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mlship.errors import Finding
from mlship.targets import machines
from mlship.targets.base import Deployment, PriceKey, Resource
from mlship.targets.gcp.cloud_run.sizing import DEFAULT_GPU, accelerator, is_by_request, size_of
from mlship.targets.gcp.features import EXCLUDED as EXCLUDED
from mlship.targets.gcp.features import FEATURES
from mlship.targets.gcp.sizes import LARGEST, shared_prices
from mlship.targets.refusals import amd64_only, check_service, impossible_strategy, refused, too_large, unsaid_or_impossible
from mlship.targets.sizes import asked_of, settings_of

HOUR_S = 3600
MILLIONTH = 1e-6  # requests are sold by the million
_NEEDS_INSTANCE = ("vertex", machines.SERVICE)


def resources(deployment: Deployment) -> tuple[Resource, ...]:
    """Raises MlshipError for a service that Google Cloud does not have here."""
    check_service(deployment, FEATURES)
    return (*_OF[deployment.service](deployment), _egress(deployment))


def findings(deployment: Deployment) -> tuple[Finding, ...]:
    """Raises MlshipError for a service that Google Cloud does not have here."""
    check_service(deployment, FEATURES)
    return (
        *unsaid_or_impossible(deployment, FEATURES, _NEEDS_INSTANCE, region="us-central1", instance="n2-standard-2"),
        *_REFUSED[deployment.service](deployment),
    )


# -- cloud-run -------------------------------------------------------------------------------------------------------------


def _cloud_run(deployment: Deployment) -> Iterator[Resource]:
    yield from _by_request(deployment) if is_by_request(deployment) else _by_instance(deployment)
    yield _logs(deployment)


def _by_request(deployment: Deployment) -> Iterator[Resource]:
    """Seconds with a request, each rounded up to 100 ms; and those that wait, where the file asks for replicas that do."""
    asked = asked_of(deployment)
    size = size_of(deployment)
    said = settings_of(size, asked, "Cloud Run")
    billed = {**said, "round_s": 0.1}  # cloud.google.com/run/pricing: rounded up to the nearest 100 ms
    amounts = (("vcpu", size.vcpus, "vCPU-second"), ("memory", size.memory_gib, "GiB-second"))
    for item, quantity, unit in amounts:
        key = _run_key(deployment, f"{item}_request_based")
        yield Resource("compute", f"Cloud Run {item}", quantity, unit, "busy", billed, key)
    if deployment.replicas[0]:
        for item, quantity, unit in amounts:
            key = _run_key(deployment, f"{item}_request_based_idle")
            yield Resource("idle", f"Cloud Run {item} of waiting replicas", quantity, unit, "idle", said, key)
    key = _run_key(deployment, "requests")
    yield Resource("requests", "Cloud Run requests", MILLIONTH, "million requests", "request", price=key)


def _by_instance(deployment: Deployment) -> Iterator[Resource]:
    asked = asked_of(deployment)
    size = size_of(deployment)
    said = settings_of(size, asked, "Cloud Run")
    for item, quantity, unit in (("vcpu", size.vcpus, "vCPU-second"), ("memory", size.memory_gib, "GiB-second")):
        key = _run_key(deployment, f"{item}_instance_based")
        yield Resource("compute", f"Cloud Run {item}", quantity * HOUR_S, unit, "scaled", said, key)
    gpu = accelerator(deployment)
    if gpu is not None:
        key = _run_key(deployment, gpu.priced)
        yield Resource("GPU", f"Cloud Run {gpu.title}", size.gpus * HOUR_S, "GPU-second", "scaled", said, key)


def _cloud_run_refused(deployment: Deployment) -> Iterator[Finding]:
    gpu = accelerator(deployment)
    if gpu is None or gpu.name == DEFAULT_GPU:  # beside another one an instance is larger; what it has at most was not found
        yield from too_large(deployment, "Cloud Run", LARGEST, "service vm")
    gpus = asked_of(deployment).gpus
    if gpus > 1:
        what = f"resources.gpu {gpus}: a replica of Cloud Run has one GPU at most"
        yield refused(deployment, "resources.gpu", what, "write gpu: 1, or use service vertex or vm")
    if gpus and deployment.settings.get("billing") != "instance":
        what = "replicas of Cloud Run with a GPU are billed all the while, not by the request"
        fix = "say --billing instance, or targets.gcp.billing: instance"
        yield refused(deployment, "targets.gcp.billing", what, fix, "impossible-billing")
    # "Cloud Run specifically supports the Linux x86_64 ABI" (docs.cloud.google.com/run, "Container runtime contract", read 2026-11)
    yield from amd64_only(deployment, "Cloud Run")


# -- vertex and vm ---------------------------------------------------------------------------------------------------------


def _vertex(deployment: Deployment) -> Iterator[Resource]:
    """The price of a node, on demand and spot, is its own, not the machine's."""
    name = _instance(deployment)
    key = _key(deployment, "vertex_ai", f"online_prediction {name}")
    yield Resource("instance", name, unit="node-hour", billed="scaled", price=key)
    key = _key(deployment, "vertex_ai", f"online_prediction_spot {name}")
    yield Resource("instance", name, unit="node-hour", billed="spot", price=key)
    yield _logs(deployment)


def _vm(deployment: Deployment) -> Iterator[Resource]:
    yield from machines.machine(PriceKey("gcp", _region(deployment), instance=_instance(deployment)))


def _vertex_refused(deployment: Deployment) -> Iterator[Finding]:
    yield from impossible_strategy(deployment, FEATURES["vertex"])
    yield from _machine_refused(deployment)


def _machine_refused(deployment: Deployment) -> Iterator[Finding]:
    yield from machines.without_gpu(deployment, "gcp", _instance(deployment))


# -- all -------------------------------------------------------------------------------------------------------------------


def _logs(deployment: Deployment) -> Resource:
    key = _key(deployment, "cloud_logging", "ingestion")
    return Resource("logs", "Cloud Logging", unit="GB", billed="logs", price=key)


def _egress(deployment: Deployment) -> Resource:
    key = _key(deployment, "egress_internet", "out_default")
    return Resource("egress", "egress to the internet", unit="GB", billed="egress", price=key)


def _run_key(deployment: Deployment, item: str) -> PriceKey:
    region = _region(deployment)
    return PriceKey("gcp", region, service="cloud_run", item=item, shared=shared_prices(region))


def _key(deployment: Deployment, service: str, item: str) -> PriceKey:
    return PriceKey("gcp", _region(deployment), service=service, item=item)


def _region(deployment: Deployment) -> str:
    return str(deployment.settings.get("region") or "")


def _instance(deployment: Deployment) -> str:
    return str(deployment.settings.get("instance") or "")


_OF: Mapping[str, Callable[[Deployment], Iterator[Resource]]] = {
    "cloud-run": _cloud_run,
    "vertex": _vertex,
    machines.SERVICE: _vm,
}
_REFUSED: Mapping[str, Callable[[Deployment], Iterator[Finding]]] = {
    "cloud-run": _cloud_run_refused,
    "vertex": _vertex_refused,
    machines.SERVICE: _machine_refused,
}
