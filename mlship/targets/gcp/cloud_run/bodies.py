"""What each release sends to Cloud Run: the service, its revision's template, and the callers' shares. Pure; `render` shows it.

One service for a project in one environment, one revision a release, named by it. Callers are shared by whole percents; each
revision in `traffic` has its release as a tag, by which it is asked alone, also at 0 %. How many instances there are is said
of the service, not of a revision: it changes in place. Names of fields: the discovery document of run.v2 (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from mlship.errors import MlshipError
from mlship.targets.base import OPERATOR_KEY, Deployment
from mlship.targets.gcp.caller_cloud_run import OURS
from mlship.targets.gcp.cloud_run.sizing import accelerator, is_by_request, size_of
from mlship.targets.gcp.given import Given, given
from mlship.targets.gcp.scope import CONTENT, Scope
from mlship.targets.gcp.variables import Path, Variable

Body = dict[str, Any]
PORT = 8080
CONTAINER = "server"
IMAGE = Variable("Image")
BY_REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
INGRESS = {
    "all": "INGRESS_TRAFFIC_ALL",
    "internal": "INGRESS_TRAFFIC_INTERNAL_ONLY",
    "load-balancer": "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
}
CONCURRENCY, MOST_CONCURRENCY = 80, 1000  # docs.cloud.google.com/run, "Maximum concurrent requests for services" (2026-11)
MOST_STARTUP_S = 240  # of a startup probe, all its tries together (run.v2, Probe; the sum is from memory, verify)
MOST_TIMEOUT_S = 3600  # cloud.google.com/run/docs/configuring/request-timeout (read 2026-11)
STARTUP_PERIOD_S = 2  # a try takes 1 s at most, and has to be shorter than the time between two (run.v2, Probe)
WHOLE = 100
# What the target decides; a value for it in `env` would make the server listen elsewhere or call itself otherwise. The K_ ones
# are Cloud Run's own (docs.cloud.google.com/run, "Container runtime contract").
OWN_VARIABLES = (
    "PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PYTHONPATH", "MLSHIP_MANIFEST", "MLSHIP_RELEASE", "MLSHIP_HOST",
    "MLSHIP_HOLD", "MLSHIP_DRAIN_DELAY_S", "MLSHIP_DRAIN_TIMEOUT_S", "MLSHIP_SECRETS", "K_SERVICE", "K_REVISION",
    "K_CONFIGURATION",
)  # fmt: skip
# What of a service is how it is operated: it changes without a new revision.
OPERATED = ("labels", "ingress", "invokerIamDisabled", "scaling")


def service(deployment: Deployment, attempt: int = 1) -> Body:
    """CreateService: the first release has all callers, because Cloud Run has no service without a revision for them."""
    scope = _scope(deployment)
    return {
        **operated(deployment),
        **launch_stage(deployment),
        "template": template(deployment, attempt),
        "traffic": traffic({scope.named(deployment.release.id, attempt): WHOLE}, scope),
    }


def create_request(deployment: Deployment, attempt: int = 1) -> Body:
    return {
        "parent": given(deployment).location,
        "serviceId": _scope(deployment).stem,
        "service": service(deployment, attempt),
    }


def update_request(deployment: Deployment, part: Mapping[str, Any]) -> Body:
    """UpdateService of some fields alone; `etag` is that of the service as it was seen."""
    name = Path(given(deployment).location, "services", _scope(deployment).stem)
    return {"service": {"name": name, "etag": Variable("Etag"), **part}, "updateMask": ",".join(part)}


def operated(deployment: Deployment) -> Body:
    """How the service is operated. Who may call it: everybody, or whom its IAM policy names."""
    least, most = deployment.replicas
    return {
        "labels": _scope(deployment).labels("front", deployment.labels),
        "ingress": INGRESS[str(deployment.settings.get("ingress") or "all")],
        "invokerIamDisabled": bool(deployment.operating.get("public")),
        "scaling": {"minInstanceCount": least, "maxInstanceCount": most},
    }


def traffic(percents: Mapping[str, int], scope: Scope) -> list[Body]:
    """percents: revision -> share of the callers, 0 for one that is only asked by its tag. Raises MlshipError unless they are 100."""
    if sum(percents.values()) != WHOLE:
        raise MlshipError(f"the shares {dict(percents)} do not add up to {WHOLE} %", fix="mlship status", code="bad-split")
    return [
        {"type": BY_REVISION, "revision": name, "percent": share, "tag": scope.release_of(name)}
        for name, share in sorted(percents.items())
    ]


def percent(share: float) -> int:
    """Raises MlshipError for a share that is no whole percent: Cloud Run has no others (run.v2, TrafficTarget: int32)."""
    whole = round(share * WHOLE)
    if abs(share * WHOLE - whole) > 1e-6:
        raise MlshipError(
            f"Cloud Run shares callers by whole percents, and {share * WHOLE:g} % is none",
            fix=f"write a step of {max(whole, 1)}%",
            code="impossible-step",
        )
    return whole


def template(deployment: Deployment, attempt: int = 1) -> Body:
    """The revision. Raises MlshipError for a size that Cloud Run does not have, and a secret that nobody named."""
    scope, has = _scope(deployment), given(deployment)
    size, gpu = size_of(deployment), accelerator(deployment)
    release = deployment.release
    body: Body = {
        "revision": scope.named(release.id, attempt),
        "labels": scope.labels("replica", deployment.labels, release=release.id),
        "annotations": {CONTENT: release.served.content},
        "timeout": f"{timeout_s(deployment)}s",
        # less than a vCPU is there in the first generation alone ("Configure CPU limits for services", read 2026-11)
        "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN1" if size.vcpus < 1 else "EXECUTION_ENVIRONMENT_GEN2",
        "maxInstanceRequestConcurrency": concurrency(deployment),
        "containers": [_container(deployment)],
    }
    if has.service_account:
        body["serviceAccount"] = has.service_account
    if way := _private_way(has):
        body["vpcAccess"] = {**way, "egress": "PRIVATE_RANGES_ONLY"}
    if gpu is not None:
        body["nodeSelector"] = {"accelerator": gpu.name}
        body["gpuZonalRedundancyDisabled"] = True  # a zone's GPUs held twice cost more; what is priced is one
    return body


def launch_stage(deployment: Deployment) -> Body:
    """What is a preview is taken only by a service that says so (run.v2, Service.launchStage)."""
    gpu = accelerator(deployment)
    return {"launchStage": "BETA"} if gpu is not None and gpu.is_preview else {}


def timeout_s(deployment: Deployment) -> int:
    """A request that starts an instance waits for it; the server itself ends those that take too long."""
    return min(ceil(deployment.request_timeout_s + deployment.startup_timeout_s), MOST_TIMEOUT_S)


def concurrency(deployment: Deployment) -> int:
    """Requests at a time of one instance: as said, else as `mlship bench` measured the image.

    Less than a vCPU takes one ("Configure CPU limits for services", read 2026-11).
    """
    if size_of(deployment).vcpus < 1:
        return 1
    said = deployment.operating.get("scale") or {}
    if said.get("metric", "concurrency") != "concurrency" or not said.get("per_replica"):
        return max(1, min(int(deployment.operating.get("concurrency") or CONCURRENCY), MOST_CONCURRENCY))
    return max(1, min(ceil(float(said["per_replica"])), MOST_CONCURRENCY))


def is_closed(deployment: Deployment) -> bool:
    """Whether the server itself judges its callers (serve.auth): mlship then asks with a key of its own."""
    return bool(deployment.release.served.serving.get("auth"))


def _private_way(has: Given) -> Body:
    """To private addresses: through a connector, or an interface of the instance's own in a subnet (run.v2, VpcAccess)."""
    if has.vpc_connector:
        return {"connector": has.connector}
    said = {"network": has.network, "subnetwork": has.subnet}
    interface = {name: text for name, text in said.items() if text}
    return {"networkInterfaces": [interface]} if interface else {}


