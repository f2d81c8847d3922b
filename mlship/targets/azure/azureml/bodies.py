"""What is sent to Azure ML: the bodies of environment, endpoint and deployment. Pure; `render` shows what `apply` sends.

Sources: Microsoft's resource types of 2024-10-01 (github.com/Azure/bicep-types-az); "CLI (v2) managed online deployment YAML schema"
and "Secret injection in online endpoints" (learn.microsoft.com/azure/machine-learning, read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from mlship.targets.azure.cloud import Cloud
from mlship.targets.azure.filling import Document, Variable
from mlship.targets.azure.scope import STORAGE, Scope
from mlship.targets.azure.vault import address
from mlship.targets.base import Deployment
from mlship.targets.variables import variables_of_user

PORT = 8080
LIVE, READY, SCORE = "/livez", "/readyz", "/score"
AUTH: Mapping[str, str] = {"key": "Key", "aml_token": "AMLToken", "aad_token": "AADToken"}
DEFAULT_AUTH = "key"
PERIOD_S, TIMEOUT_S, DELAY_S, LEAST_FAILURES = 10, 2, 10, 30
LONGEST_REQUEST_S = 180  # "Manage and increase quotas and limits": 180 s for a request
# Azure ML's own default is one request at a time; the server has batches and a limit of its own, and turns away what is too much.
CONCURRENT = 200
GRACE_S, GRACE_MARGIN_S = 30, 5
WHOLE = 100


def environment(deployment: Deployment) -> Document:
    """PUT of a version of the environment: the image, and which of its routes is what."""
    scope = _scope(deployment)
    routes = (("livenessRoute", LIVE), ("readinessRoute", READY), ("scoringRoute", SCORE))
    return {
        "properties": {
            "image": Variable("Image"),
            "osType": "Linux",
            "inferenceConfig": {name: {"port": PORT, "path": path} for name, path in routes},
            "isAnonymous": False,
            "isArchived": False,
            "tags": _release_tags(deployment, scope),
        }
    }


def endpoint(deployment: Deployment, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None) -> Document:
    """PUT of the endpoint: who may call, and who reaches which release. traffic: release -> hundredths of the callers.

    mirror: release -> hundredths of the requests that it gets a copy of; its answers reach nobody.
    """
    return {
        "location": region(deployment),
        "identity": _identity(deployment),
        "tags": endpoint_tags(deployment),
        "properties": {
            "authMode": auth_mode(deployment),
            "publicNetworkAccess": public_access(deployment),
            "traffic": dict(sorted(traffic.items())),
            "mirrorTraffic": dict(sorted((mirror or {}).items())),
        },
    }


def mirrored(deployment: Deployment) -> Document:
    """PUT of the endpoint that copies requests to the release, which has no callers yet.

    1 to 50 %, one deployment, and none that has callers ("Perform safe rollout of new deployments for real-time inference",
    learn.microsoft.com/azure/machine-learning, read 2026-11).
    """
    return endpoint(deployment, {Variable("Before"): WHOLE}, {deployment.release.id: hundredths(deployment.strategy.mirror)})


def hundredths(share: float) -> int:
    return round(share * WHOLE)


def release(deployment: Deployment, cloud: Cloud, capacity: int) -> Document:
    """PUT of a release's deployment. capacity: machines now; from then on it is autoscaling's, where there is any."""
    probe = _probe(deployment)
    return {
        "location": region(deployment),
        "sku": {"name": "Default", "capacity": capacity},
        "tags": deployment_tags(deployment),
        "properties": {
            "endpointComputeType": "Managed",
            "environmentId": Variable("EnvironmentId"),
            "environmentVariables": _environment(deployment, cloud),
            "instanceType": str(deployment.settings.get("instance") or ""),
            "appInsightsEnabled": False,
            "scaleSettings": {"scaleType": "Default"},
            "requestSettings": {
                "requestTimeout": duration(ceil(deployment.request_timeout_s)),
                "maxConcurrentRequestsPerInstance": CONCURRENT,
            },
            "livenessProbe": dict(probe),
            "readinessProbe": dict(probe),
        },
    }


def auth_mode(deployment: Deployment) -> str:
    """As Azure's API says it."""
    return AUTH[str(deployment.settings.get("auth") or DEFAULT_AUTH)]


def public_access(deployment: Deployment) -> str:
    """Whoever comes without a key or a token is turned away; of a network, others find no way either ("Network isolation with managed
    online endpoints", learn.microsoft.com/azure/machine-learning, read 2026-11: callers come by the workspace's private endpoint).
    """
    return "Disabled" if deployment.settings.get("callers") == "network" else "Enabled"


def endpoint_tags(deployment: Deployment) -> dict[str, str]:
    told = {"storage": str(deployment.settings.get("storage") or "")}
    tags = _scope(deployment).tags("front", deployment.labels, **told)
    assert not told["storage"] or STORAGE in tags
    return tags


def deployment_tags(deployment: Deployment) -> dict[str, str]:
    return _release_tags(deployment, _scope(deployment))


def region(deployment: Deployment) -> str:
    return str(deployment.settings.get("region") or "")


def duration(seconds: int) -> str:
    """ISO 8601, as Azure writes it back: `PT5M10S`."""
    hours, left = divmod(seconds, 3600)
    minutes, rest = divmod(left, 60)
    told = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if number)
    return f"PT{told or '0S'}"


def _scope(deployment: Deployment) -> Scope:
    return Scope(deployment.project, deployment.environment)


def _identity(deployment: Deployment) -> Document:
    if deployment.settings.get("identity"):
        return {"type": "UserAssigned", "userAssignedIdentities": {Variable("Identity"): {}}}
    return {"type": "SystemAssigned"}


def _probe(deployment: Deployment) -> Document:
    """Checked every 10 s, for as long as the server may take to start."""
    checks = max(LEAST_FAILURES, ceil(deployment.startup_timeout_s / PERIOD_S))
    return {
        "initialDelay": duration(DELAY_S),
        "period": duration(PERIOD_S),
        "timeout": duration(TIMEOUT_S),
        "successThreshold": 1,
        "failureThreshold": checks,
    }


def _environment(deployment: Deployment, cloud: Cloud) -> dict[str, str]:
    """A secret stands as the address of its version in Key Vault, which the endpoint's own identity reads at the start."""
    versions = deployment.release.served.secrets
    secrets = {
        variable: f"${{{{keyvault:{address(cloud.vault, reference, versions.get(variable, ''))}}}}}"
        for variable, reference in deployment.references.items()
    }
    drain_s = min(ceil(deployment.request_timeout_s) + GRACE_MARGIN_S, GRACE_S - GRACE_MARGIN_S)
    own = {"PORT": str(PORT), "MLSHIP_RELEASE": deployment.release.id, "MLSHIP_DRAIN_TIMEOUT_S": str(drain_s)}
    return dict(sorted({**variables_of_user(deployment), **secrets, **own}.items()))


def _release_tags(deployment: Deployment, scope: Scope) -> dict[str, str]:
    return scope.tags("replica", deployment.labels, release=deployment.release.id, content=deployment.release.served.content)
