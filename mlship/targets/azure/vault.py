"""Secrets of Key Vault: named `VAULT/NAME`, referred to by version; no value is ever read here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from mlship.errors import Exit, Finding, MlshipError
from mlship.targets.azure.door import Door, Sent, is_at
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused

VAULT_API = "7.4"
VAULT, RESOURCES_API = "Microsoft.KeyVault/vaults", "2021-04-01"


def address(vault_suffix: str, reference: str, version: str = "") -> str:
    """`https://acme.vault.azure.net/secrets/churn-keys/4387e9f3d6e14c459867679a90fd0f79`."""
    vault, _, name = reference.partition("/")
    return f"https://{vault}.{vault_suffix}/secrets/{name}" + (f"/{version}" if version else "")


def vaults(references: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted({reference.partition("/")[0] for reference in references.values()}))


def find(door: Door, name: str) -> str:
    """Its path, `` where the subscription has none: a vault has a name for all the world, and stands in whatever group."""
    asked = {"$filter": f"resourceType eq '{VAULT}' and name eq '{name}'"}
    found = door.all(f"/subscriptions/{door.subscription}/resources", RESOURCES_API, **asked)
    return str(found[0]["id"]) if found else ""


def secret_name(variable: str, reference: str, version: str) -> str:
    """What a container app calls one version of a secret: a kept release has its own one."""
    told = hashlib.sha256(f"{reference}@{version}".encode()).hexdigest()[:8]
    return f"{variable.lower().replace('_', '-').strip('-')[:40]}-{told}"


def pinned(door: Door, references: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str]:
    """variable -> the newest version that is enabled. Raises MlshipError with the place in mlship.yaml."""
    return {variable: _newest(door, reference, places.get(variable, "")) for variable, reference in references.items()}


def unreadable(door: Door, deployment: Deployment) -> Iterator[Finding]:
    """Versions of a release's own secrets that Key Vault does not give any more: an earlier release could not start with them."""
    for variable, version in sorted(deployment.release.served.secrets.items()):
        reference = deployment.references.get(variable, "")
        url = address(door.cloud.vault, reference, version)
        if reference and not is_enabled(door, url):
            what = f"{deployment.release.id} reads {url}, which Key Vault does not give any more"
            fix = f"az keyvault secret set-attributes --id {url} --enabled true, where it was only disabled; or deploy a new release"
            yield refused(deployment, f"secrets.{variable}.azure", what, fix, "missing-secret")


def is_enabled(door: Door, url: str) -> bool:
    """Of a version by its address, `https://acme.vault.azure.net/secrets/churn-keys/4387e9f3...`: true, too, where nobody may look.

    Without a version, as somebody may have named one by hand, of any.
    """
    name, _, version = urlsplit(url).path.strip("/").partition("/")[2].partition("/")
    reference = f"{urlsplit(url).netloc.partition('.')[0]}/{name}"
    try:
        known = _versions(door, reference, "")
    except MlshipError as no:
        return no.code != "missing-secret"
    return any(_is_enabled(one) for one in known if version in ("", str(one["id"]).rpartition("/")[2]))


def _newest(door: Door, reference: str, where: str) -> str:
    enabled = [one for one in _versions(door, reference, where) if _is_enabled(one)]
    if not enabled:
        vault, _, name = reference.partition("/")
        fix = f"az keyvault secret set --vault-name {vault} --name {name} --value VALUE"
        raise MlshipError(f"Key Vault has no enabled version of {reference}", where, fix, code="missing-secret")
    newest = max(enabled, key=lambda one: (one.get("attributes") or {}).get("created", 0))
    return str(newest["id"]).rpartition("/")[2]


def _is_enabled(version: Mapping[str, Any]) -> bool:
    return bool((version.get("attributes") or {}).get("enabled", True))


def _versions(door: Door, reference: str, where: str) -> list[dict[str, Any]]:
    """The list tells no value: who deploys needs not be able to read one (Key Vault's permission List). Raises MlshipError."""
    vault = reference.partition("/")[0]
    suffix = door.cloud.vault
    url = f"{address(suffix, reference)}/versions?api-version={VAULT_API}"
    found: list[dict[str, Any]] = []
    while url:
        if not is_at(f"https://{vault}.{suffix}", url):  # a token goes with it
            raise MlshipError(
                f"Key Vault leads elsewhere for versions of {reference}", where, "try again", exit=Exit.UNREACHABLE
            )
        told = door.send("GET", url, scope=f"https://{suffix}/.default")
        if told.status != 200:
            raise _refused(reference, vault, told, where)
        page = told.json
        found += page.get("value") or []
        url = str(page.get("nextLink") or "")
    return found


def _refused(reference: str, vault: str, told: Sent, where: str) -> MlshipError:
    if told.status == 404:
        fix = f"az keyvault secret set --vault-name {vault} --name {reference.partition('/')[2]} --value VALUE"
        return MlshipError(f"Key Vault has no secret {reference}", where, fix, code="missing-secret")
    if _is_kept_out(told):
        what = f"the network rules of the vault {vault} keep this machine out"
        return MlshipError(what, where, "run mlship where they let it in", exit=Exit.DENIED, code="denied")
    if told.status in (401, 403):
        what = f"these credentials may not list the versions of {reference}"
        fix = f"give them the role Key Vault Reader on the vault {vault}"
        return MlshipError(what, where, fix, exit=Exit.DENIED, code="denied")
    what = f"Key Vault answers {told.status} to who asks for versions of {reference}"
    return MlshipError(what, where, "try again", exit=Exit.UNREACHABLE)


def _is_kept_out(told: Sent) -> bool:
    """ "Key Vault REST API error codes" (learn.microsoft.com/azure/key-vault): ForbiddenByFirewall, ForbiddenByConnection."""
    if told.status != 403:
        return False
    error = (told.json or {}).get("error") or {}
    return str((error.get("innererror") or {}).get("code") or "") in ("ForbiddenByFirewall", "ForbiddenByConnection")
