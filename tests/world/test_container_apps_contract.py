"""The target `azure`, service container-apps, keeps the contract of every target, against a subscription that is played."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("azure.identity", reason="no azure-identity: pip install 'mlship[azure]'")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from azure_operations import SUBSCRIPTION
from container_apps_account import Account, ContainerAppsService, account
from contract import *  # noqa: F403

from mlship.targets.azure.door import AzureDoor

pytestmark = pytest.mark.world
DOOR = AzureDoor(
    SUBSCRIPTION, pause=lambda _: None
)  # its clients take half a second to make, and nothing of a test is kept in it


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Account, Mapping[str, str]]]:
    with account(tmp_path_factory.mktemp("azure")) as made:
        yield made


@pytest.fixture
def harness(
    tmp_path: Path, running: tuple[Account, Mapping[str, str]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[ContainerAppsService]:
    world, environ = running
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    world.reset()
    yield ContainerAppsService(tmp_path, world, environ, DOOR)
