"""The short story of a local service, with a stand-in server; the long ones are in tests/world/test_local_*.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract import deploy, live_id, roll_back
from local_service import LocalService

from mlship.targets.base import Action


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LocalService]:
    made = LocalService(tmp_path)
    yield made
    made.open().apply(Action("destroy"), None)
    assert made.processes() == []


def test_two_releases_a_rollback_and_destroy(service: LocalService) -> None:
    first = deploy(service, 1).history.live
    assert deploy(service, 2).history.live == live_id(service) != first
    assert roll_back(service).history.live == live_id(service) == first
    assert len(service.servers()) == 1
    assert service.open().apply(Action("destroy"), None).ok
    assert service.left() == []
