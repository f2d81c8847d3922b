"""The secrets that an app has: references to Key Vault, and the key with which mlship asks."""

from __future__ import annotations

import secrets
from typing import Any

from mlship.targets.azure import vault
from mlship.targets.azure.container_apps.releasing import OPERATOR
from mlship.targets.azure.container_apps.seen import API, Seen
from mlship.targets.azure.door import Door
from mlship.targets.azure.filling import Document


def operator_key(door: Door, present: Seen | None) -> str:
    """The same for all releases of the project: the app keeps it. A new one where there is none yet."""
    for one in _values(door, present) if present else ():
        if one.get("name") == OPERATOR and one.get("value"):
            return str(one["value"])
    return secrets.token_urlsafe(32)


def kept(door: Door, present: Seen) -> list[Document]:
    """As they have to be sent again: a list is replaced as a whole, and Azure does not tell values with the app."""
    values = {one["name"]: one.get("value") for one in _values(door, present)}
    return [
        {"name": one["name"], "keyVaultUrl": one["keyVaultUrl"], "identity": one["identity"]}
        if one.get("keyVaultUrl")
        else {"name": one["name"], "value": values.get(one["name"]) or ""}
        for one in told(present)
    ]


def lost(door: Door, present: Seen) -> dict[str, str]:
    """name -> address of each version that Key Vault does not give any more and that nothing which runs has.

    Azure reads all of an app's secrets with each change of it, and refuses the whole change for one.
    """
    running = frozenset().union(*(one.secrets for one in present.revisions if one.active))
    kept = {one["name"]: str(one.get("keyVaultUrl") or "") for one in told(present) if one["name"] not in running}
    return {name: url for name, url in kept.items() if url and not vault.is_enabled(door, url)}


def missing(present: Seen) -> dict[str, str]:
    """release -> why its revision cannot start again: the app has not all of its secrets any more."""
    there = {one["name"] for one in told(present)}
    lacking = {one.release: one.secrets - there for one in present.revisions}
    return {release: f"the app has its secret {min(names)} no more" for release, names in lacking.items() if names}


def told(present: Seen) -> list[dict[str, Any]]:
    """As the app tells them, without values."""
    configuration = (present.app.get("properties") or {}).get("configuration") or {}
    return list(configuration.get("secrets") or ())


def _values(door: Door, present: Seen) -> list[dict[str, Any]]:
    """Asked for only where there is one with a value of its own."""
    if all(one["name"] != OPERATOR for one in told(present)):
        return []
    return list(door.arm("POST", f"{present.path}/listSecrets", API).get("value") or ())
