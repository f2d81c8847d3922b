"""What would make a deployment fail and can be known before anything is changed: who we are, what is given, what is not built."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mlship.config.gates import MEASURED
from mlship.errors import Finding, MlshipError
from mlship.targets.azure import preflight as shared
from mlship.targets.azure import roles, vault
from mlship.targets.azure.container_apps import app_secrets, names, seen
from mlship.targets.azure.container_apps.foundation import APIS, APP, ENVIRONMENT, IDENTITY, REGISTRY, WORKSPACE, parts
from mlship.targets.azure.container_apps.given import Given, given
from mlship.targets.azure.container_apps.releasing import STARTS_S, WHOLE
from mlship.targets.azure.container_apps.scaling import impossible as unscalable
from mlship.targets.azure.door import Door
from mlship.targets.azure.keeping import STORAGE_API, STORAGE_KIND
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.resources import findings as impossible
from mlship.targets.azure.roles import ASSIGNMENT
from mlship.targets.azure.scope import Place, Scope, flags_of, name_of
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused
from mlship.targets.variables import without_effect

_LATENCIES = tuple(name for name in MEASURED if name.endswith("_ms"))
_SECTION = "targets.azure"
NETWORK_API, DELEGATED = "2024-05-01", "Microsoft.App/environments"


def findings(door: Door, place: Place, deployment: Deployment, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Reads only. Raises MlshipError where nobody can be asked, or for another subscription than the one that is named."""
    unseen = tuple(in_documents(deployment))
    if unseen:
        return unseen
    shared.guard(door, deployment, environ)
    has = given(deployment)
    storage = () if has.storage else (STORAGE_KIND,)
    needed = {kind.partition("/")[0] for kind in (APP, *storage, *(part.kind for part in parts(deployment, has)))}
    making = tuple(unmade(door, place, deployment, has))
    return (
        *shared.providers(door, needed, deployment),
        *shared.permissions(door, place, [APP, *making], deployment),
        *_given(door, place, has, deployment),
        *_records(door, place, has, deployment),
        *_roles(door, place, has, deployment),
        *_environment_to_make(door, place, has, deployment, making),
        *vault.unreadable(door, deployment),
        *_disabled(door, place, deployment),
    )


def unmade(door: Door, place: Place, deployment: Deployment, has: Given) -> Iterator[str]:
    """Kinds of what this deploy has to make. What stands already needs no right any more: a first deploy by an administrator
    leaves to others what they may do themselves.
    """
    found: dict[str, Any] = {}
    for part in parts(deployment, has):
        if part.kind == ASSIGNMENT:
            continue
        path = place.resource(part.kind, place.registry if part.kind == REGISTRY else part.name)
        found[part.kind] = found_or_denied(door, path, part.api)
        if found[part.kind] is None:
            yield part.kind
    identity = found.get(IDENTITY)
    if not has.identity and not (identity and _has_roles(door, place, deployment, has, identity)):
        yield ASSIGNMENT


def found_or_denied(door: Door, path: str, api: str) -> Mapping[str, Any] | None:
    """None where there is none. Nothing where it may not be looked at: the step that needs it says so."""
    try:
        return door.find(path, api)
    except Refused as no:
        if no.code != "denied":
            raise
        return {}


def _has_roles(door: Door, place: Place, deployment: Deployment, has: Given, identity: Mapping[str, Any]) -> bool:
    principal = str((identity.get("properties") or {}).get("principalId") or "")
    scopes = [(place.resource(REGISTRY, has.registry_name or place.registry), roles.ACR_PULL)]
    scopes += [(vault.find(door, name), roles.SECRETS_USER) for name in vault.vaults(deployment.references)]
    return bool(principal) and all(role in (roles.roles_on(door, path, principal) or ()) for path, role in scopes if path)


def _roles(door: Door, place: Place, has: Given, deployment: Deployment) -> Iterator[Finding]:
    """Those of an identity that is given; mlship's own gets them with the deploy."""
    if not has.identity:
        yield from roles.closed_vaults(door, deployment)
        return
    identity = found_or_denied(door, place.resource(IDENTITY, has.identity), APIS[IDENTITY]) or {}
    registry = "" if has.registry_server else place.resource(REGISTRY, has.registry or place.registry)
    yield from roles.of_given(door, deployment, identity, registry)


