"""The target `local` keeps the contract of every target."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import *  # noqa: F403
from local_service import LocalService

from mlship.targets.base import Action

pytestmark = pytest.mark.world


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[LocalService]:
    service = LocalService(tmp_path)
    yield service
    service.open().apply(Action("destroy"), None)
    assert service.processes() == []
