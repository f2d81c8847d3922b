"""What Cloud Run cannot do, and what of it is not there: refused by name with the nearest that works, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlship.config.gates import parse
from mlship.errors import Exit, Finding, MlshipError
from mlship.releases.history import History
from mlship.targets.base import Deployment
from mlship.targets.gcp.caller_cloud_run import CALLER
from mlship.targets.gcp.cloud_run import bodies, seen
from mlship.targets.gcp.cloud_run.measuring import LATE_S
from mlship.targets.gcp.cloud_run.sizing import ACCELERATORS, accelerator, size_of
from mlship.targets.gcp.door import DENIED, MISSING, Door, Refused
from mlship.targets.gcp.given import given
from mlship.targets.gcp.preflight import Needs, Quota, default_account_findings, quota_findings, too_large_bodies
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.variables import filled
from mlship.targets.refusals import refused
from mlship.targets.sizes import asked_of

API = "run.googleapis.com"
NEEDS = Needs(
    apis=(API, "artifactregistry.googleapis.com", "storage.googleapis.com"),
    permissions=(
        *(f"run.services.{verb}" for verb in ("get", "create", "update", "delete")),
        *(f"run.revisions.{verb}" for verb in ("list", "delete")),
        "run.operations.get",
    ),
)
MONITORING, SECRETS = "monitoring.googleapis.com", "secretmanager.googleapis.com"
_INVOKES = "run.routes.invoke"
# With serve.auth the server has a secret of mlship's own (operator_key.py).
_KEEPS = (
    *(f"secretmanager.secrets.{verb}" for verb in ("create", "get", "getIamPolicy", "setIamPolicy")),
    *(f"secretmanager.versions.{verb}" for verb in ("add", "get", "access")),
)
# Without the IAM check anybody may call ("Allowing public access": it takes this right; from memory, verify).
_OPENS = "run.services.setIamPolicy"
_MARGIN_S = 60.0
SMALLEST_SUBNET = 26  # docs.cloud.google.com/run, "Direct VPC egress with a VPC network", read 2026-11
# Quotas of Cloud Run in a region: milli vCPU, bytes, GPUs without zonal redundancy. Service Usage names them so (public projects
# that read theirs, 2026-08 to 2026-10); one that it does not tell is not judged.
_GPU_METRICS = {
    "nvidia-l4": "run.googleapis.com/nvidia_l4_gpu_allocation_no_zonal_redundancy",
    "nvidia-rtx-pro-6000": "run.googleapis.com/nvidia_rtx_pro_6000_gpu_allocation_no_zonal_redundancy",
}


def findings(door: Door, scope: Scope, deployment: Deployment) -> tuple[Finding, ...]:
    """Reads only."""
    return (
        *in_documents(deployment),
        *default_account_findings(door, deployment),
        *_connector(door, deployment),
        *_subnet(door, deployment),
        *_caller(door, scope, deployment),
        *quota_findings(door, deployment, API, quotas(deployment)),
    )


def needs(deployment: Deployment) -> Needs:
    """Pure."""
    apis, permissions = [*NEEDS.apis], [*NEEDS.permissions, _OPENS if deployment.operating.get("public") else _INVOKES]
    if bodies.is_closed(deployment):
        permissions += _KEEPS
    if bodies.is_closed(deployment) or deployment.references:
        apis.append(SECRETS)
    if _is_measured(deployment):
        apis.append(MONITORING)
        permissions.append("monitoring.timeSeries.list")
    return Needs(tuple(apis), tuple(permissions))


def in_documents(deployment: Deployment) -> Iterator[Finding]:
    """What can be told from the file alone. Pure."""
    yield from _rollout(deployment)
    if deployment.startup_timeout_s > bodies.MOST_STARTUP_S:
        what = f"serve.startup_timeout is {deployment.startup_timeout_s:g} s, and Cloud Run waits {bodies.MOST_STARTUP_S} s at most"
        yield refused(deployment, "serve.startup_timeout", what, f"write {bodies.MOST_STARTUP_S}s", "too-long")
    if deployment.request_timeout_s > bodies.MOST_TIMEOUT_S:
        said, most = deployment.request_timeout_s, bodies.MOST_TIMEOUT_S
        what = f"serve.request_timeout is {said:g} s, and a request of Cloud Run ends after {most} s"
        yield refused(deployment, "serve.request_timeout", what, f"write {bodies.MOST_TIMEOUT_S}s", "too-long")
    yield from too_large_bodies(deployment, CALLER)
    named = str(deployment.settings.get("accelerator") or "")
    if named and named not in ACCELERATORS:
        what = f"Cloud Run has no accelerator {named}"
        yield refused(deployment, "targets.gcp.accelerator", what, f"write one of {', '.join(ACCELERATORS)}", "no-such-part")
    if deployment.operating.get("public") and deployment.settings.get("ingress") not in (None, "", "all"):
        what = f"public: true, and targets.gcp.ingress: {deployment.settings['ingress']} lets nobody in from the internet"
        yield refused(deployment, "public", what, "write ingress: all, or delete public", "contradiction")
    elif deployment.settings.get("ingress") not in (None, "", "all"):
        what = f"targets.gcp.ingress {deployment.settings['ingress']}: mlship asks each release at an address that only its network reaches"
        fix = "run mlship in the project's network, or write ingress: all (callers need a token in any case)"
        yield replace(refused(deployment, "targets.gcp.ingress", what, fix, "only-inside"), severity="warning")
    if given(deployment).vpc_connector and given(deployment).subnetwork:
        what = "targets.gcp.vpc_connector and targets.gcp.network are two ways to the same addresses, and Cloud Run takes one"
        yield refused(deployment, "targets.gcp.vpc_connector", what, "keep one of them", "contradiction")


def quotas(deployment: Deployment) -> tuple[Quota, ...]:
    """What the most replicas take. Pure."""
    size, gpu, most = size_of(deployment), accelerator(deployment), deployment.replicas[1]
    found = [
        Quota("run.googleapis.com/cpu_allocation", size.vcpus * 1000 * most, "milli vCPU"),
        Quota("run.googleapis.com/mem_allocation", size.memory_gib * 2**30 * most, "bytes"),
    ]
    if gpu is not None:
        found.append(Quota(_GPU_METRICS[gpu.name], asked_of(deployment).gpus * most, "GPU"))
    return tuple(found)


def _rollout(deployment: Deployment) -> Iterator[Finding]:
    strategy = deployment.strategy
    if strategy.name in ("recreate", "rolling"):
        what = f"rollout.strategy {strategy.name}: revisions of Cloud Run stand side by side, and none is stopped for another"
        yield refused(deployment, "rollout.strategy", what, "write blue-green or canary", "absent-feature")
    for step in strategy.steps:
        try:
            bodies.percent(step)
        except MlshipError as error:
            yield refused(deployment, "rollout.steps", error.what, error.fix, error.code)
    if _is_measured(deployment) and strategy.bake_s < LATE_S + _MARGIN_S:
        what = f"rollout.bake is {strategy.bake_s:g} s, and what Cloud Run has counted is known {LATE_S:.0f} s later"
        fix = f"write bake: 5m, at least {LATE_S + _MARGIN_S:.0f}s"
        yield refused(deployment, "rollout.bake", what, fix, "too-short")


def _is_measured(deployment: Deployment) -> bool:
    return any(parse(gate).is_measured for gate in deployment.strategy.gates)


def _connector(door: Door, deployment: Deployment) -> Iterator[Finding]:
    connector = given(deployment).connector
    if not connector:
        return
    name = filled(connector, {"Project": door.project})
    try:
        told = door.http("GET", f"https://vpcaccess.googleapis.com/v1/{name}")
    except Refused as no:
        if no.code == MISSING:
            what = f"targets.gcp.vpc_connector {name} is not there"
            yield refused(deployment, "targets.gcp.vpc_connector", what, "correct the name, or make it", "no-such-part")
        elif no.code not in (DENIED, "api-disabled"):
            raise
        return
    if told.get("state") != "READY":
        what = f"targets.gcp.vpc_connector {name} is {str(told.get('state', '')).lower()}"
        yield refused(deployment, "targets.gcp.vpc_connector", what, "mend it first", "no-such-part")


def _subnet(door: Door, deployment: Deployment) -> Iterator[Finding]:
    """Whether the subnet in which instances get their addresses is there, and large enough. Compute Engine knows; where it may

    not be asked, the deployment tells.
    """
    name = filled(given(deployment).subnetwork, {"Project": door.project})
    if not name:
        return
    key = "targets.gcp.subnet" if given(deployment).subnet else "targets.gcp.network"
    try:
        told = door.http("GET", f"https://compute.googleapis.com/compute/v1/{name}")
    except Refused as no:
        if no.code == MISSING:
            what = f"there is no subnet {name}, and instances of {door.region} have no address without one"
            yield refused(deployment, key, what, f"correct {key}, or make the subnet in {door.region}", "no-such-part")
        return
    bits = int(str(told.get("ipCidrRange") or "0.0.0.0/0").rpartition("/")[2])
    if bits > SMALLEST_SUBNET:
        what = f"the subnet {name} is a /{bits}, and Cloud Run takes none smaller than /{SMALLEST_SUBNET}"
        yield refused(deployment, key, what, f"name one of /{SMALLEST_SUBNET} at least", "no-such-part")


def _caller(door: Door, scope: Scope, deployment: Deployment) -> Iterator[Finding]:
    """Who cannot ask a release would only learn so when it is staged."""
    if deployment.operating.get("public"):
        return
    try:
        door.identity_token(f"https://{scope.stem}.run.app", given(deployment).service_account)
    except MlshipError as error:
        if error.exit is not Exit.DENIED:
            raise
        yield refused(deployment, "targets.gcp.service_account", error.what, error.fix, error.code)


def restorable(door: Door, scope: Scope, deployment: Deployment, history: History | None) -> Iterator[Finding]:
    """If the new release fails, what is live now has to be able to serve again."""
    if history is None or not history.live or history.live == deployment.release.id:
        return
    present = seen.look(door, scope)
    revision = present.of(history.live) if present else None
    if revision is None or not revision.is_ready:
        what = f"{history.live} is live by the records, and its revision is not ready: it could not be brought back"
        found = refused(deployment, "", what, "go on only if that is no loss", "not-restorable")
        yield replace(found, severity="warning")
