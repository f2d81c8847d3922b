"""The holder itself: what it does with servers that misbehave, and when it is killed in the middle of things."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import deploy, live_id
from local_service import STANDIN, LocalService

from mlship.errors import MlshipError
from mlship.runner import LocalRunner
from mlship.targets.base import Action
from mlship.targets.local.control import Control, Refused
from mlship.targets.local.processes import start_ticks
from mlship.targets.local.protocol import Launch
from mlship.targets.local.starting import wait_until_ready

pytestmark = pytest.mark.world


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LocalService]:
    made = LocalService(tmp_path)
    yield made
    made.open().apply(Action("destroy"), None)
    assert made.processes() == []


@pytest.fixture
def control(service: LocalService) -> Control:
    service.folder.mkdir(parents=True)
    found = Control(service.folder, LocalRunner())
    found.ensure()
    return found


def launch(control: Control, release: str, **environ: str) -> Launch:
    argv = (sys.executable, "-I", "-S", str(STANDIN))
    folder = str(control.folder)
    return Launch(release, argv, {"MLSHIP_RELEASE": release, **environ}, folder, f"{folder}/{release}.log", drain_s=0.3)


def start(control: Control, release: str, **environ: str) -> None:
    wanted = launch(control, release, **environ)
    control.start(wanted)
    assert wait_until_ready(control.status, release, 10.0, Path(wanted.log)).ok


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while start_ticks(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_release_that_never_accepts_leaves_the_old_one_live(control: Control) -> None:
    start(control, "r1-000001")
    control.shift("r1-000001")
    start(control, "r2-000002", BROKEN="deaf")
    with pytest.raises(Refused, match=r"r2-000002 did not begin to accept within 0\.2 s"):
        control.shift("r2-000002", 0.2)
    view = control.status()
    assert view is not None and view.live == "r1-000001"


def test_a_release_that_is_not_ready_gets_no_callers(control: Control) -> None:
    control.start(launch(control, "r1-000001", BROKEN="never"))
    with pytest.raises(Refused, match="the copy of r1-000001 is not ready"):
        control.shift("r1-000001")
    with pytest.raises(Refused, match="no copy of r2-000002 is running"):
        control.shift("r2-000002")


def test_a_server_that_ignores_the_order_to_end_is_ended(control: Control) -> None:
    start(control, "r1-000001", BROKEN="stubborn")
    view = control.stop("r1-000001")
    assert view.servers == ()


def test_workers_that_outlive_their_server_are_ended(control: Control) -> None:
    script = "import os, time\nif os.fork(): os._exit(3)\ntime.sleep(60)"
    control.start(replace(launch(control, "r1-000001"), argv=(sys.executable, "-c", script)))
    deadline = time.monotonic() + 10
    while control.strangers():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_program_that_cannot_be_started_says_so_in_its_log(control: Control) -> None:
    wanted = replace(launch(control, "r1-000001"), argv=("/does/not/exist",))
    control.start(wanted)
    outcome = wait_until_ready(control.status, "r1-000001", 10.0, Path(wanted.log))
    assert outcome.cause == "the server ended by itself (exit 127)"
    assert outcome.evidence[-1].startswith("mlship: /does/not/exist could not be started: [Errno 2]")


def test_only_one_holder_runs_whoever_asks(control: Control) -> None:
    first = control.status()
    others = [threading.Thread(target=control.ensure) for _ in range(4)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    assert control.status() == first


def test_a_holder_killed_at_any_instant_of_a_deployment_is_replaced_by_the_next_command(service: LocalService) -> None:
    deploy(service, 1)
    for number in range(20):
        version = 2 + number
        (holder,) = set(service.processes()) - set(service.servers())
        killer = threading.Timer(0.01 * number, os.kill, (holder, signal.SIGKILL))
        killer.start()
        try:
            deploy(service, version)
        except MlshipError as error:
            print(f"{0.01 * number:.2f} s: {error}")
        killer.join()
        until_gone(holder)
        assert live_id(service), "something serves at every instant"
        live = deploy(service, 100 + number).history.live
        assert live_id(service) == live
        assert len(service.servers()) == 1
        assert len(service.processes()) == 2
