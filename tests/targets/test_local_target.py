"""The short story of a local service, with a stand-in server; the long ones are in tests/world/test_local_*.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract import deploy, live_id, roll_back
from local_service import LocalService

from mlship.targets.base import Action, Request


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


def test_what_a_copy_counted_and_how_it_is(service: LocalService) -> None:
    assert service.open().why() == ()
    assert service.open().measure() == {}
    live = deploy(service, 1).history.live
    counted = service.open().measure()[live].requests
    service.open().ask(Request("POST", "/predict", b"{}"))
    assert service.open().measure()[live].requests == counted + 1
    (why,) = service.open().why()
    assert (why.release, why.state, why.exit_code, why.probe) == (live, "live", None, "")
    assert why.log == ("loading version 1", "ready")


def test_a_copy_that_died_says_how(service: LocalService) -> None:
    live = deploy(service, 1).history.live
    service.open().ask(Request("POST", "/die"))
    deadline = time.monotonic() + 10
    while (why := service.open().why()[0]).exit_code is None and time.monotonic() < deadline:
        time.sleep(0.01)  # until its parent has heard of it
    assert (why.release, why.exit_code) == (live, 3)
    assert why.log[0] == "loading version 1"
