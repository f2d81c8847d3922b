"""What releases stand on: registry, identity and its roles, log workspace, environment. Pure bodies, in the order of their calls.

API versions and members: Microsoft's resource types (github.com/Azure/bicep-types-az) for Microsoft.App and
Microsoft.ContainerRegistry; the others from their REST references, not checked against those types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlship.targets.azure import vault
from mlship.targets.azure.container_apps.given import Given
from mlship.targets.azure.filling import Document, Variable
from mlship.targets.azure.roles import ACR_PULL, ASSIGNMENT, ASSIGNMENT_API, SECRETS_USER
from mlship.targets.azure.scope import Scope
from mlship.targets.base import Deployment

APP, ENVIRONMENT = "Microsoft.App/containerApps", "Microsoft.App/managedEnvironments"
REGISTRY = "Microsoft.ContainerRegistry/registries"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
WORKSPACE = "Microsoft.OperationalInsights/workspaces"
APIS: Mapping[str, str] = {
    APP: "2025-07-01",
    ENVIRONMENT: "2025-07-01",
    REGISTRY: "2025-04-01",
    IDENTITY: "2023-01-31",
    WORKSPACE: "2023-09-01",
    ASSIGNMENT: ASSIGNMENT_API,
}
ROLES = {ACR_PULL: "AcrPull", SECRETS_USER: "Key Vault Secrets User"}
ROLE_VARIABLES = {role: f"Role_{words.replace(' ', '')}" for role, words in ROLES.items()}
LOG_DAYS = 30
PROFILE = "Consumption"


@dataclass(frozen=True)
class Part:
    """Something that mlship makes. kind and name: its path; scope: what it is made on, where that is not the group."""

    kind: str
    name: str
    body: Document
    scope: str = ""

    @property
    def api(self) -> str:
        return APIS[self.kind]


def parts(deployment: Deployment, has: Given) -> Iterator[Part]:
    """What is not given, in the order in which one needs the other."""
    scope = Scope(deployment.project, deployment.environment)
    if not has.registry:
        yield Part(REGISTRY, Variable("RegistryName"), registry(has))
    if not has.identity:
        yield Part(IDENTITY, scope.stem, identity(deployment, has))
        yield _assignment(Variable("Registry"), ACR_PULL)
        for name in vault.vaults(deployment.references):
            yield _assignment(Variable(f"Vault_{name}"), SECRETS_USER)
    if not has.environment:
        if not has.logs:
            yield Part(WORKSPACE, scope.stem, workspace(deployment, has))
        yield Part(ENVIRONMENT, scope.stem, environment(deployment, has))


def registry(has: Given) -> Document:
    """One for all projects of the resource group. Only identities pull from it: it has no password of its own."""
    return {
        "location": has.region or Variable("Region"),
        "sku": {"name": "Basic"},
        "tags": {"mlship.role": "registry"},
        "properties": {"adminUserEnabled": False},
    }


def identity(deployment: Deployment, has: Given) -> Document:
    return {"location": has.region or Variable("Region"), "tags": _tags(deployment, "identity")}


def workspace(deployment: Deployment, has: Given) -> Document:
    return {
        "location": has.region or Variable("Region"),
        "tags": _tags(deployment, "logs"),
        "properties": {"sku": {"name": "PerGB2018"}, "retentionInDays": LOG_DAYS},
    }


def environment(deployment: Deployment, has: Given) -> Document:
    network = {"infrastructureSubnetId": has.subnet, "internal": has.callers in ("network", "environment")}
    return {
        "location": has.region or Variable("Region"),
        "tags": _tags(deployment, "environment"),
        "properties": {
            "appLogsConfiguration": {
                "destination": "log-analytics",
                "logAnalyticsConfiguration": {"customerId": Variable("WorkspaceId"), "sharedKey": Variable("WorkspaceKey")},
            },
            "workloadProfiles": [{"name": PROFILE, "workloadProfileType": PROFILE}],
            "zoneRedundant": False,
            **({"vnetConfiguration": network} if has.subnet else {}),
        },
    }


def role_definition(subscription: str, role: str) -> str:
    return f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"


def _assignment(scope: str, role: str) -> Part:
    """On one resource and not on the group: it may do nothing else there. Its name is the same each time (scope.assignment)."""
    body = {
        "properties": {
            "roleDefinitionId": Variable(ROLE_VARIABLES[role]),
            "principalId": Variable("Principal"),
            "principalType": "ServicePrincipal",  # a new identity is not everywhere yet: Entra is not asked for it then
        }
    }
    return Part(ASSIGNMENT, Variable("AssignmentName"), body, scope)


def _tags(deployment: Deployment, role: str) -> dict[str, str]:
    return Scope(deployment.project, deployment.environment).tags(role, deployment.labels)
