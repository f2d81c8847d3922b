"""A local service with a stand-in server: what its users see when things go wrong, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import carry_out, deploy, live_id, wanted
from local_service import LocalService

from mlship.errors import Exit, MlshipError
from mlship.runner import LocalRunner
from mlship.targets.base import Action, Deployment, Request
from mlship.targets.local import place
from mlship.targets.local.processes import start_ticks
from mlship.targets.plan import plan

pytestmark = pytest.mark.world


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., LocalService]]:
    made: list[LocalService] = []

    def one(**settings: Any) -> LocalService:
        made.append(LocalService(tmp_path, **settings))
        return made[-1]

    yield one
    for service in made:
        service.open().apply(Action("destroy"), None)
        assert service.processes() == []


@pytest.fixture
def service(make: Callable[..., LocalService]) -> LocalService:
    return make()


def staged(service: LocalService, deployment: Deployment) -> tuple[Any, Deployment]:
    """The outcome of deliver and stage."""
    target = service.open()
    ready = replace(deployment, release=replace(deployment.release, sequence=1))
    assert target.apply(Action("deliver", ready.release.id), ready).ok
    return target.apply(Action("stage", ready.release.id), ready), ready


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return value


def holder(service: LocalService) -> int:
    (pid,) = set(service.processes()) - set(service.servers())
    return pid


def test_a_server_that_ends_at_start_is_told_with_its_exit_code_and_its_last_words(service: LocalService) -> None:
    outcome, ready = staged(service, service.deployment(1, "crash"))
    assert not outcome.ok
    assert outcome.cause == "the server ended by itself (exit 3)"
    assert outcome.evidence[-2:] == ("loading version 1", "the model is broken")
    assert [line.text for line in service.open().logs(ready.release.id)] == list(outcome.evidence)


def test_a_server_that_is_never_ready_is_told_with_what_its_probe_said(service: LocalService) -> None:
    outcome, _ = staged(service, replace(service.deployment(1, "never"), startup_timeout_s=0.1))
    assert not outcome.ok
    assert outcome.cause == "it never became ready in 0.1 s (serve.startup_timeout)"
    assert outcome.evidence[0] == 'GET /readyz -> 503 {"ready": false}'


def test_a_discarded_first_release_leaves_only_its_log(service: LocalService) -> None:
    _, ready = staged(service, service.deployment(1, "crash"))
    assert service.open().apply(Action("discard", ready.release.id), ready).ok
    assert service.processes() == []
    assert [path.name for path in service.folder.glob("run/*/*")] == ["server.log"]
    assert not (service.home.local / "rootfs").exists()


def test_a_staged_copy_that_died_does_not_take_callers_from_the_old_one(service: LocalService) -> None:
    first = deploy(service, 1).history.live
    (old,) = service.servers()
    target = service.open()
    decided = plan("deploy", wanted(service, target, 2), target.observe())
    for action in decided.actions[:2]:
        assert target.apply(action, decided.deployment).ok
    (new,) = set(service.servers()) - {old}
    os.kill(new, signal.SIGKILL)
    until(lambda: start_ticks(new) == 0)
    outcome = target.apply(decided.actions[2], decided.deployment)
    assert outcome.cause == f"no copy of {decided.deployment.release.id} is running"
    assert live_id(service) == first


def test_a_port_that_is_taken_meanwhile_fails_the_stage_and_names_it(make: Callable[..., LocalService]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        service = make(port=port)
        outcome, _ = staged(service, service.deployment(1))
    assert outcome.cause == f"port {port} on 127.0.0.1: Address already in use"


def test_an_image_that_is_missing_fails_the_delivery(service: LocalService) -> None:
    deployment = service.deployment(1)
    service.rootfs.missing = frozenset({deployment.release.served.content})
    with pytest.raises(MlshipError, match="is not on this machine") as failed:
        deploy(service, 1)
    assert failed.value.exit is Exit.VERIFY_FAILED


def test_a_full_disk_is_an_outcome_not_a_trace(service: LocalService) -> None:
    def full(content: str) -> None:
        raise OSError(28, "No space left on device", "/data")

    service.rootfs.prepare = full  # type: ignore[method-assign]
    with pytest.raises(MlshipError, match="/data: No space left on device"):
        deploy(service, 1)


def test_a_folder_with_a_long_path_is_no_problem(tmp_path: Path) -> None:
    service = LocalService(tmp_path / ("x" * 100) / ("y" * 100))
    try:
        assert deploy(service, 1).history.live == live_id(service)
    finally:
        service.open().apply(Action("destroy"), None)
    assert service.left() == []


def test_a_server_that_crashes_is_started_again_and_counted(service: LocalService) -> None:
    live = deploy(service, 1).history.live
    (server,) = service.servers()
    os.kill(server, signal.SIGKILL)
    until(lambda: service.servers() not in ([], [server]))
    assert live_id(service) == live
    (replica,) = service.open().observe().replicas
    assert replica.detail == "started again 1 time"


def test_another_port_is_an_operation_without_a_new_release(make: Callable[..., LocalService]) -> None:
    first = make(port=free_port())  # not the usual one, which a service of somebody else could take over
    live = deploy(first, 1).history.live
    old = first.open().observe().endpoint
    port = free_port()
    moved = make(port=port)
    done = deploy(moved, 1)
    assert done.history.entries[-1].action == "operate"
    assert done.history.live == live == live_id(moved)
    assert moved.open().observe().endpoint == f"http://127.0.0.1:{port}" != old
    assert len(moved.servers()) == 1
    with socket.socket() as caller, pytest.raises(ConnectionRefusedError):
        caller.connect(("127.0.0.1", int(old.rpartition(":")[2])))


def test_the_port_is_kept_when_nothing_says_otherwise(make: Callable[..., LocalService]) -> None:
    service = make()
    deploy(service, 1)
    endpoint = service.open().observe().endpoint
    deploy(service, 2)
    assert service.open().observe().endpoint == endpoint


def test_two_projects_share_a_machine_and_not_a_port(make: Callable[..., LocalService], tmp_path: Path) -> None:
    churn, fraud = make(), make(project="fraud")
    live = [deploy(churn, 1).history.live, deploy(fraud, 2).history.live]
    rows = place.services(churn.home, LocalRunner())
    assert [(row.project, row.live, row.ready) for row in rows] == [("churn", live[0], True), ("fraud", live[1], True)]
    assert rows[0].endpoint != rows[1].endpoint
    churn.open().apply(Action("destroy"), None)
    assert live_id(fraud) == live[1]
    assert fraud.rootfs.has(fraud.deployment(2).release.served.content)
    assert not churn.rootfs.has(churn.deployment(1).release.served.content)


def test_when_holder_and_server_are_gone_it_is_said_and_the_next_deploy_brings_it_back(service: LocalService) -> None:
    live = deploy(service, 1).history.live
    for pid in (holder(service), *service.servers()):
        os.kill(pid, signal.SIGKILL)
    until(lambda: service.processes() == [])
    observed = service.open().observe()
    assert observed.serving == ""
    assert observed.replicas == ()
    assert observed.notes == (f"{live} is not running; mlship deploy brings it back",)
    assert [row.ready for row in place.services(service.home, LocalRunner())] == [False]
    assert deploy(service, 1).history.live == live == live_id(service)


def test_when_only_the_holder_is_gone_the_service_goes_on_and_status_says_so(service: LocalService) -> None:
    live = deploy(service, 1).history.live
    os.kill(holder(service), signal.SIGKILL)
    until(lambda: len(service.processes()) == 1)
    observed = service.open().observe()
    assert observed.serving == live
    assert [replica.ready for replica in observed.replicas] == [True]
    assert observed.notes == (f"the supervisor is gone; {live} still answers, and mlship deploy brings the supervisor back",)
    assert observed.repair == "the supervisor is gone"


def test_a_holder_that_does_not_listen_does_not_stop_destroy(service: LocalService) -> None:
    deploy(service, 1)
    pid = holder(service)
    (service.folder / "control.sock").unlink()
    assert service.open().apply(Action("destroy"), None).ok
    assert start_ticks(pid) == 0
    assert service.left() == []


def test_the_control_socket_is_the_users_alone(service: LocalService) -> None:
    deploy(service, 1)
    assert (service.folder / "control.sock").stat().st_mode & 0o777 == 0o600
    assert service.folder.stat().st_mode & 0o777 == 0o700
    assert (service.folder / "state.json").stat().st_mode & 0o077 == 0


def test_what_the_holder_does_not_understand_is_answered_not_obeyed(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(service, 1)
    monkeypatch.chdir(service.folder)  # the kernel takes 108 bytes of a socket's path
    for line in (b"nonsense\n", b'{"do": "dance"}\n', b'{"do": "start", "launch": {"argv": 7}}\n', b"[]\n"):
        with socket.socket(socket.AF_UNIX) as wire:
            wire.connect("control.sock")
            wire.sendall(line)
            said = json.loads(wire.makefile().readline())
        assert said["ok"] is False
    assert live_id(service) == "r1-344560"


def test_a_server_gets_what_the_release_says_and_nothing_of_the_machine(service: LocalService) -> None:
    os.environ["MLSHIP_TEST_OF_THE_MACHINE"] = "secret"
    try:
        deploy(service, 1)
    finally:
        del os.environ["MLSHIP_TEST_OF_THE_MACHINE"]
    (server,) = service.servers()
    environ = dict(entry.split("=", 1) for entry in Path(f"/proc/{server}/environ").read_text().split("\0") if entry)
    assert environ["VERSION"] == "1"
    assert "MLSHIP_TEST_OF_THE_MACHINE" not in environ
    limits = Path(f"/proc/{server}/limits").read_text()
    assert any(line.startswith("Max data size") and str(2**30) in line for line in limits.splitlines())
    assert len(os.sched_getaffinity(server)) == 1


def test_asking_where_nothing_runs_says_so(service: LocalService) -> None:
    answer = service.open().ask(Request("GET", "/mlship/release"))
    assert (answer.status, answer.body) == (0, b"nothing is running")
    assert list(service.open().logs()) == []


def test_a_restore_brings_the_old_release_back_from_its_kept_files(service: LocalService) -> None:
    first = deploy(service, 1).history.live
    target = service.open()
    decided = plan("deploy", wanted(service, target, 2), target.observe())
    for action in decided.actions:
        assert target.apply(action, decided.deployment).ok
    second = decided.deployment.release.id
    assert live_id(service) == second
    assert target.apply(Action("restore", second, first), decided.deployment).ok
    assert live_id(service) == first
    assert [replica.release for replica in service.open().observe().replicas] == [first]


def test_a_failed_attempt_to_start_the_live_release_again_does_not_end_it(service: LocalService) -> None:
    done = deploy(service, 1)
    release = done.history.releases[0]
    assert service.open().apply(Action("discard", release.id), replace(service.deployment(1), release=release)).ok
    assert live_id(service) == release.id


def test_a_plan_is_carried_out_although_a_killed_command_left_a_copy(service: LocalService) -> None:
    staged(service, service.deployment(7))
    target = service.open()
    decided = plan("deploy", wanted(service, target, 2), target.observe())
    assert carry_out(target, decided).history.live == live_id(service)
    assert len(service.servers()) == 1


def test_a_server_that_is_busy_for_a_while_is_no_change_of_the_world(service: LocalService) -> None:
    deploy(service, 1)
    target = service.open()
    seen = target.observe()
    for pid in service.servers():
        os.kill(pid, signal.SIGSTOP)
    busy = target.observe()
    for pid in service.servers():
        os.kill(pid, signal.SIGCONT)
    assert (seen.serving, busy.serving) == (live_id(service), "")
    assert seen.fingerprint == busy.fingerprint
