"""What a deployment to Amazon Web Services is billed for. Pure; item names are those of the price book."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mlship.errors import Finding
from mlship.targets import machines
from mlship.targets.aws.features import EXCLUDED as EXCLUDED
from mlship.targets.aws.features import FEATURES
from mlship.targets.aws.lambdas.foundation import kept_ready
from mlship.targets.aws.sagemaker.types import PRICED, PRICED_IN, TYPES, like, plain, premium
from mlship.targets.aws.sizes import EPHEMERAL_GB, FARGATE, LAMBDA_MB, fargate, function, memory_for
from mlship.targets.base import Deployment, PriceKey, Resource
from mlship.targets.refusals import check_service, refused, too_large, too_many, unsaid_or_impossible
from mlship.targets.sizes import Size, asked_of, settings_of

TASKS = 5000  # of one service: the quota that an account begins with ("Amazon ECS endpoints and quotas"; from memory, verify)
LABELS = 40  # 50 tags (TagList, service model of botocore 1.44.5), of which six are mlship's
SECONDS_PER_HOUR = 3600
BALANCER_ZONES = 2  # at least; where there are more subnets, there are more addresses
LARGEST_TASK = Size(max(size.vcpus for size in FARGATE), max(size.memory_gib for size in FARGATE))
_NEEDS_INSTANCE = ("sagemaker", machines.SERVICE)


def resources(deployment: Deployment) -> tuple[Resource, ...]:
    """Raises MlshipError for a service that AWS does not have here."""
    check_service(deployment, FEATURES)
    return (*_OF[deployment.service](deployment), _egress(deployment))


def findings(deployment: Deployment) -> tuple[Finding, ...]:
    """Raises MlshipError for a service that AWS does not have here."""
    check_service(deployment, FEATURES)
    return (
        *unsaid_or_impossible(deployment, FEATURES, _NEEDS_INSTANCE, region="us-east-1", instance="m7g.large"),
        *_REFUSED[deployment.service](deployment),
        *_labels(deployment),
    )


def _labels(deployment: Deployment) -> Iterator[Finding]:
    if len(deployment.labels) > LABELS:
        what = f"{len(deployment.labels)} labels are more than AWS takes beside mlship's own: a thing there has 50 tags at most"
        yield refused(deployment, "labels", what, f"write at most {LABELS}", "too-many")


# -- ecs -------------------------------------------------------------------------------------------------------------------


def _ecs(deployment: Deployment) -> Iterator[Resource]:
    asked = asked_of(deployment)
    size = fargate(asked)
    said = settings_of(size, asked, "Fargate")
    arch = "arm64" if deployment.settings.get("arch") == "arm64" else "x86"
    for item, quantity, unit in (("vcpu", size.vcpus, "vCPU-hour"), ("memory", size.memory_gib, "GB-hour")):
        for billed, prefix, name in (("scaled", "", "Fargate"), ("spot", "spot_", "Fargate Spot")):
            key = _key(deployment, "fargate", f"{prefix}{item}_{arch}")
            meter: Any = billed
            yield Resource("compute", f"{name} {item} {arch}", quantity, unit, meter, said, key)
    yield from _storage(deployment)
    yield from _front(deployment)
    if deployment.settings.get("subnets"):
        yield Resource("NAT", "NAT gateway", unit="hour", price=_key(deployment, "nat_gateway", "hour"))
    else:
        key = _key(deployment, "public_ipv4", "in_use")
        yield Resource("public IPv4", "public IPv4 of each task", unit="hour", billed="scaled", price=key)
    yield from _registry(deployment)
    yield _logs(deployment)


def _front(deployment: Deployment) -> Iterator[Resource]:
    """The balancer, where no other one is given; on the internet it has an address in each of its zones. Without one: the zone of the
    name that callers ask for, where no other one is given.
    """
    if deployment.settings.get("balancer") is False:
        if not deployment.settings.get("namespace"):
            yield Resource(
                "DNS", "private zone of Route 53", unit="zone-month", price=_key(deployment, "route53", "hosted_zone")
            )
        return
    if deployment.settings.get("listener"):
        return
    key = _key(deployment, "load_balancer", "alb_hour")
    yield Resource("load balancer", "application load balancer", unit="hour", price=key)
    if deployment.operating.get("public"):
        key = _key(deployment, "public_ipv4", "in_use")
        yield Resource("public IPv4", "public IPv4 of the balancer in two zones", BALANCER_ZONES, "hour", price=key)


def _storage(deployment: Deployment) -> Iterator[Resource]:
    """Of a task, above what all have."""
    more = float(deployment.settings.get("ephemeral_gb") or 0) - EPHEMERAL_GB
    if more > 0:
        key = _key(deployment, "fargate", "ephemeral_storage_above_20gb")
        yield Resource("storage", "ephemeral storage above 20 GB", more, "GB-hour", "scaled", price=key)


def _ecs_refused(deployment: Deployment) -> Iterator[Finding]:
    yield from too_large(deployment, "Fargate", LARGEST_TASK, "service vm")
    yield from too_many(deployment, "an ECS service", TASKS, "quota of AWS", "warning")


# -- sagemaker -------------------------------------------------------------------------------------------------------------


def _sagemaker(deployment: Deployment) -> Iterator[Resource]:
    name = plain(_instance(deployment))
    key, said = hosting_price(_region(deployment), name)
    yield Resource("instance", f"ml.{name}", unit="hour", billed="scaled", settings=said, price=key)
    yield from _registry(deployment)
    yield _logs(deployment)


def hosting_price(region: str, name: str) -> tuple[PriceKey, Mapping[str, str]]:
    """Where the price of a type stands, and what is assumed with it. name: without `ml.`."""
    more = premium(name)
    if more is None or (region == PRICED_IN and name in PRICED):
        return PriceKey("aws", region, service="sagemaker_realtime", item=f"ml.{name}"), {}
    assumed = f"SageMaker's ml.{name} costs {more.times:g} times the plain {name}, as {more.known_from} do"
    key = PriceKey("aws", region, name, "sagemaker_realtime", f"ml.{name}", more.times)
    return key, {"assumed": assumed}


def _sagemaker_refused(deployment: Deployment) -> Iterator[Finding]:
    name = plain(_instance(deployment))
    if name and name not in TYPES:
        what, fix = f"SageMaker hosts on no {name}", f"use one of: {', '.join(like(name))}"
        yield refused(deployment, "targets.aws.instance", what, fix, "unknown-instance")
    yield from machines.without_gpu(deployment, "aws", name)


# -- lambda ----------------------------------------------------------------------------------------------------------------


def _function(deployment: Deployment) -> Iterator[Resource]:
    asked = asked_of(deployment)
    size = function(asked.memory_gib)
    said = settings_of(size, Size(size.vcpus, asked.memory_gib), "Lambda")
    arch = "arm64" if deployment.settings.get("arch") == "arm64" else "x86"
    key = _key(deployment, "lambda", f"duration_{arch}")
    said["round_s"] = 0.001  # each request is billed by the millisecond
    yield Resource("compute", f"Lambda duration {arch}", size.memory_gib, "GB-second", "busy", said, key)
    if ready := kept_ready(deployment):
        key = _key(deployment, "lambda", f"provisioned_concurrency_{arch}")
        kept = ready * size.memory_gib * SECONDS_PER_HOUR
        yield Resource("compute", f"Lambda copies kept ready {arch}", kept, "GB-second", "always", price=key)
    key = _key(deployment, "lambda", "requests")
    yield Resource("requests", "Lambda requests", unit="request", billed="request", price=key)
    yield from _registry(deployment)
    yield _logs(deployment)


def _function_refused(deployment: Deployment) -> Iterator[Finding]:
    asked, most = asked_of(deployment), LAMBDA_MB[1]
    size = function(asked.memory_gib)
    if size.memory_gib < asked.memory_gib:
        what = f"resources.memory {asked.memory_gib:.4g}GiB is more than Lambda has: a function gets at most {most:,} MB"
        yield refused(deployment, "resources.memory", what, "write at most 10GiB, or use service ecs")
    if "resources.cpu" in deployment.places and asked.vcpus > size.vcpus:
        needed = memory_for(asked.vcpus)
        what = f"resources.cpu {asked.vcpus:g}: a function with {asked.memory_gib:.4g}GiB has {size.vcpus:.2f} vCPU"
        fix = f"write resources.memory: {needed}MiB" if needed <= most else "use service ecs"
        yield replace(refused(deployment, "resources.cpu", what, fix), severity="warning")  # it serves, only slower


# -- vm --------------------------------------------------------------------------------------------------------------------


def _vm(deployment: Deployment) -> Iterator[Resource]:
    yield from machines.machine(PriceKey("aws", _region(deployment), instance=_instance(deployment)))


def _vm_refused(deployment: Deployment) -> Iterator[Finding]:
    name = _instance(deployment)
    if name != plain(name):
        what = f"{name} is a type of SageMaker, and not of a plain machine"
        fix = f"write {plain(name)}, or service: sagemaker"
        yield refused(deployment, "targets.aws.instance", what, fix, "unknown-instance")
    yield from machines.without_gpu(deployment, "aws", plain(name))


# -- all -------------------------------------------------------------------------------------------------------------------


def _registry(deployment: Deployment) -> Iterator[Resource]:
    """Where the image's size is known, compressed."""
    gigabytes = float(deployment.settings.get("image_gb") or 0)
    if gigabytes:
        yield Resource("registry", "ECR storage", gigabytes, "GB-month", price=_key(deployment, "ecr", "storage"))


def _logs(deployment: Deployment) -> Resource:
    key = _key(deployment, "cloudwatch_logs", "ingestion")
    return Resource("logs", "CloudWatch logs", unit="GB", billed="logs", price=key)


def _egress(deployment: Deployment) -> Resource:
    key = _key(deployment, "egress_internet", "out")
    return Resource("egress", "egress to the internet", unit="GB", billed="egress", price=key)


def _key(deployment: Deployment, service: str, item: str) -> PriceKey:
    return PriceKey("aws", _region(deployment), service=service, item=item)


def _region(deployment: Deployment) -> str:
    return str(deployment.settings.get("region") or "")


def _instance(deployment: Deployment) -> str:
    return str(deployment.settings.get("instance") or "")


_OF: Mapping[str, Callable[[Deployment], Iterator[Resource]]] = {
    "ecs": _ecs,
    "sagemaker": _sagemaker,
    "lambda": _function,
    machines.SERVICE: _vm,
}
_REFUSED: Mapping[str, Callable[[Deployment], Iterator[Finding]]] = {
    "ecs": _ecs_refused,
    "sagemaker": _sagemaker_refused,
    "lambda": _function_refused,
    machines.SERVICE: _vm_refused,
}
