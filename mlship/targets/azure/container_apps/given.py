"""What a subscription has already, as `targets.azure` names it, and who may call. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mlship.errors import MlshipError
from mlship.targets.base import Deployment

Callers = Literal["environment", "network", "entra", "public"]


@dataclass(frozen=True)
class Given:
    """Empty: mlship makes it. Each is a name in the resource group, or a whole path of the resource manager.

    subnet: the path of the one that the environment is to stand in. callers: see `callers_of`. entra: the application that
    Entra's tokens have to be for, and who they may be of.
    """

    region: str = ""
    environment: str = ""
    identity: str = ""
    registry: str = ""
    storage: str = ""
    logs: str = ""
    subnet: str = ""
    callers: Callers = "environment"
    client_id: str = ""
    tenant: str = ""
    audience: str = ""
    principals: tuple[str, ...] = ()

    @property
    def registry_server(self) -> str:
        """`acme.azurecr.io`, where it was said so; a path may have a dot, too."""
        return self.registry if "." in self.registry and not self.registry.startswith("/") else ""

    @property
    def registry_name(self) -> str:
        """As the resource manager knows it, a whole path where that was said; `` where mlship makes one."""
        return self.registry_server.partition(".")[0] or self.registry

    @property
    def is_external(self) -> bool:
        """Whether callers come from outside the environment: from its network, or from everywhere, as the environment says."""
        return self.callers != "environment"


def given(deployment: Deployment) -> Given:
    """Raises MlshipError for what contradicts itself."""
    said = deployment.settings
    entra = said.get("entra") or {}
    found = Given(
        region=str(said.get("region") or ""),
        environment=str(said.get("environment") or ""),
        identity=str(said.get("identity") or ""),
        registry=str(said.get("registry") or ""),
        storage=str(said.get("storage") or ""),
        logs=str(said.get("logs") or ""),
        subnet=str(said.get("subnet") or ""),
        callers=callers_of(deployment),
        client_id=str(entra.get("client_id") or ""),
        tenant=str(entra.get("tenant") or ""),
        audience=str(entra.get("audience") or ""),
        principals=tuple(entra.get("principals") or ()),
    )
    _check(found, deployment.places)
    return found


def callers_of(deployment: Deployment) -> Callers:
    """public: the server judges callers itself (serve.auth); entra: Container Apps lets nobody in without a token of Entra.

    network: the environment's balancer has an address in the virtual network alone. environment: other apps of it alone.
    """
    said = deployment.settings
    if deployment.operating.get("public"):
        return "public"
    if said.get("entra"):
        return "entra"
    asked = str(said.get("callers") or "")
    if asked == "environment" or (not asked and not said.get("subnet")):
        return "environment"
    return "network"


def _check(found: Given, places: Mapping[str, str]) -> None:
    def refused(key: str, what: str, fix: str) -> MlshipError:
        return MlshipError(what, places.get(f"targets.azure.{key}", ""), fix, code="incomplete-target")

    if found.environment and found.subnet:
        what = "targets.azure.environment is there already, and targets.azure.subnet says where one is to be made"
        raise refused("subnet", what, "keep one of them")
    if found.subnet and not found.subnet.startswith("/subscriptions/"):
        what = f"targets.azure.subnet is {found.subnet}, which is no whole path"
        raise refused("subnet", what, "write /subscriptions/.../virtualNetworks/NETWORK/subnets/SUBNET")
    if found.callers == "network" and not (found.environment or found.subnet):
        what = "targets.azure.callers is network, and nothing says which"
        raise refused("callers", what, "write targets.azure.subnet, or name an environment that stands in a network")
    if found.callers == "entra" and not (found.client_id and found.tenant):
        what = "targets.azure.entra has no client_id and tenant"
        fix = "write entra: {client_id: ..., tenant: ...} of the app registration that callers ask a token for"
        raise refused("entra", what, fix)
