"""Who lets mlship and its identities in: tokens, roles, networks."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from cloud_deployment import deployment

from mlship.errors import MlshipError
from mlship.targets.azure.cloud import PUBLIC
from mlship.targets.azure.delivery import credentials
from mlship.targets.azure.door import Door, Sent, is_at
from mlship.targets.azure.refusal import refusal
from mlship.targets.azure.roles import ACR_PULL, SECRETS_USER, closed_vaults, of_given
from mlship.targets.azure.tokens import Tokens
from mlship.targets.azure.vault import is_enabled, pinned

IDENTITY = {"properties": {"principalId": "c0ffee"}}
REGISTRY = "/subscriptions/0/resourceGroups/ml/providers/Microsoft.ContainerRegistry/registries/acme"
VAULT = "/subscriptions/0/resourceGroups/ml/providers/Microsoft.KeyVault/vaults/churn-vault"


class Roles:
    """A door to what an identity has. on: path -> roles; a path that is not there may not be looked at."""

    subscription = "0"

    def __init__(self, on: dict[str, list[str]], **vault: Any) -> None:
        self.on, self.vault = on, vault

    def find(self, path: str, api: str) -> dict[str, Any]:
        return {"id": path, "properties": self.vault}

    def all(self, path: str, api: str, **query: str) -> list[dict[str, Any]]:
        if path.endswith("/resources"):
            return [{"id": VAULT}]
        if (roles := self.on.get(path.partition("/providers/Microsoft.Authorization")[0])) is None:
            raise refusal("GET roles", 403, {"code": "AuthorizationFailed"})
        assert query == {"$filter": "assignedTo('c0ffee')"}
        return [
            {"properties": {"roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{role}"}} for role in roles
        ]


@pytest.mark.parametrize(
    ("door", "said"),
    [
        (Roles({REGISTRY: [ACR_PULL], VAULT: [SECRETS_USER]}), []),
        (Roles({}), []),
        (
            Roles({REGISTRY: [], VAULT: []}),
            ["error the identity pulls has no role on acme", "error the identity pulls has no role on churn-vault"],
        ),
        (Roles({REGISTRY: [SECRETS_USER]}), ["warning nobody knows whether the identity pulls has AcrPull on acme"]),
        (Roles({REGISTRY: [ACR_PULL], VAULT: []}, enableRbacAuthorization=False), []),
    ],
)
def test_a_given_identity_without_its_roles_is_known_beforehand(door: Roles, said: list[str]) -> None:
    wanted = replace(deployment("azure", "azureml", identity="pulls"), references={"KEYS": "churn-vault/keys"})
    found = list(of_given(cast("Door", door), wanted, IDENTITY, REGISTRY))
    assert [f"{one.severity} {one.what}" for one in found] == said
    assert all(
        f"--assignee-object-id c0ffee --scope {path}" in one.fix for one, path in zip(found, (REGISTRY, VAULT), strict=False)
    )


def test_a_vault_that_asks_no_roles_is_said_before_its_secrets_are_not_read() -> None:
    wanted = replace(deployment("azure", "container-apps"), references={"KEYS": "churn-vault/keys"})
    (found,) = closed_vaults(cast("Door", Roles({}, enableRbacAuthorization=False)), wanted)
    assert found.what == "the Key Vault churn-vault goes by access policies, and mlship gives its identity a role"
    assert not list(closed_vaults(cast("Door", Roles({}, enableRbacAuthorization=True)), wanted))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://management.azure.com/subscriptions/0?page=2", True),
        ("https://management.azure.com:443/subscriptions/0?page=2", True),
        ("https://management.azure.com:8443/subscriptions/0", False),
        ("https://management.azure.com@elsewhere.example/", False),
        ("https://management.azure.com.elsewhere.example/", False),
        ("http://management.azure.com/subscriptions/0", False),
    ],
)
def test_a_token_follows_links_of_the_resource_manager_alone(url: str, expected: bool) -> None:
    assert is_at(PUBLIC.arm, url) is expected


@dataclass
class Token:
    expires_on: float


class Az:
    """A credential that counts."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def get_token(self, *scopes: str, **options: Any) -> Token:
        self.asked.append((scopes, options))
        return Token(3600.0 * len(self.asked))


def test_a_token_is_asked_for_once_until_it_ends_or_is_turned_away() -> None:
    az, now = Az(), [0.0]
    tokens = Tokens(az, clock=lambda: now[0])
    first = tokens.get_token("vault", enable_cae=True)
    assert tokens.get_token("vault", enable_cae=True) is first
    assert tokens.get_token("vault") is not first and tokens.get_token("arm") is not first and len(az.asked) == 3
    other = tokens.get_token("vault", enable_cae=True, claims="revoked")
    assert az.asked[-1] == (("vault",), {"enable_cae": True, "claims": "revoked"})
    assert tokens.get_token("vault", enable_cae=True) is other
    now[0] = other.expires_on - 200
    assert tokens.get_token("vault", enable_cae=True) is not other


class Answers:
    """A door that answers everything with the same."""

    cloud = PUBLIC

    subscription = "0"

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.told = Sent(status, {}, json.dumps(body).encode())

    def token(self, scope: str) -> str:
        return "token"

    def send(self, *_: str, **__: Any) -> Sent:
        return self.told


def test_a_network_that_is_kept_out_is_told_from_a_missing_role() -> None:
    assert "network rules" in refusal("write", 403, {"code": "AuthorizationFailure"}).fix
    assert "a role" in refusal("write", 403, {"code": "AuthorizationPermissionMismatch"}).fix
    kept_out = {"error": {"code": "Forbidden", "innererror": {"code": "ForbiddenByFirewall"}}}
    with pytest.raises(MlshipError, match="the network rules of the vault acme keep this machine out"):
        pinned(cast("Door", Answers(403, kept_out)), {"KEYS": "acme/keys"}, {})
    with pytest.raises(MlshipError, match="may not list the versions of acme/keys"):
        pinned(cast("Door", Answers(403, {"error": {"code": "Forbidden"}})), {"KEYS": "acme/keys"}, {})
    denied = {"errors": [{"code": "DENIED", "message": "client with IP '198.51.100.7' is not allowed access"}]}
    with pytest.raises(MlshipError, match="does not let these credentials in: client with IP"):
        credentials(cast("Door", Answers(403, denied)), "acme.azurecr.io")


def test_versions_are_listed_at_the_vault_alone() -> None:
    page = {"value": [], "nextLink": "https://elsewhere.example/secrets/keys/versions"}
    with pytest.raises(MlshipError, match="Key Vault leads elsewhere"):
        pinned(cast("Door", Answers(200, page)), {"KEYS": "acme/keys"}, {})


def test_a_secret_is_given_while_a_version_of_it_is_enabled() -> None:
    """An address without a version is somebody's who set it by hand; nobody's no to a look takes a secret away."""
    url = "https://acme.vault.azure.net/secrets/keys"
    listed = [{"id": f"{url}/aaa1", "attributes": {"enabled": False}}, {"id": f"{url}/bbb2", "attributes": {"enabled": True}}]

    def given(version: str, status: int = 200, versions: list[dict[str, Any]] = listed) -> bool:
        return is_enabled(cast("Door", Answers(status, {"value": versions})), url + version)

    assert [given("/aaa1"), given("/bbb2"), given("/ccc3"), given(""), given("/")] == [False, True, False, True, True]
    assert not given("", versions=listed[:1]) and not given("/aaa1", 404) and given("/aaa1", 403) and given("/aaa1", 503)
