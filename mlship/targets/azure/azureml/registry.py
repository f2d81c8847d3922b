"""The registry that an endpoint's images come from: the workspace's own, or the one that mlship.yaml names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.errors import MlshipError
from mlship.targets.azure.azureml.site import ML_API, REGISTRIES, REGISTRY_API, Site
from mlship.targets.azure.door import Door
from mlship.targets.azure.scope import flags_of


def server_of(door: Door, site: Site, settings: Mapping[str, Any], where: str = "") -> str:
    """`shop.azurecr.io`. Raises MlshipError where there is none. where: the place of targets.azure.registry in mlship.yaml."""
    path = path_of(door, site, settings)
    if not path:
        raise MlshipError(
            f"the workspace {site.workspace.rpartition('/')[2]} has no container registry",
            where,
            f"write targets.azure.registry: NAME, or: az ml workspace update {flags_of(site.workspace)}"
            " --container-registry PATH --update-dependent-resources",
            code="no-registry",
        )
    told = door.find(path, REGISTRY_API)
    if told is None:
        what = f"there is no registry {path.rpartition('/')[2]}"
        raise MlshipError(what, where, "name one that is there, or none for the workspace's own", code="no-such-part")
    return str(told["properties"]["loginServer"])


def path_of(door: Door, site: Site, settings: Mapping[str, Any]) -> str:
    """Empty where the workspace has none, and none is named."""
    said = str(settings.get("registry") or "")
    said = said if said.startswith("/") else said.partition(".")[0]  # acme, or acme.azurecr.io
    return site.path(REGISTRIES, said) if said else workspaces_own(door, site)


def workspaces_own(door: Door, site: Site) -> str:
    told = door.find(site.workspace, ML_API) or {}
    return str((told.get("properties") or {}).get("containerRegistry") or "")
