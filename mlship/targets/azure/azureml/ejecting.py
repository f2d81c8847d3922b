"""The same end state for `az ml` alone: YAML of endpoint, environment and deployment, and autoscaling as a template. Pure.

What `apply` sends is written down again in the spelling of Azure ML's own files (azure-ai-ml 1.35.2, its YAML schemas).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlship.targets.azure.azureml import bodies, scaling
from mlship.targets.azure.azureml.site import IDENTITIES, INSIGHTS_API, SCALING, Site
from mlship.targets.azure.cloud import Cloud
from mlship.targets.azure.filling import Document, filled
from mlship.targets.base import Deployment

SCHEMAS = "https://azuremlschemas.azureedge.net/latest"
IMAGE = "REGISTRY/IMAGE@sha256:DIGEST"
BEFORE = "BEFORE"  # the deployment that serves now
_SECONDS = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")


def environment(deployment: Deployment, site: Site) -> Document:
    told = filled(bodies.environment(deployment), {"Image": IMAGE})["properties"]
    return {
        "$schema": f"{SCHEMAS}/environment.schema.json",
        "name": site.environment,
        "version": deployment.release.id,
        "image": told["image"],
        "os_type": told["osType"].lower(),
        "inference_config": {_snake(name): route for name, route in told["inferenceConfig"].items()},
        "tags": told["tags"],
    }


def endpoint(deployment: Deployment, site: Site, traffic: Mapping[str, int]) -> Document:
    """The endpoint as it is once the release is live, or before it, with no traffic."""
    return _endpoint(bodies.endpoint(deployment, traffic), deployment, site)


def mirrored(deployment: Deployment, site: Site) -> Document:
    """The endpoint while requests are copied to the release."""
    return _endpoint(bodies.mirrored(deployment), deployment, site)


def _endpoint(body: Document, deployment: Deployment, site: Site) -> Document:
    sent = filled(body, _known(deployment, site))
    told, identity = sent["properties"], sent["identity"]
    given = [{"resource_id": path} for path in identity.get("userAssignedIdentities") or ()]
    return {
        "$schema": f"{SCHEMAS}/managedOnlineEndpoint.schema.json",
        "name": site.endpoint,
        "location": sent["location"],
        "auth_mode": next(name for name, mode in bodies.AUTH.items() if mode == told["authMode"]),
        "public_network_access": told["publicNetworkAccess"].lower(),
        "identity": {"type": _snake(identity["type"]), **({"user_assigned_identities": given} if given else {})},
        "traffic": told["traffic"],
        "mirror_traffic": told["mirrorTraffic"],
        "tags": sent["tags"],
    }


def release(deployment: Deployment, site: Site, cloud: Cloud) -> Document:
    sent = filled(bodies.release(deployment, cloud, scaling.capacity_for(deployment)), _known(deployment, site))
    told = sent["properties"]
    settings = told["requestSettings"]
    return {
        "$schema": f"{SCHEMAS}/managedOnlineDeployment.schema.json",
        "name": deployment.release.id,
        "endpoint_name": site.endpoint,
        "environment": f"azureml:{site.environment}:{deployment.release.id}",
        "environment_variables": told["environmentVariables"],
        "instance_type": told["instanceType"],
        "instance_count": sent["sku"]["capacity"],
        "app_insights_enabled": told["appInsightsEnabled"],
        "scale_settings": {"type": _snake(told["scaleSettings"]["scaleType"])},
        "request_settings": {
            "request_timeout_ms": seconds(settings["requestTimeout"]) * 1000,
            "max_concurrent_requests_per_instance": settings["maxConcurrentRequestsPerInstance"],
        },
        "liveness_probe": _probe(told["livenessProbe"]),
        "readiness_probe": _probe(told["readinessProbe"]),
        "tags": sent["tags"],
    }


def autoscaling(deployment: Deployment, site: Site) -> Document:
    """`az ml` has no autoscaling: the setting as a template of the resource manager."""
    name = scaling_name(deployment, site)
    sent = filled(scaling.autoscaling(deployment), {**_known(deployment, site), "ScalingName": name})
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [{"type": SCALING, "apiVersion": INSIGHTS_API, "name": name, **_literal(sent)}],
    }


def scaling_name(deployment: Deployment, site: Site) -> str:
    return site.scaling(deployment.release.id).rpartition("/")[2]


def seconds(duration: str) -> int:
    """The inverse of `bodies.duration`."""
    found = _SECONDS.fullmatch(duration)
    assert found, f"{duration} is ours to write"
    hours, minutes, rest = (int(number or 0) for number in found.groups())
    return hours * 3600 + minutes * 60 + rest


def _known(deployment: Deployment, site: Site) -> dict[str, Any]:
    identity = str(deployment.settings.get("identity") or "")
    return {
        "Image": IMAGE,
        "Before": BEFORE,
        "EnvironmentId": site.version(deployment.release.id),
        "DeploymentId": site.deployment(deployment.release.id),
        "Identity": site.path(IDENTITIES, identity) if identity else "",
    }


def _probe(told: Mapping[str, Any]) -> Document:
    return {_snake(name): seconds(entry) if isinstance(entry, str) else entry for name, entry in told.items()}


def _literal(document: Any) -> Any:
    """A template takes a text that begins with [ for an expression, and [[ for the character."""
    if isinstance(document, str):
        return f"[{document}" if document.startswith("[") else document
    if isinstance(document, Mapping):
        return {name: _literal(entry) for name, entry in document.items()}
    return [_literal(entry) for entry in document] if isinstance(document, list) else document


def _snake(name: str) -> str:
    """`readinessRoute`, `SystemAssigned` -> `readiness_route`, `system_assigned`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
