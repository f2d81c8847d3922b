"""What each release sends: the app's body, a revision's template, shares of the callers. Pure; `render` shows what `apply` sends.

An app is one resource; each change of its template makes a revision, which is never changed afterwards. Callers are shared between
revisions by whole percents; a label gives a revision an address of its own, whatever its share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from math import ceil

from mlship.errors import MlshipError
from mlship.targets.azure import vault
from mlship.targets.azure.container_apps.foundation import PROFILE
from mlship.targets.azure.container_apps.given import Given
from mlship.targets.azure.container_apps.scaling import scale
from mlship.targets.azure.filling import Document, Variable
from mlship.targets.azure.scope import STORAGE, Scope
from mlship.targets.azure.sizes import LARGEST, container_app
from mlship.targets.base import OPERATOR_KEY, Deployment
from mlship.targets.sizes import asked_of
from mlship.targets.variables import variables_of_user

PORT = 8080
CONTAINER = "server"
WHOLE = 100  # of the callers: shares are whole percents, and add up to this
LIVE, STAGED = "live", "staged"  # labels: each gives a revision an address of its own
OPERATOR = "mlship-operator"  # the app's own secret with which mlship asks a release that judges its callers
# Limits of probes and of stopping (learn.microsoft.com/azure/container-apps, "Health probes" and "Application lifecycle
# management", read 2026-11): at most 10 failures, 240 s apart.
FAILURES, PERIOD_S = 10, 240
STOP_LEAST_S, STOP_MOST_S = 30, 600  # the first is what Container Apps gives a copy by itself
STARTS_S = FAILURES * PERIOD_S
DRAIN_DELAY_S = 5  # the balancer hears of a copy that stops when the copy does
STOP_MARGIN_S = 5
KEPT_REVISIONS = 100  # inactive ones; Azure forgets older ones


def app(deployment: Deployment, has: Given, *, is_first: bool = False) -> Document:
    """The whole app with its first release. There is no app without callers' way to a revision: nobody knows its address yet.

    is_first: as the first call has it. An app whose callers Entra judges opens only when `login` has been said.
    """
    scope = Scope(deployment.project, deployment.environment)
    opened = {**ingress(has), **({"external": False} if is_first and has.callers == "entra" else {})}
    return {
        "location": has.region or Variable("Region"),
        "tags": tags(deployment, has),
        "identity": identity(),
        "properties": {
            "environmentId": Variable("Environment"),
            "workloadProfileName": PROFILE,
            "configuration": {
                **configuration(deployment, has),
                "secrets": secrets(deployment),
                "ingress": {**opened, "traffic": [entry(scope, suffix(deployment, has), WHOLE, LIVE)]},
            },
            "template": template(deployment, has),
        },
    }


def identity() -> Document:
    """Said again with each release: one that mlship.yaml names anew is added, and what earlier ones were made with stays."""
    return {"type": "UserAssigned", "userAssignedIdentities": {Variable("Identity"): {}}}


def configuration(deployment: Deployment, has: Given) -> Document:
    """Of the app, what no release changes."""
    return {
        "activeRevisionsMode": "Multiple",
        "maxInactiveRevisions": KEPT_REVISIONS,
        "registries": [{"server": Variable("RegistryServer"), "identity": Variable("Identity")}],
    }


def ingress(has: Given) -> Document:
    """Without its traffic."""
    return {"external": has.is_external, "targetPort": PORT, "transport": "auto", "allowInsecure": False}


def template(deployment: Deployment, has: Given) -> Document:
    """A revision. Raises MlshipError for a size, and for a start, that Container Apps does not have."""
    body = _template(deployment)
    return {**body, "revisionSuffix": suffix(deployment, has)}


def suffix(deployment: Deployment, has: Given) -> str:
    """`r41-7f3a9c-1d2e`: the release, and what of its revision is not in the release, such as how it scales."""
    told = json.dumps([_template(deployment), has.registry], sort_keys=True)
    return f"{deployment.release.id}-{hashlib.sha256(told.encode()).hexdigest()[:4]}"


def revision(scope: Scope, suffix: str) -> str:
    return f"{scope.short}--{suffix}"


def entry(scope: Scope, suffix: str, weight: int, label: str = "") -> Document:
    """One line of the traffic."""
    return {"revisionName": revision(scope, suffix), "weight": weight, **({"label": label} if label else {})}


def shares(scope: Scope, wanted: Iterable[tuple[str, int, str]]) -> list[Document]:
    """wanted: suffix, percent of the callers, label. Raises MlshipError for shares that are not the whole, before Azure hears of them."""
    found = [entry(scope, *one) for one in wanted]
    if sum(one["weight"] for one in found) != WHOLE or any(one["weight"] < 0 for one in found):
        said = ", ".join(f"{one['revisionName']} {one['weight']} %" for one in found)
        raise MlshipError(f"shares of the callers do not add up to {WHOLE} %: {said}", code="bad-shares")
    return found


def shifted(traffic: list[Document]) -> Document:
    """The call that changes who reaches what, and nothing else."""
    return {"properties": {"configuration": {"ingress": {"traffic": traffic}}}}


def staged(deployment: Deployment, has: Given, kept: list[Document], traffic: list[Document]) -> Document:
    """The call that makes a revision beside those that are there, with no callers. kept: the app's secrets, as `secrets` gives them."""
    names = {one["name"] for one in kept}
    added = [one for one in secrets(deployment) if one["name"] not in names]
    return {
        "tags": tags(deployment, has),
        "identity": identity(),
        "properties": {
            "configuration": {
                **configuration(deployment, has),
                "secrets": [*kept, *added],
                "ingress": {**ingress(has), "traffic": traffic},
            },
            "template": template(deployment, has),
        },
    }