def in_documents(deployment: Deployment) -> Iterator[Finding]:
    """What Container Apps cannot do, whoever asks; `render` refuses it, too."""
    yield from (one for one in impossible(deployment) if one.code != "no-region")  # an environment that is given stands in one
    yield from unscalable(deployment)
    yield from without_effect(deployment)
    try:
        has = given(deployment)
    except MlshipError as error:
        yield Finding(error.what, error.where, error.fix, code=error.code)
        return
    if not has.region and not has.environment:
        yield refused(
            deployment,
            f"{_SECTION}.region",
            "nothing says in which region of Azure it is to be",
            "say --region westeurope, or targets.azure.region",
            "no-region",
        )
    if has.callers == "environment" and not has.environment:
        what = "nobody could call it: only apps of the environment could, and the one that mlship makes has no other"
        fix = (
            "write targets.azure.subnet (callers of its network), targets.azure.entra (tokens), or public: true with serve.auth"
        )
        yield refused(deployment, _SECTION, what, fix, "nobody-can-call")
    elif has.callers == "environment":
        what = f"only apps of the environment {has.environment} can call it: mlship has to run in there, to ask what it deploys"
        fix = "deploy by a job of that environment; elsewhere the release is not found to answer, and is taken back"
        yield replace(refused(deployment, f"{_SECTION}.callers", what, fix, "inside-alone"), severity="warning")
    if deployment.startup_timeout_s > STARTS_S:
        what = f"serve.startup_timeout is {deployment.startup_timeout_s:g} s: Container Apps waits at most {STARTS_S} s for a start"
        yield refused(deployment, "serve.startup_timeout", what, f"write at most {STARTS_S // 60}m", "absent-feature")
    if deployment.release.served.serving.get("auth") and has.callers == "entra":
        what = "serve.auth and targets.azure.entra both take the Authorization header"
        yield refused(deployment, f"{_SECTION}.entra", what, "keep one of them", "contradiction")
    yield from _rollout(deployment)


def _rollout(deployment: Deployment) -> Iterator[Finding]:
    """Shares of the callers are whole percents, and Azure Monitor knows no quantiles."""
    for share in deployment.strategy.steps:
        percent = share * WHOLE
        if abs(percent - round(percent)) > 1e-9 or round(percent) < 1:
            what = f"rollout.steps has {percent:g} %, and Container Apps shares callers by whole percents"
            yield refused(deployment, "rollout.steps", what, "write whole percents", "absent-feature")
    for gate in deployment.strategy.gates:
        if gate.split()[0] in _LATENCIES:
            what = f"rollout.gates has {gate}, and Azure Monitor has no latencies of a revision that could be judged"
            fix = "keep error_rate, with approve: manual and a look at your own dashboard; or use service azureml, which has quantiles"
            yield refused(deployment, "rollout.gates", what, fix, "absent-feature")


def _given(door: Door, place: Place, has: Given, deployment: Deployment) -> Iterator[Finding]:
    """What mlship.yaml names has to be there. What these credentials may not look at is left to the step that needs it."""
    said = (
        ("environment", ENVIRONMENT, has.environment),
        ("identity", IDENTITY, has.identity),
        ("registry", REGISTRY, _needed_registry(has)),
        ("logs", WORKSPACE, has.logs),
    )
    for key, kind, name in said:
        if not name:
            continue
        try:
            found = door.find(place.resource(kind, name), APIS[kind])
        except Refused as no:
            if no.code != "denied":
                yield refused(deployment, f"{_SECTION}.{key}", no.what, no.fix, "no-such-part")
            continue
        if found is None:
            what = f"{_SECTION}.{key} is {name}, and there is none of that name in {place.group}"
            fix = "correct the name, write its whole path, or leave it out: mlship makes one"
            yield refused(deployment, f"{_SECTION}.{key}", what, fix, "no-such-part")
        elif key == "environment":
            yield from _environment(found, has, deployment)


def _records(door: Door, place: Place, has: Given, deployment: Deployment) -> Iterator[Finding]:
    """An environment that is given stands in a region; the account of the records needs one, too, where it is to be made."""
    if has.region or has.storage:
        return
    if found_or_denied(door, place.resource(STORAGE_KIND, place.storage), STORAGE_API) is None:
        what = "nothing says in which region the storage account of the records is to be"
        fix = "say --region westeurope, or targets.azure.region; or name an account: targets.azure.storage"
        yield refused(deployment, f"{_SECTION}.region", what, fix, "no-region")


def _needed_registry(has: Given) -> str:
    """One that is said by its server stands anywhere, unless a new identity is to have a role on it."""
    return has.registry if not has.registry_server else "" if has.identity else has.registry_name


