"""The target `azure`, service azureml, keeps the contract of every target, against a workspace that is played."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("azure.identity", reason="no azure-identity: pip install 'mlship[azure]'")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from azureml_account import AzureMlService, MlAccount, door_of, workspace
from contract import *  # noqa: F403

from mlship.targets.azure.door import Door

pytestmark = pytest.mark.world
DOORS: dict[int, Door] = {}  # its clients take half a second to make, and nothing of a test is kept in it


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MlAccount, Mapping[str, str]]]:
    with workspace(tmp_path_factory.mktemp("azureml")) as made:
        yield made


@pytest.fixture
def harness(
    tmp_path: Path, running: tuple[MlAccount, Mapping[str, str]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[AzureMlService]:
    world, environ = running
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    world.reset()
    yield AzureMlService(tmp_path, world, environ, lambda world: DOORS.setdefault(id(world), door_of(world)))