def _container(deployment: Deployment) -> Body:
    size = size_of(deployment)
    limits = {"cpu": _cpu(size.vcpus), "memory": f"{round(size.memory_gib * 1024)}Mi"}
    if size.gpus:
        limits["nvidia.com/gpu"] = str(size.gpus)
    return {
        "name": CONTAINER,
        "image": IMAGE,
        "ports": [{"name": "http1", "containerPort": PORT}],
        "env": _environment(deployment),
        # idle: its processor is taken away, and not billed, while no request is served
        "resources": {"limits": limits, "cpuIdle": is_by_request(deployment)},
        # paths that end in z are reached by checks, though not by callers ("Known issues", read 2026-11)
        "startupProbe": _probe(
            "/readyz", period_s=STARTUP_PERIOD_S, failures=ceil(deployment.startup_timeout_s / STARTUP_PERIOD_S)
        ),
        "livenessProbe": _probe("/livez", period_s=10, failures=3, timeout_s=5),
    }


def _probe(path: str, *, period_s: int, failures: int, timeout_s: int = 1) -> Body:
    return {
        "httpGet": {"path": path, "port": PORT},
        "periodSeconds": period_s,
        "timeoutSeconds": timeout_s,
        "failureThreshold": failures,
    }


def _cpu(vcpus: float) -> str:
    return str(round(vcpus)) if vcpus >= 1 else f"{round(vcpus * 1000)}m"


def _environment(deployment: Deployment) -> list[Body]:
    """Sorted. PORT is Cloud Run's own to say. A secret is read by the platform, at the version that the release has."""
    served = deployment.release.served
    plain = {name: text for name, text in served.env.items() if name not in OWN_VARIABLES}
    plain |= {"MLSHIP_RELEASE": deployment.release.id, "MLSHIP_DRAIN_DELAY_S": "0", **OURS}
    said: dict[str, Body] = {name: {"name": name, "value": text} for name, text in plain.items()}
    for name, version in served.secrets.items():
        if name not in deployment.references:
            raise MlshipError(
                f"nothing says where the secret {name} is at Google Cloud",
                deployment.places.get(f"secrets.{name}", deployment.places.get("secrets", "")),
                f"write secrets: {{{name}: {{gcp: NAME}}}}",
                code="missing-secret",
            )
        said[name] = {
            "name": name,
            "valueSource": {"secretKeyRef": {"secret": deployment.references[name], "version": version}},
        }
    if is_closed(deployment):
        own = {"secret": operator_secret(_scope(deployment)), "version": OPERATOR_VERSION}
        said[OPERATOR_KEY] = {"name": OPERATOR_KEY, "valueSource": {"secretKeyRef": own}}
    return [said[name] for name in sorted(said)]


OPERATOR_VERSION = "1"  # made once, with the secret


def operator_secret(scope: Scope) -> str:
    """The secret with the key with which mlship asks a server that judges its callers."""
    return f"{scope.stem}-operator"


def _scope(deployment: Deployment) -> Scope:
    return Scope(deployment.project, deployment.environment)
