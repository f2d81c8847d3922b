"""What both services of Azure find out before anything is changed: the subscription, its providers, who we may be in the group."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from mlship.errors import Exit, Finding, MlshipError
from mlship.targets.azure.door import SUBSCRIPTIONS_API, Door
from mlship.targets.azure.keeping import RESOURCES_API
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.scope import Place
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused

PERMISSIONS_API = "2022-04-01"


def guard(door: Door, deployment: Deployment, environ: Mapping[str, str]) -> None:
    """The wrong subscription must not be deployed into. Raises MlshipError with exit 8."""
    wanted = str(deployment.settings.get("subscription") or "")
    said = environ.get("AZURE_SUBSCRIPTION_ID", "")
    where = deployment.places.get("targets.azure.subscription", "")
    if wanted and said and said.lower() != wanted.lower():
        raise MlshipError(
            f"AZURE_SUBSCRIPTION_ID is {said}, and targets.azure.subscription is {wanted}",
            where,
            "set AZURE_SUBSCRIPTION_ID to that subscription, or take it away",
            exit=Exit.DENIED,
            code="wrong-subscription",
        )
    found = door.find(f"/subscriptions/{door.subscription}", SUBSCRIPTIONS_API)
    if found is None:
        what = f"these credentials see no subscription {door.subscription}"
        raise MlshipError(what, where, "az login to its tenant, or correct it", exit=Exit.DENIED, code="wrong-subscription")
    if found.get("state", "Enabled") not in ("Enabled", "Warned", "PastDue"):
        what = f"the subscription {door.subscription} is {found.get('state')}"
        raise MlshipError(what, where, "have it enabled", exit=Exit.DENIED, code="wrong-subscription")


def providers(door: Door, needed: Collection[str], deployment: Deployment) -> Iterator[Finding]:
    """Of kinds that nobody in the subscription has used yet. mlship does not register them: that is the subscription's owner's."""
    path = f"/subscriptions/{door.subscription}/providers"
    states = {
        str(one.get("namespace", "")).lower(): str(one.get("registrationState", ""))
        for one in readable(lambda: door.all(path, RESOURCES_API))
    }
    for name in sorted(needed):
        if states.get(name.lower(), "Registered") != "Registered":
            what = f"the provider {name} is {states[name.lower()]} in the subscription {door.subscription}"
            fix = f"az provider register --namespace {name} --subscription {door.subscription}"
            yield refused(deployment, "targets.azure.subscription", what, fix, "unregistered")


def permissions(door: Door, place: Place, kinds: Iterable[str], deployment: Deployment) -> Iterator[Finding]:
    """What these credentials may not write in the resource group. Where nobody tells, the step that needs it will."""
    path = f"{place.path}/providers/Microsoft.Authorization/permissions"
    told = readable(lambda: door.all(path, PERMISSIONS_API))
    if not told:
        return
    for kind in sorted(set(kinds)):
        if not any(_allows(one, f"{kind}/write") for one in told):
            what = f"these credentials may not make {kind} in {place.group}"
            fix = "name one that is there in targets.azure, or have a role assigned that allows it"
            yield refused(deployment, "targets.azure.resource_group", what, fix, "denied")


def readable(read: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Nothing where it may not be read, or is not there yet."""
    try:
        return read()
    except Refused as no:
        if no.code == "denied" or no.is_missing:
            return []
        raise


def _allows(permission: Mapping[str, Any], action: str) -> bool:
    """`Microsoft.App/*/write`: stars stand for anything, notActions take away."""
    return _any(permission.get("actions"), action) and not _any(permission.get("notActions"), action)


def _any(patterns: Iterable[str] | None, action: str) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns or ())
