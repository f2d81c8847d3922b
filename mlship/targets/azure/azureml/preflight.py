"""What would make a deployment to Azure ML fail and can be known before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.targets.azure import roles, vault
from mlship.targets.azure.azureml import registry, seen
from mlship.targets.azure.azureml.bodies import public_access
from mlship.targets.azure.azureml.scaling import capacity_for, is_scaled
from mlship.targets.azure.azureml.site import IDENTITIES, ML_API, WORKSPACES, Site, locations, site_of
from mlship.targets.azure.azureml.unbuilt import in_a_deploy
from mlship.targets.azure.door import Door
from mlship.targets.azure.preflight import guard, permissions, providers
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.resources import findings as impossible
from mlship.targets.azure.scope import Scope, flags_of
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused
from mlship.targets.variables import without_effect

_SECTION = "targets.azure"
IDENTITY_API = "2023-01-31"
MADE = ("onlineEndpoints", "onlineEndpoints/deployments", "environments/versions")
PROVIDERS = ("Microsoft.MachineLearningServices", "Microsoft.ContainerRegistry", "Microsoft.Storage")
SCALERS = ("Microsoft.Insights",)
# "Azure Machine Learning reserves 20 % of your compute resources for performing upgrades on some VM SKUs: ceil(1.2 * instances) *
# cores"; exempt are these (learn.microsoft.com/azure/machine-learning, "Virtual machine quota allocation for deployment" and
# "Managed online endpoints SKU list", read 2026-11).
RESERVED = 1.2
_WITHOUT_RESERVE = (
    "Standard_NC24ads_A100_v4",
    "Standard_NC48ads_A100_v4",
    "Standard_NC96ads_A100_v4",
    "Standard_ND96asr_v4",
    "Standard_ND96amsr_A100_v4",
    "Standard_ND40rs_v2",
)


def findings(door: Door, scope: Scope, deployment: Deployment, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Reads only. Raises MlshipError where nobody can be asked, or for another subscription than the one that is named."""
    wrong = (one for one in impossible(deployment) if one.code not in ("no-region", "no-instance"))  # in_a_deploy says them
    first = (*wrong, *in_a_deploy(deployment), *without_effect(deployment))
    if any(finding.severity == "error" for finding in first):
        return first
    guard(door, deployment, environ)
    site = site_of(scope, deployment.settings, door.subscription)
    made = (f"{WORKSPACES}/{kind}" for kind in MADE)
    return (
        *first,
        *providers(door, (*PROVIDERS, *(SCALERS if is_scaled(deployment) else ())), deployment),
        *permissions(door, site.place, made, deployment),
        *vault.unreadable(door, deployment),
        *_workspace(door, scope, site, deployment),
    )


def _workspace(door: Door, scope: Scope, site: Site, deployment: Deployment) -> Iterator[Finding]:
    """Everything else stands in it."""
    told = door.find(site.workspace, ML_API)
    name, key = site.workspace.rpartition("/")[2], f"{_SECTION}.workspace"
    if told is None:
        what = f"there is no workspace {name} in the resource group {site.place.group}"
        fix = f"az ml workspace create {flags_of(site.workspace)} --location {deployment.settings['region']}"
        yield refused(deployment, key, what, fix, "no-such-part")
        return
    region = str(told.get("location") or "")
    if region and region != str(deployment.settings["region"]).replace(" ", "").lower():
        what = f"the workspace {name} is in {region}, and targets.azure.region is {deployment.settings['region']}"
        yield refused(deployment, f"{_SECTION}.region", what, f"write targets.azure.region: {region}", "wrong-region")
        return
    yield from _network(told, name, deployment)
    if seen.is_foreign(door, scope, site):
        what = f"the workspace {name} has an endpoint {site.endpoint} that is not this project's"
        yield refused(deployment, key, what, "give the project another name, or take that endpoint away", "taken")
    yield from _mirror(door, scope, site, deployment)
    yield from _parts(door, site, deployment)
    yield from _machines(door, scope, site, deployment)


def _network(told: Mapping[str, Any], name: str, deployment: Deployment) -> Iterator[Finding]:
    """Callers of a network come by the workspace's private endpoint, which mlship does not make."""
    said, key = told.get("properties") or {}, f"{_SECTION}.callers"
    is_private = bool(said.get("privateEndpointConnections"))
    if public_access(deployment) == "Disabled" and not is_private:
        what = f"targets.azure.callers is network, and the workspace {name} has no private endpoint by which one could call"
        yield refused(deployment, key, what, "make one in that network, or delete targets.azure.callers", "nobody-can-call")
    elif public_access(deployment) == "Disabled":
        what = f"callers come by the private endpoint of the workspace {name}: mlship has to run in its network, to ask what it deploys"
        fix = "deploy by a job in there; elsewhere the release is not found to answer, and is taken back"
        yield replace(refused(deployment, key, what, fix, "inside-alone"), severity="warning")
    elif said.get("publicNetworkAccess") == "Disabled":
        what = f"the workspace {name} has no public access, and an endpoint in it would have"
        yield refused(deployment, key, what, "write targets.azure.callers: network", "open-endpoint")


