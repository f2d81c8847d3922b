"""The target `aws` keeps the contract of every target, against emulators of AWS that others wrote (aws_account.py)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from aws_account import REGION, Account, AwsService, balancer, emulators
from contract import *  # noqa: F403

from mlship.targets.aws.door import BotoDoor

pytestmark = pytest.mark.world
CLIENTS: dict[str, Any] = {}  # a client takes a second to make, and the servers are the same for all
DOOR = BotoDoor(REGION)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with emulators(tmp_path_factory.mktemp("aws")) as environ:
        yield environ


@pytest.fixture
def harness(tmp_path: Path, running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsService]:
    for name, text in running.items():
        monkeypatch.setenv(name, text)
    account = Account(running, clients=CLIENTS, door=DOOR)
    account.reset()
    with balancer(account) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        yield AwsService(tmp_path, account)
