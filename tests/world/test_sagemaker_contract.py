"""SageMaker's endpoints keep the contract of every target, against moto and a small stand-in for endpoints (sagemaker_account.py)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import *  # noqa: F403
from sagemaker_account import SagemakerAccount, SagemakerService
from sagemaker_parts import REGION, moto_and_registry

from mlship.targets.aws.door import BotoDoor

pytestmark = pytest.mark.world
CLIENTS: dict[str, Any] = {}  # a client takes a second to make, and the servers are the same for all
DOOR = BotoDoor(REGION)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with moto_and_registry(tmp_path_factory.mktemp("sagemaker")) as environ:
        yield environ


@pytest.fixture
def harness(tmp_path: Path, running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> SagemakerService:
    for name, text in running.items():
        monkeypatch.setenv(name, text)
    account = SagemakerAccount(running, clients=CLIENTS, door=DOOR)
    account.reset()
    return SagemakerService(tmp_path, account)