def _environment(found: Mapping[str, object], has: Given, deployment: Deployment) -> Iterator[Finding]:
    said = found.get("properties")
    properties: Mapping[str, object] = said if isinstance(said, Mapping) else {}
    network = properties.get("vnetConfiguration")
    is_internal = isinstance(network, Mapping) and bool(network.get("internal"))
    if has.callers == "network" and not is_internal:
        what = f"targets.azure.callers is network, and the environment {has.environment} is open to the internet"
        fix = "name an internal environment, or write callers: environment, or targets.azure.entra"
        yield refused(deployment, f"{_SECTION}.callers", what, fix, "open-environment")
    if has.callers == "public" and is_internal:
        what = f"public: true, and the environment {has.environment} has no address in the internet"
        yield refused(deployment, "public", what, "name another environment, or delete public", "closed-environment")
    profiles = properties.get("workloadProfiles")
    names = [one.get("name") for one in profiles if isinstance(one, Mapping)] if isinstance(profiles, list) else []
    if names and "Consumption" not in names:
        what = f"the environment {has.environment} has no workload profile Consumption"
        words = "--workload-profile-name Consumption --workload-profile-type Consumption"
        fix = f"az containerapp env workload-profile add {words} {flags_of(str(found['id']))}"
        yield refused(deployment, f"{_SECTION}.environment", what, fix, "no-such-part")


def _subnet(door: Door, has: Given, deployment: Deployment) -> Iterator[Finding]:
    """An environment with workload profiles takes only one that is delegated to it ("Virtual network configuration",
    learn.microsoft.com/azure/container-apps, read 2026-11).
    """
    found = found_or_denied(door, has.subnet, NETWORK_API)
    said = (found or {}).get("properties") or {}
    names = [str((one.get("properties") or {}).get("serviceName") or "") for one in said.get("delegations") or ()]
    if found is None:
        what = f"there is no subnet {has.subnet}"
        yield refused(deployment, f"{_SECTION}.subnet", what, "correct its path", "no-such-part")
    elif said and DELEGATED not in names:
        what = f"the subnet {name_of(has.subnet)} is not delegated to {DELEGATED}"
        fix = f"az network vnet subnet update --ids {has.subnet} --delegations {DELEGATED}"
        yield refused(deployment, f"{_SECTION}.subnet", what, fix, "not-delegated")


def _disabled(door: Door, place: Place, deployment: Deployment) -> Iterator[Finding]:
    """What runs has a secret that Azure reads again with each new release; nothing can take it away before that is live."""
    if not deployment.references:
        return
    present = seen.look(door, place, Scope(deployment.project, deployment.environment))
    running = [one for one in present.revisions if one.active] if present else []
    for one in app_secrets.told(present) if present else ():
        users = [revision.release for revision in running if one["name"] in revision.secrets]
        url = str(one.get("keyVaultUrl") or "")
        if url and users and not vault.is_enabled(door, url):
            what = (
                f"{users[0]} serves with {url}, which Key Vault does not give any more: Azure refuses a new release beside it"
            )
            fix = f"az keyvault secret set-attributes --id {url} --enabled true, until the new release is live"
            yield replace(refused(deployment, "secrets", what, fix, "disabled-secret"), severity="warning")


def _environment_to_make(
    door: Door, place: Place, has: Given, deployment: Deployment, making: Collection[str]
) -> Iterator[Finding]:
    """The region's quota, where one more is to be made; and that its names have to be made known in its network."""
    if ENVIRONMENT not in making:
        return
    if has.subnet:
        yield from _subnet(door, has, deployment)
    if has.callers == "network":
        what = "the environment that is made stands in a network of yours, where nobody knows the names of its apps yet"
        path = place.resource(ENVIRONMENT, Scope(deployment.project, deployment.environment).stem)
        said = " && ".join(names.commands(path, has.subnet))
        fix = f"the deploy makes it and stops; then: {said}; and deploy again, where that zone is asked"
        yield replace(refused(deployment, f"{_SECTION}.subnet", what, fix, "no-names"), severity="warning")
    path = f"/subscriptions/{door.subscription}/providers/Microsoft.App/locations/{has.region}/usages"
    for one in shared.readable(lambda: door.all(path, APIS[ENVIRONMENT])):
        name = str((one.get("name") or {}).get("value") or "")
        used, limit = float(one.get("currentValue") or 0), float(one.get("limit") or 0)
        if name.lower().startswith("managedenvironmentcount") and used >= limit:
            what = f"the region {has.region} has {used:g} of {limit:g} environments that the subscription may have there"
            yield refused(
                deployment, f"{_SECTION}.region", what, "name one in targets.azure.environment, or ask for more", "quota"
            )
