"""What each release sends to Vertex AI: a version of the model, an endpoint, deployed models, the callers' shares. Pure.

One model a project and environment, whose versions are its releases (the release's id is the version's alias); one endpoint for
callers, and one for nobody but mlship: a deployed model at 0 % cannot be asked by any request that callers have, so that each
release is deployed there, too, until it has proved itself. Names of fields: the discovery document of aiplatform.v1, 20261106.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from mlship.errors import MlshipError
from mlship.targets.base import Deployment
from mlship.targets.gcp.given import given
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.variables import Path, Variable
from mlship.targets.gcp.vertex.machines import accelerator

Body = dict[str, Any]
PORT = 8080
PREDICT, HEALTH = "/vertex/predict", "/vertex/health"
IMAGE = Variable("Image")
WHOLE = 100
SPOT = "-spot"  # what the name of the sibling ends with
PROOF = "-proof"  # what the name of the endpoint that no caller knows ends with
# ModelContainerSpec.deploymentTimeout: two hours at most. A machine with its image takes minutes; the server's start comes on top.
MACHINE_S, MOST_TIMEOUT_S = 1800, 7200
# Probe: a period has to be less than the timeout.
PERIOD_S, TIMEOUT_S = 4, 5
_METRIC = "aiplatform.googleapis.com/prediction/online/"
METRICS = {"cpu": f"{_METRIC}cpu/utilization", "gpu": f"{_METRIC}accelerator/duty_cycle", "rps": f"{_METRIC}request_count"}
PERCENTAGES = ("cpu", "gpu")  # what their targets are
PERCENT = 60  # Vertex AI's own target of both
MINUTE_S = 60
# What the target decides; a value for it in `env` would make the server listen elsewhere or call itself otherwise. The AIP_ ones are
# Vertex AI's own ("Custom container requirements for inference", read 2026-11).
OWN_VARIABLES = (
    "PORT", "SAGEMAKER_BIND_TO_PORT", "PYTHONPATH", "MLSHIP_MANIFEST", "MLSHIP_RELEASE", "MLSHIP_HOST", "MLSHIP_HOLD",
    "MLSHIP_DRAIN_DELAY_S", "MLSHIP_DRAIN_TIMEOUT_S", "MLSHIP_SECRETS",
)  # fmt: skip


def upload_request(deployment: Deployment, *, first: bool) -> Body:
    """UploadModel: the release as a version. first: of a model that is not there yet."""
    scope, has = scope_of(deployment), given(deployment)
    model = Path(has.location, "models", scope.stem)
    place: Body = {"modelId": scope.stem} if first else {"parentModel": model}
    return {
        "parent": has.location,
        **place,
        "model": {
            "displayName": scope.stem,
            "versionAliases": [deployment.release.id],
            "versionDescription": deployment.release.served.content,
            "labels": scope.labels("replica", deployment.labels),
            "containerSpec": _container(deployment),
        },
    }


def endpoint_request(deployment: Deployment, end: str = "") -> Body:
    """CreateEndpoint. end: PROOF for the one that only mlship asks."""
    scope = scope_of(deployment)
    return {
        "parent": given(deployment).location,
        "endpointId": scope.stem + end,
        "endpoint": {"displayName": scope.stem + end, "labels": endpoint_labels(deployment, end)},
    }


def endpoint_labels(deployment: Deployment, end: str = "") -> dict[str, str]:
    return scope_of(deployment).labels("proof" if end else "front", deployment.labels)


def deploy_request(deployment: Deployment, deployed: Body, end: str = "") -> Body:
    """DeployModel, with no word on traffic: nobody is led to it by this call."""
    return {"endpoint": endpoint_path(deployment, end), "deployedModel": deployed}


def split_request(endpoint: str, etag: str, split: Mapping[str, int]) -> Body:
    """UpdateEndpoint. Raises MlshipError for shares that do not add up: Vertex AI takes all of them, or none."""
    if sum(split.values()) not in (0, WHOLE) or any(share < 0 for share in split.values()):
        raise MlshipError(f"the shares {dict(split)} do not add up to {WHOLE} %", fix="mlship status", code="bad-split")
    shares = {id: share for id, share in sorted(split.items()) if share}
    return {"endpoint": {"name": endpoint, "etag": etag, "trafficSplit": shares}, "updateMask": "trafficSplit"}


def mutate_request(endpoint: str, id: str, told: Mapping[str, Any], wanted: Body) -> Body:
    """MutateDeployedModel: how many replicas, and when more. The only fields of it that change in place.

    told: its resources as they are; those that have to be there in any case are said again.
    """
    changed = {name: wanted["dedicatedResources"][name] for name in _SCALE}
    mask = ",".join(f"dedicatedResources.{name}" for name in changed)
    return {"endpoint": endpoint, "deployedModel": {"id": id, "dedicatedResources": {**told, **changed}}, "updateMask": mask}


_SCALE = ("minReplicaCount", "maxReplicaCount", "autoscalingMetricSpecs")


def deployed_models(deployment: Deployment, release: str = "") -> dict[str, Body]:
    """Name -> DeployedModel: one on demand, and with `cost.profile: spot` a sibling that is spot.

    release: another one than the deployment's, on the same machines.
    """
    name, (least, most) = release or deployment.release.id, deployment.replicas
    if not is_spot(deployment):
        return {name: _deployed(deployment, name, (least, most), spot=False)}
    base = base_of(deployment)
    spot = (max(least - base, 1), max(most - base, 1))
    return {
        name: _deployed(deployment, name, (base, base), spot=False),
        name + SPOT: _deployed(deployment, name, spot, spot=True),
    }


def proof_model(deployment: Deployment) -> Body:
    """One replica, on demand: what the release is, and not how many."""
    return _deployed(deployment, deployment.release.id, (1, 1), spot=False)


def is_spot(deployment: Deployment) -> bool:
    return (deployment.operating.get("cost") or {}).get("profile") == "spot"


def base_of(deployment: Deployment) -> int:
    """Replicas on demand beside those that are spot: a deployed model has one at least."""
    return max(int((deployment.operating.get("cost") or {}).get("on_demand_base") or 1), 1)


def percent(share: float) -> int:
    """Raises MlshipError for a share that is no whole percent: Endpoint.trafficSplit holds integers."""
    whole = round(share * WHOLE)
    if abs(share * WHOLE - whole) > 1e-6:
        raise MlshipError(
            f"Vertex AI shares callers by whole percents, and {share * WHOLE:g} % is none",
            fix=f"write a step of {max(whole, 1)}%",
            code="impossible-step",
        )
    return whole


def shared_between(percents: int, weights: Mapping[str, int]) -> dict[str, int]:
    """A release's percents among its deployed models, as many as each has replicas; what is left over goes to the first."""
    whole = sum(weights.values())
    if not whole:
        return {id: percents if place == 0 else 0 for place, id in enumerate(weights)}
    found = {id: percents * weight // whole for id, weight in weights.items()}
    first = next(iter(found))
    found[first] += percents - sum(found.values())
    return found


def release_of(name: str) -> str:
    """Of a deployed model's display name."""
    return name.removesuffix(SPOT)


def endpoint_path(deployment: Deployment, end: str = "") -> Path:
    return Path(given(deployment).location, "endpoints", scope_of(deployment).stem + end)


def scope_of(deployment: Deployment) -> Scope:
    return Scope(deployment.project, deployment.environment)


def _deployed(deployment: Deployment, release: str, replicas: tuple[int, int], *, spot: bool) -> Body:
    scope, has = scope_of(deployment), given(deployment)
    resources: Body = {
        "machineSpec": _machine(deployment, spot=spot),
        "minReplicaCount": replicas[0],
        "maxReplicaCount": replicas[1],
        "autoscalingMetricSpecs": _metrics(deployment) if replicas[0] < replicas[1] else [],
    }
    if spot:
        resources["spot"] = True
    body: Body = {
        "model": Path(has.location, "models", f"{scope.stem}@{release}"),
        "displayName": release + (SPOT if spot else ""),
        "dedicatedResources": resources,
    }
    if has.service_account:
        body["serviceAccount"] = has.service_account
    return body


def _machine(deployment: Deployment, *, spot: bool) -> Body:
    """Reserved machines are for what is on demand: spot takes none of them (Compute Engine's reservations; from memory, verify)."""
    name = str(deployment.settings.get("instance") or "")
    own = accelerator(name)
    body: Body = {"machineType": name}
    if own is not None:
        body |= {"acceleratorType": own.type, "acceleratorCount": own.count}
    reserved = given(deployment).reserved
    if reserved and not spot:
        body["reservationAffinity"] = {
            "reservationAffinityType": "SPECIFIC_RESERVATION",
            "key": "compute.googleapis.com/reservation-name",
            "values": [reserved],
        }
    return body


def _metrics(deployment: Deployment) -> list[Body]:
    """What more replicas are started for. Without a word of it Vertex AI's own: 60 % of the processors, and of the accelerators

    where there are some (DedicatedResources.autoscalingMetricSpecs); it is said, so that what was said before goes.
    `request_count` is of a replica in a minute ("Scale inference nodes by using autoscaling", from memory, verify).
    """
    said = deployment.operating.get("scale") or {}
    metric, target = str(said.get("metric") or ""), said.get("per_replica")
    if metric == "rps" and target:
        return [{"metricName": METRICS[metric], "target": max(ceil(target * MINUTE_S), 1)}]
    if metric in PERCENTAGES:
        return [{"metricName": METRICS[metric], "target": ceil(target or PERCENT)}]
    has_gpu = accelerator(str(deployment.settings.get("instance") or "")) is not None
    return [{"metricName": METRICS[name], "target": PERCENT} for name in (PERCENTAGES if has_gpu else PERCENTAGES[:1])]


def _container(deployment: Deployment) -> Body:
    failures = ceil(deployment.startup_timeout_s / PERIOD_S)
    limit = min(ceil(deployment.startup_timeout_s) + MACHINE_S, MOST_TIMEOUT_S)
    return {
        "imageUri": IMAGE,
        "ports": [{"containerPort": PORT}],
        "predictRoute": PREDICT,
        "healthRoute": HEALTH,
        "env": _environment(deployment),
        "deploymentTimeout": f"{limit}s",
        # without it a server has 40 s for its start before it is started anew (the same source, "Liveness checks")
        "startupProbe": _probe(failures),
        "healthProbe": _probe(3),
    }


def _probe(failures: int) -> Body:
    return {
        "httpGet": {"path": HEALTH, "port": PORT},
        "periodSeconds": PERIOD_S,
        "timeoutSeconds": TIMEOUT_S,
        "failureThreshold": failures,
    }


def _environment(deployment: Deployment) -> list[Body]:
    """Sorted. `$(NAME)` would be replaced there, as Kubernetes does: each `$` is doubled (EnvVar.value)."""
    served = deployment.release.served
    plain = {name: text for name, text in served.env.items() if name not in OWN_VARIABLES and not name.startswith("AIP_")}
    plain |= {"MLSHIP_RELEASE": deployment.release.id}
    return [{"name": name, "value": text.replace("$", "$$")} for name, text in sorted(plain.items())]
