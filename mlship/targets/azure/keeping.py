"""The records of a project: in the storage account that mlship.yaml names, or in the one that mlship makes for its resource group."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlship.errors import MlshipError
from mlship.targets.azure.door import Body, Door
from mlship.targets.azure.records import BlobRecords
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.scope import CONTAINER, ENV, GROUP, PROJECT, ROLE, STORAGE, Place, Scope
from mlship.targets.base import Opening

RESOURCES_API = "2021-04-01"
STORAGE_API = "2023-05-01"
STORAGE_KIND = "Microsoft.Storage/storageAccounts"


@dataclass(frozen=True)
class Where:
    """What is said of a project, or found by its tags where there is no mlship.yaml. storage: a name; `` for mlship's own."""

    place: Place
    storage: str = ""

    @property
    def account(self) -> str:
        return self.storage or self.place.storage


def where_of(opening: Opening, door: Door) -> Where:
    """Raises MlshipError where nobody can be asked which subscription it is."""
    settings, environ = opening.settings, opening.environ
    group, storage = str(settings.get("resource_group") or ""), str(settings.get("storage") or "")
    if "service" not in settings and not (group and storage):  # no mlship.yaml, which always says it
        group, storage = _by_tags(opening, door, group, storage)
    return Where(Place(door.subscription, group or environ.get("AZURE_DEFAULTS_GROUP") or GROUP), storage)


def records_of(opening: Opening, door: Door) -> BlobRecords:
    """Of the project that is opened, whatever service runs it."""
    scope = Scope(opening.project, opening.environment)

    @functools.cache
    def where() -> Where:
        found = where_of(opening, door)
        door.open_with_keys(found.account, found.place.resource(STORAGE_KIND, found.account))
        return found

    known: set[str] = set()  # accounts that are there: the name of one that is not leads nowhere at all

    def account() -> str:
        name = where().account
        if name not in known:
            if not where().storage and not _is_there(door, where()):
                return ""
            known.add(name)
        return name

    def make() -> None:
        make_account(door, where(), str(opening.settings.get("region") or ""))
        known.add(where().account)
        door.make_container(where().account, CONTAINER)

    return BlobRecords(door, account, scope.records, make)


def make_account(door: Door, where: Where, region: str) -> None:
    """The resource group, and in it the account, unless they are there; one that is given is never made."""
    if where.storage:
        return
    path = where.place.resource(STORAGE_KIND, where.account)
    if door.find(path, STORAGE_API) is not None:
        return
    if not region:
        raise MlshipError("no region of Azure is said", fix="write targets.azure.region: westeurope", code="no-region")
    make_group(door, where.place, region)
    door.arm("PUT", path, STORAGE_API, account(region))


def make_group(door: Door, place: Place, region: str) -> None:
    """One that is there is not asked to be made: who may deploy into it need not be allowed to change it."""
    if door.find(place.path, RESOURCES_API) is None:
        door.arm("PUT", place.path, RESOURCES_API, group(region))


def group(region: str) -> Body:
    return {"location": region, "tags": {ROLE: "group"}}


def account(region: str) -> Body:
    """Closed to the public; versions of blobs are not kept, the records hold their own history."""
    return {
        "location": region,
        "kind": "StorageV2",
        "sku": {"name": "Standard_LRS"},
        "tags": {ROLE: "records"},
        "properties": {
            "accessTier": "Hot",
            "allowBlobPublicAccess": False,
            "minimumTlsVersion": "TLS1_2",
            "supportsHttpsTrafficOnly": True,
        },
    }


def _is_there(door: Door, where: Where) -> bool:
    """Who may not look at the account may still be allowed to use it."""
    try:
        return door.find(where.place.resource(STORAGE_KIND, where.account), STORAGE_API) is not None
    except Refused as no:
        if no.code != "denied":
            raise
        return True


def _by_tags(opening: Opening, door: Door, group: str, storage: str) -> tuple[str, str]:
    """Where something with the project's tags is, in the whole subscription."""
    asked = f"tagName eq '{PROJECT}' and tagValue eq '{opening.project}'"
    for one in door.all(f"/subscriptions/{door.subscription}/resources", RESOURCES_API, **{"$filter": asked}):
        tags: Mapping[str, Any] = one.get("tags") or {}
        if tags.get(ENV, "") == opening.environment and _group_of(one) and (not group or group == _group_of(one)):
            return group or _group_of(one), storage or str(tags.get(STORAGE, ""))
    return group, storage


def _group_of(resource: Mapping[str, Any]) -> str:
    parts = str(resource.get("id", "")).split("/")
    return parts[4] if len(parts) > 4 and parts[3].lower() == "resourcegroups" else ""
