"""A command of the service `vertex` that is killed after any of its changes is simply run again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.cloud.aiplatform_v1", reason="no google-cloud-aiplatform: pip install 'mlship[gcp]'")
pytest.importorskip("googleapiclient", reason="no google-api-python-client: pip install google-api-python-client")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import deploy, live_id
from google_contract import Method
from google_world import No
from inspecting_proxy import Asked
from registry_parts import real_registry
from vertex_account import Account, VertexService, account

from mlship.errors import MlshipError

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("vertex")
    with real_registry(folder / "registry") as port, account(folder, port) as world, pytest.MonkeyPatch.context() as patched:
        for name, text in world.environ.items():
            patched.setenv(name, text)
        yield world


@pytest.fixture
def world(running: Account) -> Account:
    running.reset()
    return running


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_command_that_is_killed_after_any_of_its_changes_is_simply_run_again(
    tmp_path: Path, world: Account, first: int
) -> None:
    """A third of the changes each, so that no test takes long."""
    service = VertexService(tmp_path, world)
    deploy(service, 1)
    version, at, was_killed = 2, first, True
    while was_killed:
        world.google.before = dies_after(at)
        try:
            deploy(service, version)
        except MlshipError:
            world.google.before = lambda method, asked: None
            give_lease_back(world)
        else:
            was_killed = False
        world.google.before = lambda method, asked: None
        assert deploy(service, version).history.live == live_id(service)
        observed = service.open().observe()
        assert {replica.release for replica in observed.replicas} == {live_id(service)}
        version, at = version + 1, at + 3
    assert at >= 9, "a deploy changes more than that"


def dies_after(at: int) -> Any:
    """After so many changes of the world nothing is answered any more, as for a process that is gone."""
    changed = [0]

    def before(method: Method, asked: Asked) -> None:
        if changed[0] > at:
            raise No("PERMISSION_DENIED", "the command is gone")
        reads = ("predict", "rawPredict", "testIamPermissions", "getAllowedLocations", "list")
        if asked.method not in ("GET", "HEAD") and method.name.split(".")[-1] not in reads:
            changed[0] += 1

    return before


def give_lease_back(world: Account) -> None:
    """As if its time were over."""
    for (_, name), kept in world.storage.objects.items():
        if name.endswith("lease.json"):
            kept.raw = b'{"schema": 1, "token": "", "holder": "", "expires": 0.0, "ttl_s": 0.0}'
            kept.generation += 1
