"""The same end state for the resource manager alone: one template with everything in it, or an app for `az containerapp`. Pure.

The bodies are those that `apply` sends; what they name of each other becomes an expression of the template.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.targets.azure import vault
from mlship.targets.azure.cloud import CLOUDS, PUBLIC
from mlship.targets.azure.container_apps.foundation import (
    APIS,
    APP,
    ENVIRONMENT,
    IDENTITY,
    REGISTRY,
    ROLE_VARIABLES,
    WORKSPACE,
    Part,
    parts,
)
from mlship.targets.azure.container_apps.given import Given
from mlship.targets.azure.container_apps.releasing import app, login
from mlship.targets.azure.filling import Document, Variable, filled, variables
from mlship.targets.azure.roles import ASSIGNMENT
from mlship.targets.azure.scope import Scope
from mlship.targets.base import Deployment

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
IMAGE = "the image in the registry, by digest: mlship build --push gives it"


def template(deployment: Deployment, has: Given) -> Document:
    """For `az deployment group create`. Its parameters: the image, and what cannot be known before it stands in a subscription."""
    known = _known(deployment, has)
    resources = [_resource(part, known, has) for part in parts(deployment, has)]
    stands_on = [one["name"] for one in resources]
    wanted = app(deployment, has)
    made = _placed(APP, Scope(deployment.project, deployment.environment).short, filled(_literal(wanted), known))
    made["dependsOn"] = [_id_of(one) for one in resources]
    needed = variables(wanted) | {"Image"}
    resources.append(made)
    if has.callers == "entra":
        auth = _placed(f"{APP}/authConfigs", f"{made['name']}/current", filled(_literal(login(has)), known), APIS[APP])
        auth["dependsOn"] = [f"[resourceId('{APP}', '{made['name']}')]"]
        resources.append(auth)
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": _parameters(has, needed, bool(stands_on)),
        "resources": resources,
        "outputs": {"host": {"type": "string", "value": f"[reference('{made['name']}').configuration.ingress.fqdn]"}},
    }


def yaml_app(deployment: Deployment, has: Given) -> Document:
    """What `az containerapp create --yaml` takes; `${Name}` is to be filled, as envsubst does."""
    scope = Scope(deployment.project, deployment.environment)
    known = {name: f"${{{name}}}" for name in variables(app(deployment, has))} | _secrets(deployment)
    return {"type": APP, "name": scope.short, **filled(app(deployment, has), known)}


def _parameters(has: Given, needed: frozenset[str], makes: bool) -> Document:
    made: Document = {"image": {"type": "string", "metadata": {"description": IMAGE}}}
    if not has.registry:
        unique = "[concat('mlship', uniqueString(resourceGroup().id))]"
        made["registryName"] = {"type": "string", "defaultValue": unique}
    elif not has.registry_server:
        made["registryServer"] = {"type": "string", "metadata": {"description": f"login server of the registry {has.registry}"}}
    if "OperatorKey" in needed:
        made["operatorKey"] = {"type": "securestring"}
    return made


def _known(deployment: Deployment, has: Given) -> Mapping[str, str]:
    """What each variable is in the template."""
    stem = Scope(deployment.project, deployment.environment).stem
    registry = _id(REGISTRY, has.registry_name) if has.registry else f"resourceId('{REGISTRY}', parameters('registryName'))"
    workspace = _id(WORKSPACE, has.logs or stem)
    server = (
        f"[reference({registry}, '{APIS[REGISTRY]}').loginServer]" if not has.registry else "[parameters('registryServer')]"
    )
    return {
        "Image": "[parameters('image')]",
        "OperatorKey": "[parameters('operatorKey')]",
        "Region": has.region or "[resourceGroup().location]",
        "RegistryName": "[parameters('registryName')]",
        "Registry": f"[{registry}]",
        "RegistryServer": has.registry_server or server,
        "Identity": f"[{_id(IDENTITY, has.identity or stem)}]",
        "Principal": f"[reference({_id(IDENTITY, has.identity or stem)}, '{APIS[IDENTITY]}').principalId]",
        "Environment": f"[{_id(ENVIRONMENT, has.environment or stem)}]",
        "WorkspaceId": f"[reference({workspace}, '{APIS[WORKSPACE]}').customerId]",
        "WorkspaceKey": f"[listKeys({workspace}, '{APIS[WORKSPACE]}').primarySharedKey]",
        "Issuer": f"[concat(environment().authentication.loginEndpoint, '{has.tenant}/v2.0')]",
        **{name: f"[{_role(role)}]" for role, name in ROLE_VARIABLES.items()},
        **{f"Vault_{name}": f"[{_id('Microsoft.KeyVault/vaults', name)}]" for name in vault.vaults(deployment.references)},
        **_secrets(deployment),
    }


def _secrets(deployment: Deployment) -> dict[str, str]:
    suffix = CLOUDS.get(str(deployment.settings.get("cloud") or ""), PUBLIC).vault
    return {
        f"Secret_{variable}": vault.address(suffix, reference, version)
        for variable, version in deployment.release.served.secrets.items()
        if (reference := deployment.references.get(variable, ""))
    }


def _resource(part: Part, known: Mapping[str, str], has: Given) -> Document:
    if part.kind != ASSIGNMENT:
        made = _placed(part.kind, filled(part.name, known), filled(_literal(part.body), known))
        if part.kind == ENVIRONMENT and not has.logs:
            made["dependsOn"] = [f"[resourceId('{WORKSPACE}', '{made['name']}')]"]
        return made
    on, role = filled(part.scope, known), part.body["properties"]["roleDefinitionId"]
    inner = f"guid({on[1:-1]}, {filled(role, known)[1:-1]}, {known['Identity'][1:-1]})"
    stands_on = [
        known["Identity"],
        *([on] if part.scope == "${Registry}" and not has.registry else []),
    ]  # what the template makes
    return {**_placed(ASSIGNMENT, f"[{inner}]", filled(part.body, known)), "scope": on, "dependsOn": stands_on}


def _id_of(resource: Mapping[str, Any]) -> str:
    """Roles, too: an app that comes before them cannot pull its image."""
    if resource["type"] == ASSIGNMENT:
        return f"[extensionResourceId({_argument(resource['scope'])}, '{ASSIGNMENT}', {_argument(resource['name'])})]"
    return f"[resourceId('{resource['type']}', {_argument(resource['name'])})]"


def _placed(kind: str, name: str, body: Document, api: str = "") -> Document:
    return {"type": kind, "apiVersion": api or APIS[kind], "name": name, **body}


def _literal(document: Any) -> Any:
    """Text of a user that a template would take for an expression is said to be none: `[[x]` is `[x]`."""
    if isinstance(document, Mapping):
        return {_literal(key): _literal(entry) for key, entry in document.items()}
    if isinstance(document, list):
        return [_literal(entry) for entry in document]
    is_text = isinstance(document, str) and not isinstance(document, Variable)
    return f"[{document}" if is_text and document.startswith("[") else document


def _id(kind: str, said: str) -> str:
    """An expression; a whole path stays as it is."""
    return f"'{said}'" if said.startswith("/") else f"resourceId('{kind}', '{said}')"


def _role(role: str) -> str:
    return f"subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{role}')"


def _argument(name: Any) -> str:
    """A name inside an expression."""
    text = str(name)
    return text[1:-1] if text.startswith("[") else f"'{text}'"
