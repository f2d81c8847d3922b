"""The service `lambda` keeps the contract of every target, against an emulator that others wrote (lambda_account.py)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from aws_account import REGION, Account, emulators
from contract import *  # noqa: F403
from lambda_account import Functions, LambdaService, urls

from mlship.targets.aws.door import BotoDoor

pytestmark = pytest.mark.world
CLIENTS: dict[str, Any] = {}  # a client takes a second to make, and the servers are the same for all
DOOR = BotoDoor(REGION)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with emulators(tmp_path_factory.mktemp("aws")) as environ:
        yield environ


@pytest.fixture
def harness(tmp_path: Path, running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaService]:
    for name, text in running.items():
        monkeypatch.setenv(name, text)
    account = Account(running, clients=CLIENTS, door=DOOR)
    account.reset()
    functions = Functions(account)
    with urls(functions, tmp_path / "tls") as environ:
        for name, text in environ.items():
            monkeypatch.setenv(name, text)
        yield LambdaService(tmp_path, functions)
