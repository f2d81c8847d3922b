"""The whole way in the US government's cloud: not one request goes to a name of the public one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azure.identity", reason="no azure-identity: pip install 'mlship[azure]'")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from azure_national import in_cloud
from azure_operations import SUBSCRIPTION
from azureml_account import AzureMlService, MlAccount
from container_apps_account import Account, ContainerAppsService
from contract import deploy, live_id, roll_back
from registry_parts import real_registry

from mlship.targets.azure.cloud import PUBLIC, US_GOVERNMENT
from mlship.targets.azure.door import AzureDoor
from mlship.targets.base import Action

pytestmark = pytest.mark.world
KEPT = (
    "happyhill-70162bb9.westeurope.azurecontainerapps.io",
)  # Azure tells the whole name of an app: no word of ours is in it


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setenv("REGISTRY_STORAGE_DELETE_ENABLED", "true")
    with real_registry(tmp_path / "registry") as port:
        yield port


def entered(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    assert os.environ["AZURE_AUTHORITY_HOST"] == "https://login.microsoftonline.us"


def foreign(hosts: set[str]) -> list[str]:
    """Names of the public cloud among them."""
    public = [getattr(PUBLIC, name) for name in ("authority", "storage", "registry", "vault", "logs")]
    public += [PUBLIC.arm.partition("//")[2], "inference.ml.azure.com"]
    return sorted(host for host in hosts if any(host.endswith(name) for name in public))


def walked(service: Any) -> None:
    first = deploy(service, 1).history.live
    assert deploy(service, 2).history.live == live_id(service) != first
    assert roll_back(service).history.live == first == live_id(service)
    assert service.open().apply(Action("destroy"), None).ok


def test_a_container_app_of_the_us_government(tmp_path: Path, registry: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Account(registry)
    with in_cloud(world, US_GOVERNMENT, tmp_path / "proxy") as (environ, hosts):
        entered(environ, monkeypatch)
        world.reset()
        door = AzureDoor(SUBSCRIPTION, US_GOVERNMENT, pause=lambda _: None)
        service = ContainerAppsService(tmp_path, world, environ, door, cloud="usgov")
        world.secrets["https://churn-vault.vault.azure.net/secrets/keys"] = ["4387e9"]
        references = {"CHURN_KEYS": "churn-vault/keys"}
        service.extra = {"references": references}
        service.served = {"secrets": dict(service.open().pinned(references))}
        walked(service)
    assert foreign(hosts) == []
    assert {"management.usgovcloudapi.net", "churn-vault.vault.usgovcloudapi.net"} <= hosts
    assert any(host.endswith(".azurecr.us") for host in hosts) and any(host in KEPT[0] or KEPT[0] in host for host in hosts)


def test_an_endpoint_of_azure_ml_of_the_us_government(tmp_path: Path, registry: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world = MlAccount(registry)
    with in_cloud(world, US_GOVERNMENT, tmp_path / "proxy") as (environ, hosts):
        entered(environ, monkeypatch)
        world.reset()
        door = AzureDoor(SUBSCRIPTION, US_GOVERNMENT, pause=lambda seconds: world.clock.sleep(seconds))
        service = AzureMlService(tmp_path, world, environ, lambda _: door, cloud="usgov", auth="aad_token")
        walked(service)
    assert foreign(hosts) == []
    assert any(host.endswith(".inference.ml.azure.us") for host in hosts) and "https://ml.azure.us" in world.login.audiences
