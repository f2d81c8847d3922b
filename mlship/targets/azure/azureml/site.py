"""Where an endpoint and all that belongs to it is: paths of the resource manager, names. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlship.targets.azure.scope import GROUP, Place, Scope, name_of

# Stable versions that Microsoft's clouds beside the public one have, too; what is sent is the same in the newest (2026-05-01).
ML_API, INSIGHTS_API, REGISTRY_API, METRICS_API = "2024-10-01", "2022-10-01", "2023-07-01", "2018-01-01"
WORKSPACES = "Microsoft.MachineLearningServices/workspaces"
IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"
REGISTRIES = "Microsoft.ContainerRegistry/registries"
SCALING = "Microsoft.Insights/autoscalesettings"
_SEEN = 25  # of the 32 characters that an endpoint's name has (azure-ai-ml 1.35.2: validate_endpoint_or_deployment_name)


@dataclass(frozen=True)
class Site:
    """workspace: its path. endpoint: its name, unlike any other in the region. environment: of all releases, a version each."""

    place: Place
    workspace: str
    endpoint: str
    environment: str

    @property
    def endpoint_path(self) -> str:
        return f"{self.workspace}/onlineEndpoints/{self.endpoint}"

    @property
    def deployments(self) -> str:
        return f"{self.endpoint_path}/deployments"

    @property
    def versions(self) -> str:
        return f"{self.workspace}/environments/{self.environment}/versions"

    def deployment(self, release: str) -> str:
        return f"{self.deployments}/{release}"

    def version(self, release: str) -> str:
        return f"{self.versions}/{release}"

    def scaling(self, release: str) -> str:
        return self.place.resource(SCALING, f"{self.endpoint}-{release}")

    def path(self, kind: str, said: str) -> str:
        """Of something given: a whole path, or a name in the workspace's resource group."""
        return self.place.resource(kind, said)


def site_of(scope: Scope, settings: Mapping[str, Any], subscription: str) -> Site:
    """settings: as in mlship.yaml, or as the records kept them. subscription: `` where nobody says it yet (`render`)."""
    place = Place(subscription or "SUBSCRIPTION", str(settings.get("resource_group") or GROUP))
    workspace = place.resource(WORKSPACES, str(settings.get("workspace") or "WORKSPACE"))
    parts = workspace.split("/")
    place = Place(parts[2], parts[4])  # of the workspace, which may be named by its whole path
    return Site(place, workspace, endpoint_name(scope, workspace), scope.stem)


def endpoint_name(scope: Scope, workspace: str) -> str:
    """At most 32 characters. Names are unique in a region, whoever's they are: what is behind the dash tells ours apart."""
    seen = "-".join(filter(None, (scope.project, scope.environment)))[:_SEEN].rstrip("-")
    return f"{seen}-{hashlib.sha256(f'{workspace}/{scope.stem}'.lower().encode()).hexdigest()[:6]}"


def locations(site: Site, region: str) -> str:
    """What Azure ML knows of a region: sizes of machines, quota."""
    return f"/subscriptions/{site.place.subscription}/providers/Microsoft.MachineLearningServices/locations/{region}"


def release_of(path: str) -> str:
    """Of the path of a deployment or of a version: both are called as their release."""
    return name_of(path)
