"""What Vertex AI alone refuses, or has to have: known before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlship.errors import Finding
from mlship.releases.history import History
from mlship.targets.base import Deployment
from mlship.targets.gcp.caller_vertex import CALLER
from mlship.targets.gcp.door import MISSING, Door, Refused
from mlship.targets.gcp.given import given
from mlship.targets.gcp.paging import pages
from mlship.targets.gcp.preflight import Needs, Quota, quota_findings, too_large_bodies
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.variables import filled
from mlship.targets.gcp.vertex import bodies, seen
from mlship.targets.gcp.vertex.machines import accelerator, counted
from mlship.targets.gcp.vertex.measuring import LATE_S
from mlship.targets.refusals import refused

API = "aiplatform.googleapis.com"
MONITORING = "monitoring.googleapis.com"
_PERMISSIONS = (
    *(f"aiplatform.endpoints.{verb}" for verb in ("get", "create", "update", "delete", "deploy", "undeploy", "predict")),
    *(f"aiplatform.models.{verb}" for verb in ("get", "list", "upload", "update", "delete")),
    "aiplatform.operations.list",
)
_MEASURED = ("requests", "error_rate", "mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms")


def needs(deployment: Deployment) -> Needs:
    apis = (API, "artifactregistry.googleapis.com", "storage.googleapis.com")
    if not _is_measured(deployment):
        return Needs(apis, _PERMISSIONS)
    return Needs((*apis, MONITORING), (*_PERMISSIONS, "monitoring.timeSeries.list"))


def findings(door: Door, scope: Scope, deployment: Deployment, history: History | None) -> tuple[Finding, ...]:
    """Reads only."""
    return (
        *in_documents(deployment),
        *in_a_deploy(deployment),
        *_machine(door, deployment),
        *_reservation(door, deployment),
        *_quotas(door, deployment),
        *_restorable(door, scope, deployment, history),
    )


def in_documents(deployment: Deployment) -> Iterator[Finding]:
    """What is refused in what is rendered, too."""
    served = deployment.release.served
    if served.serving.get("auth"):
        what = "serve.auth is impossible on Vertex AI: it takes the callers' Authorization for itself, and passes none on"
        yield refused(
            deployment, "serve.auth", what, "leave it out (IAM decides who may call), or use service cloud-run", "impossible"
        )
    protocols = served.serving.get("protocols")
    if protocols and "vertex" not in protocols:
        what = f"serve.protocols is without vertex, and Vertex AI calls {bodies.PREDICT} and {bodies.HEALTH}"
        yield refused(deployment, "serve.protocols", what, "add vertex to serve.protocols", "no-route")
    yield from too_large_bodies(deployment, CALLER)
    if served.secrets:
        what = "secrets for service vertex are not yet built: containers of an endpoint take none, and the server does not fetch them"
        yield refused(deployment, "secrets", what, "use service cloud-run", "not-yet")
    if deployment.operating.get("public"):
        what = "public: true is impossible on Vertex AI: its API takes signed requests only"
        yield refused(deployment, "public", what, "leave it out, or use service cloud-run", "impossible")
    if len(served.models) > 1:
        what = f"an endpoint of Vertex AI has one predict route, and {len(served.models)} models need one each"
        yield refused(
            deployment, "models", what, "deploy each model as a project of its own, or use service cloud-run", "impossible"
        )
    if deployment.replicas[0] < 1:
        what = "scale.replicas begins at 0, and a deployed model has one replica at least"
        yield refused(deployment, "scale.replicas", what, "write 1, or use service cloud-run", "impossible")
    if bodies.is_spot(deployment) and deployment.replicas[1] <= bodies.base_of(deployment):
        most, base = deployment.replicas[1], bodies.base_of(deployment)
        what = f"of {most} replicas {base} are on demand, and none is left for spot"
        yield refused(deployment, "scale.replicas", what, f"write {base + 1} or more, or cost.profile: on-demand", "impossible")
    yield from _scaling(deployment)
    yield from _of_cloud_run(deployment)


def _scaling(deployment: Deployment) -> Iterator[Finding]:
    said = deployment.operating.get("scale") or {}
    metric = str(said.get("metric") or "")
    least, most = deployment.replicas
    share = said.get("per_replica")
    if least != most and metric not in bodies.METRICS and (share or "scale.metric" in deployment.places):
        what = f"scale.metric {metric or 'concurrency'} is impossible on Vertex AI: it scales by cpu, gpu or rps"
        yield refused(deployment, "scale.metric", what, "write one of these", "impossible")
    if least != most and metric == "rps" and not share:
        what = "scale.metric rps without scale.per_replica: Vertex AI has no number of requests that would fit every model"
        fix = "write scale.per_replica: as many requests a second as one replica should carry (mlship bench measures it)"
        yield refused(deployment, "scale.metric", what, fix, "no-per-replica")
    instance = str(deployment.settings.get("instance") or "")
    if least != most and metric == "gpu" and instance and accelerator(instance) is None:
        what = f"scale.metric gpu: {instance} has no accelerator"
        yield refused(
            deployment, "scale.metric", what, "write cpu or rps, or take an instance such as g2-standard-4", "impossible"
        )
    if share and metric in bodies.PERCENTAGES and not 1 <= share <= bodies.WHOLE:
        what = f"scale.per_replica {share:g}: the target of {metric} is a percentage"
        yield refused(deployment, "scale.per_replica", what, "write 1 to 100", "impossible")


def _of_cloud_run(deployment: Deployment) -> Iterator[Finding]:
    for key in ("vpc_connector", "network", "subnet", "ingress", "accelerator"):
        if deployment.settings.get(key):
            what = f"targets.gcp.{key} is of Cloud Run: an endpoint of Vertex AI has none"
            yield refused(deployment, f"targets.gcp.{key}", what, "leave it out, or use service cloud-run", "impossible")


def in_a_deploy(deployment: Deployment) -> Iterator[Finding]:
    """What the file says of the way to there. Pure."""
    strategy = deployment.strategy
    if _is_measured(deployment) and strategy.bake_s < LATE_S:
        what = f"rollout.bake {strategy.bake_s:g} s: Cloud Monitoring tells what was counted up to {LATE_S:.0f} s later"
        yield refused(
            deployment, "rollout.bake", what, f"write {LATE_S * 2:.0f}s or more, or leave out the measured gates", "impossible"
        )
    for share in strategy.steps if strategy.name == "canary" else ():
        if abs(share * bodies.WHOLE - round(share * bodies.WHOLE)) > 1e-6:
            what = f"rollout.steps {share * bodies.WHOLE:g}%: Vertex AI shares callers by whole percents"
            yield refused(deployment, "rollout.steps", what, f"write {max(round(share * bodies.WHOLE), 1)}%", "impossible")
    if deployment.request_timeout_s > CALLER.answer_s:
        what = (
            f"serve.request_timeout {deployment.request_timeout_s:g} s: an endpoint waits {CALLER.answer_s:.0f} s for an answer"
        )
        yield refused(deployment, "serve.request_timeout", what, f"write {CALLER.answer_s:.0f}s or less", "impossible")


def _is_measured(deployment: Deployment) -> bool:
    return any(gate.split()[0] in _MEASURED for gate in deployment.strategy.gates)


def _restorable(door: Door, scope: Scope, deployment: Deployment, history: History | None) -> Iterator[Finding]:
    """What serves now has to be what one could go back to."""
    live = history.live if history else ""
    if live and live not in seen.versions(door, scope):
        what = f"{live} is live, and the model has no version of it any more: there is no way back to it"
        fix = "deploy all the same, and mlship rollback has nothing to go to"
        yield replace(refused(deployment, "", what, fix, "not-restorable"), severity="warning")


def _machine(door: Door, deployment: Deployment) -> Iterator[Finding]:
    """Whether the region has the type at all. Compute Engine knows; where it may not be asked, the deployment tells."""
    name = str(deployment.settings.get("instance") or "")
    url = f"https://compute.googleapis.com/compute/v1/projects/{door.project}/aggregated/machineTypes"
    try:
        told = [page.get("items") or {} for page in pages(door, url, {"filter": f'name = "{name}"'})]
    except Refused:
        return
    looked = {place: said for items in told for place, said in items.items()}
    zones = [place.removeprefix("zones/") for place, said in looked.items() if said.get("machineTypes")]
    if zones and not any(zone.startswith(f"{door.region}-") for zone in zones):
        regions = sorted({zone.rpartition("-")[0] for zone in zones})
        fix = f"take another type, or one of the regions that have it: {', '.join(regions[:5])}"
        yield refused(deployment, "targets.gcp.instance", f"{door.region} has no {name}", fix, "no-machine")
    if looked and not zones:
        what = f"Google Cloud has no type of machine {name}"
        yield refused(deployment, "targets.gcp.instance", what, "correct it: n2-standard-2, g2-standard-4, ...", "no-machine")


def _reservation(door: Door, deployment: Deployment) -> Iterator[Finding]:
    """Whether Vertex AI may take its machines. Compute Engine knows; where it may not be asked, the deployment tells."""
    name = filled(given(deployment).reserved, {"Project": door.project})
    if not name:
        return
    key = "targets.gcp.reservation"
    _, project, _, zone, _, short = name.split("/")
    if not zone.startswith(f"{door.region}-"):
        what = f"{key} {short} is in {zone}, and the endpoint in {door.region}"
        yield refused(deployment, key, what, f"name one of a zone of {door.region}", "no-such-part")
        return
    try:
        told = door.http("GET", f"https://compute.googleapis.com/compute/v1/{name}")
    except Refused as no:
        if no.code == MISSING:
            fix = f"gcloud compute reservations list --project={project}"
            yield refused(
                deployment, key, f"{key} {short} is not there: {zone} of {project} has none of that name", fix, "no-such-part"
            )
        return
    # unsaid it is not shared with Google's own services (compute.v1, Reservation.reservationSharingPolicy)
    if (told.get("reservationSharingPolicy") or {}).get("serviceShareType") != "ALLOW_ALL":
        what = f"{key} {short} is not shared with Google's own services: Vertex AI gets none of its machines"
        update = f"gcloud compute reservations update {short} --zone={zone} --project={project}"
        yield refused(deployment, key, what, f"{update} --reservation-sharing-policy=ALLOW_ALL", "not-shared")
    reserved = ((told.get("specificReservation") or {}).get("instanceProperties") or {}).get("machineType")
    wanted = deployment.settings.get("instance")
    if reserved and reserved != wanted:
        what = f"{key} {short} reserves {reserved}, and targets.gcp.instance is {wanted}"
        yield refused(deployment, key, what, f"write instance: {reserved}, or name another reservation", "other-machine")


def _quotas(door: Door, deployment: Deployment) -> Iterator[Finding]:
    name = str(deployment.settings.get("instance") or "")
    wanted: dict[str, float] = {}
    proving = [({"maxReplicaCount": 1}, False)]  # beside the callers' endpoint, until the release has proved itself
    deployed = [
        (one["dedicatedResources"], "spot" in one["dedicatedResources"]) for one in bodies.deployed_models(deployment).values()
    ]
    for resources, is_spot in [*deployed, *proving]:
        for one in counted(name, spot=is_spot):
            wanted[one.metric] = wanted.get(one.metric, 0.0) + one.amount * resources["maxReplicaCount"]
    quotas = [Quota(metric, amount, "GPU" if metric.endswith("_gpus") else "vCPU") for metric, amount in sorted(wanted.items())]
    yield from quota_findings(door, deployment, API, quotas)