def _mirror(door: Door, scope: Scope, site: Site, deployment: Deployment) -> Iterator[Finding]:
    """There is one, and a person may have set it by hand."""
    present = seen.look(door, scope, site) if deployment.strategy.mirror else None
    for name, share in (present.mirror if present is not None else {}).items():
        if present is not None and share and name in present.others:
            what = f"{share} % of the requests are copied to {name} already, which is not mlship's, and Azure copies to one deployment"
            place = f"-n {site.endpoint} -w {site.workspace.rpartition('/')[2]} {site.place.flags}"
            fix = f'delete rollout.mirror, or az ml online-endpoint update {place} --mirror-traffic "{name}=0"'
            yield refused(deployment, "rollout.mirror", what, fix, "taken")


def _parts(door: Door, site: Site, deployment: Deployment) -> Iterator[Finding]:
    key = f"{_SECTION}.registry"
    try:
        registry.server_of(door, site, deployment.settings, deployment.places.get(key, ""))
    except Refused as no:
        if no.code != "denied":
            raise
    except MlshipError as error:
        if error.code not in ("no-registry", "no-such-part"):
            raise
        yield refused(deployment, key, error.what, error.fix, error.code)
    said = str(deployment.settings.get("identity") or "")
    identity = door.find(site.path(IDENTITIES, said), IDENTITY_API) if said else {}
    if identity is None:
        what = f"there is no managed identity {said}"
        yield refused(deployment, f"{_SECTION}.identity", what, "correct its name, or delete the key", "no-such-part")
    elif said:
        yield from roles.of_given(door, deployment, identity, registry.path_of(door, site, deployment.settings))
    if not said and deployment.settings.get("registry") and not _is_own(door, site, deployment.settings):
        what = "the endpoint's own identity may read images of the workspace's registry alone"
        fix = "write targets.azure.identity: one with the role AcrPull on the registry, or leave out targets.azure.registry"
        yield refused(deployment, key, what, fix, "no-pull")


def _is_own(door: Door, site: Site, settings: Mapping[str, Any]) -> bool:
    return registry.path_of(door, site, settings).lower() == registry.workspaces_own(door, site).lower()


def _machines(door: Door, scope: Scope, site: Site, deployment: Deployment) -> Iterator[Finding]:
    """Quota by family, with what Azure keeps for upgrades; the release that serves keeps its machines meanwhile."""
    place, name = locations(site, str(deployment.settings["region"])), str(deployment.settings["instance"])
    sizes = door.all(f"{place}/vmSizes", ML_API)
    size = next((one for one in sizes if str(one.get("name", "")).lower() == name.lower()), None)
    key = f"{_SECTION}.instance"
    if size is None:
        near = sorted(str(one["name"]) for one in sizes if str(one.get("name", ""))[:11] == name[:11])[:4]
        fix = (
            f"write one of {', '.join(near)}"
            if near
            else f"az vm list-sizes --location {deployment.settings['region']} names them"
        )
        yield refused(deployment, key, f"Azure ML has no {name} in {deployment.settings['region']}", fix, "unknown-instance")
        return
    present = seen.look(door, scope, site)
    if present is not None and deployment.release.id in present.placed:
        return
    machines = capacity_for(deployment)
    kept = machines if name in _WITHOUT_RESERVE else ceil(RESERVED * machines)
    needed, family = kept * int(size.get("vCPUs") or 0), str(size.get("family") or "")
    quota = next((one for one in door.all(f"{place}/usages", ML_API) if _is_of(one, family)), None)
    left = int(quota["limit"]) - int(quota["currentValue"]) if quota else needed
    if left < needed:
        reserve = ", 20 % of which Azure keeps for upgrades" if kept > machines else ""
        what = f"{machines} x {name} needs {needed} vCPUs of {family}{reserve}, and {max(left, 0)} are left"
        fix = "ask for more: az quota, or the portal's page Quotas, provider Machine Learning"
        yield refused(deployment, key, what, fix, "quota")


def _is_of(usage: Mapping[str, Any], family: str) -> bool:
    name = usage.get("name") or {}
    told = "".join(str(name.get("value") or "").split()).lower()
    return bool(family) and told == "".join(family.split()).lower()
