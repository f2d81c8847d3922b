"""Whether an identity may do what a release needs: pull the image, read the secrets. Looked up before anything is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mlship.errors import Finding
from mlship.targets.azure import vault
from mlship.targets.azure.door import Door
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.scope import flags_of, name_of
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused

ASSIGNMENT, ASSIGNMENT_API = "Microsoft.Authorization/roleAssignments", "2022-04-01"
VAULT_API = "2023-07-01"
# Built-in roles (learn.microsoft.com/azure/role-based-access-control/built-in-roles).
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
_OWNER, _CONTRIBUTOR = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "b24988ac-6180-42a0-ab88-20f7382dd24c"
_PULLS = (
    *(ACR_PULL, _OWNER, _CONTRIBUTOR),
    "8311e382-0749-4cb8-b61a-304f252e45ec",  # AcrPush
    "b93aa761-3e63-49ed-ac28-beffa264f7ac",  # Container Registry Repository Reader
)
_READS = (
    SECRETS_USER,
    "00482a5a-887f-4fb3-b363-3b7fe8e74483",  # Key Vault Administrator
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",  # Key Vault Secrets Officer
)


def of_given(door: Door, deployment: Deployment, identity: Mapping[str, Any], registry: str) -> Iterator[Finding]:
    """What an identity that mlship.yaml names may not do. identity: as Azure tells it; registry: its path, `` where nobody knows."""
    principal = str((identity.get("properties") or {}).get("principalId") or "")
    if not principal:
        return
    if registry:
        yield from _lacking(door, deployment, principal, registry, "AcrPull", _PULLS)
    for name in vault.vaults(deployment.references):
        found = vault.find(door, name)
        if found and not has_policies(door, found):
            yield from _lacking(door, deployment, principal, found, "Key Vault Secrets User", _READS)


def closed_vaults(door: Door, deployment: Deployment) -> Iterator[Finding]:
    """Vaults in which a role says nothing: an identity that mlship makes could not read them."""
    for name in vault.vaults(deployment.references):
        found = vault.find(door, name)
        if found and has_policies(door, found):
            what = f"the Key Vault {name} goes by access policies, and mlship gives its identity a role"
            fix = f"az keyvault update {flags_of(found)} --enable-rbac-authorization true; or name an identity that has a policy there"
            yield refused(deployment, "targets.azure.identity", what, fix, "no-role")


def has_policies(door: Door, path: str) -> bool:
    """Whether the vault asks its own list of who may, and not roles. Where nobody tells, it is taken to ask roles."""
    try:
        told = door.find(path, VAULT_API)
    except Refused:
        return False
    return (told or {}).get("properties", {}).get("enableRbacAuthorization") is False


def roles_on(door: Door, path: str, principal: str) -> frozenset[str] | None:
    """Ids of the roles that it has there, of its own or by a group, or on what that stands in. None where nobody tells."""
    try:
        told = door.all(f"{path}/providers/{ASSIGNMENT}", ASSIGNMENT_API, **{"$filter": f"assignedTo('{principal}')"})
    except Refused:
        return None
    return frozenset(name_of(str((one.get("properties") or {}).get("roleDefinitionId") or "")).lower() for one in told)


def _lacking(
    door: Door, deployment: Deployment, principal: str, path: str, role: str, enough: Collection[str]
) -> Iterator[Finding]:
    """Another role may allow it, too, such as one of a company's own: then it is a warning."""
    has = roles_on(door, path, principal)
    if has is None or has & frozenset(enough):
        return
    name, on = name_of(str(deployment.settings.get("identity") or "")), name_of(path)
    what = f"nobody knows whether the identity {name} has {role} on {on}" if has else f"the identity {name} has no role on {on}"
    fix = f"az role assignment create --role '{role}' --assignee-object-id {principal} --scope {path}"
    found = refused(deployment, "targets.azure.identity", what, fix, "no-role")
    yield replace(found, severity="warning") if has else found
