"""The service `vertex` keeps the contract of every target, its unmodified clients talking to a small Vertex AI (vertex_account.py)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("google.cloud.aiplatform_v1", reason="no google-cloud-aiplatform: pip install 'mlship[gcp]'")
pytest.importorskip("googleapiclient", reason="no google-api-python-client: pip install google-api-python-client")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import *  # noqa: F403
from registry_parts import real_registry
from vertex_account import Account, VertexService, account

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("vertex")
    with real_registry(folder / "registry") as port, account(folder, port) as world, pytest.MonkeyPatch.context() as patched:
        for name, text in world.environ.items():
            patched.setenv(name, text)
        yield world


@pytest.fixture
def harness(tmp_path: Path, world: Account) -> VertexService:
    world.reset()
    return VertexService(tmp_path, world)