def operated(deployment: Deployment, has: Given) -> Document:
    """The call that changes how the app is operated, where no revision changes with it."""
    return {"tags": tags(deployment, has), "properties": {"configuration": {"ingress": ingress(has)}}}


def login(has: Given) -> Document:
    """Container Apps' own authentication: whoever has no token of Entra for this application gets 401."""
    allowed = (
        {"defaultAuthorizationPolicy": {"allowedPrincipals": {"identities": list(has.principals)}}} if has.principals else {}
    )
    return {
        "properties": {
            "platform": {"enabled": True},
            "globalValidation": {"unauthenticatedClientAction": "Return401"},
            "identityProviders": {
                "azureActiveDirectory": {
                    "enabled": True,
                    "registration": {
                        "clientId": has.client_id,
                        "openIdIssuer": Variable("Issuer"),
                    },
                    "validation": {"allowedAudiences": [audience(has)], **allowed},
                }
            },
        }
    }


def audience(has: Given) -> str:
    return has.audience or f"api://{has.client_id}"


def secrets(deployment: Deployment) -> list[Document]:
    """References to versions in Key Vault, which the app's identity reads; and the key with which mlship asks."""
    found: list[Document] = [
        {
            "name": vault.secret_name(variable, deployment.references[variable], version),
            "keyVaultUrl": Variable(f"Secret_{variable}"),
            "identity": Variable("Identity"),
        }
        for variable, version in sorted(deployment.release.served.secrets.items())
        if variable in deployment.references
    ]
    if deployment.release.served.serving.get("auth"):
        found.append({"name": OPERATOR, "value": Variable("OperatorKey")})
    return found


def tags(deployment: Deployment, has: Given) -> dict[str, str]:
    """`mlship.storage` leads to the records where there is no mlship.yaml."""
    scope = Scope(deployment.project, deployment.environment)
    more = {STORAGE: has.storage} if has.storage else {}
    return dict(sorted({**scope.tags("replica", deployment.labels), **more}.items()))


def _template(deployment: Deployment) -> Document:
    return {
        "containers": [_container(deployment)],
        "scale": scale(deployment),
        "terminationGracePeriodSeconds": _stop_s(deployment),
    }


def _container(deployment: Deployment) -> Document:
    asked = asked_of(deployment)
    size = container_app(asked)
    if not size.holds(asked):
        raise MlshipError(
            f"Container Apps has nothing of {asked}",
            deployment.places.get("resources", ""),
            f"the largest is {LARGEST}",
            code="too-large",
        )
    cpu = int(size.vcpus) if size.vcpus == int(size.vcpus) else size.vcpus
    return {
        "name": CONTAINER,
        "image": Variable("Image"),
        "resources": {"cpu": cpu, "memory": f"{size.memory_gib:g}Gi"},
        "env": _environment(deployment),
        "probes": _probes(deployment),
    }


def _environment(deployment: Deployment) -> list[Document]:
    own = {
        **variables_of_user(deployment),
        "PORT": str(PORT),
        "MLSHIP_RELEASE": deployment.release.id,
        "MLSHIP_DRAIN_DELAY_S": str(DRAIN_DELAY_S),
        "MLSHIP_DRAIN_TIMEOUT_S": str(_stop_s(deployment) - DRAIN_DELAY_S - STOP_MARGIN_S),
    }
    named = {
        variable: vault.secret_name(variable, deployment.references[variable], version)
        for variable, version in deployment.release.served.secrets.items()
        if variable in deployment.references
    }
    if deployment.release.served.serving.get("auth"):
        named[OPERATOR_KEY] = OPERATOR
    plain: list[Document] = [{"name": name, "value": text} for name, text in sorted(own.items()) if name not in named]
    return [*plain, *({"name": name, "secretRef": secret} for name, secret in sorted(named.items()))]


def _probes(deployment: Deployment) -> list[Document]:
    """The startup probe waits for the model to load; only then the other two begin. None of them counts as a request."""
    starts = deployment.startup_timeout_s
    if starts > STARTS_S:
        raise MlshipError(
            f"serve.startup_timeout is {starts:g} s, and Container Apps waits at most {STARTS_S} s for a start",
            deployment.places.get("serve.startup_timeout", ""),
            f"write at most {STARTS_S // 60}m, or use target kubernetes",
            code="absent-feature",
        )
    asked = {"port": PORT, "scheme": "HTTP"}
    return [
        {
            "type": "Startup",
            "httpGet": {"path": "/readyz", **asked},
            "periodSeconds": max(1, ceil(starts / FAILURES)),
            "failureThreshold": FAILURES,
            "timeoutSeconds": 5,
        },
        {
            "type": "Readiness",
            "httpGet": {"path": "/readyz", **asked},
            "periodSeconds": 5,
            "failureThreshold": 3,
            "timeoutSeconds": 5,
        },
        {
            "type": "Liveness",
            "httpGet": {"path": "/livez", **asked},
            "periodSeconds": 10,
            "failureThreshold": 3,
            "timeoutSeconds": 5,
        },
    ]


def _stop_s(deployment: Deployment) -> int:
    asked = ceil(deployment.request_timeout_s) + DRAIN_DELAY_S + STOP_MARGIN_S
    return min(max(asked, STOP_LEAST_S), STOP_MOST_S)
