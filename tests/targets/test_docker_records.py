"""Records over the keeper: what it refuses becomes the error that people read. The keeper runs in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.keeper.__main__ import answer, operations
from mlship.releases.history import History
from mlship.releases.records import LeaseHeld, LeaseLost
from mlship.runner import LocalRunner
from mlship.targets.base import Opening
from mlship.targets.docker import holder
from mlship.targets.docker.records import DockerRecords
from mlship.targets.docker.spec import Scope
from mlship.targets.docker.target import DockerTarget

SCOPE = Scope("churn")


class Volumes:
    """The part of an engine that records need."""

    address = "unix:///test"

    def __init__(self) -> None:
        self.labels: dict[str, Mapping[str, str]] = {}

    def volume_labels(self, name: str) -> Mapping[str, str] | None:
        return self.labels.get(name)

    def create_volume(self, body: Mapping[str, Any]) -> None:
        self.labels[body["Name"]] = body["Labels"]


class HereKeeper:
    is_open = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return answer(dict(request), operations(self.folder))


@pytest.fixture
def volumes() -> Volumes:
    return Volumes()


def opened(volumes: Volumes, folder: Path) -> DockerRecords:
    engine: Any = volumes
    keeper: Any = HereKeeper(folder)
    return DockerRecords(lambda: engine, SCOPE, keeper)


HISTORY = History("churn", "", "docker", 1)


def test_without_a_volume_there_is_no_history_and_none_is_made(volumes: Volumes, tmp_path: Path) -> None:
    assert opened(volumes, tmp_path).read() is None
    assert volumes.labels == {}


def test_what_is_committed_is_read_by_another_machine(volumes: Volumes, tmp_path: Path) -> None:
    opened(volumes, tmp_path).commit(HISTORY, 0)
    assert opened(volumes, tmp_path).read() == HISTORY
    assert volumes.labels == {"mlship-churn": {"mlship.project": "churn", "mlship.env": ""}}


def test_a_late_commit_is_a_lost_lease(volumes: Volumes, tmp_path: Path) -> None:
    records = opened(volumes, tmp_path)
    records.commit(HISTORY, 0)
    with pytest.raises(LeaseLost):
        records.commit(History("churn", "", "docker", 5), 0)


def test_a_lease_is_told_in_the_callers_own_time(volumes: Volumes, tmp_path: Path) -> None:
    records = opened(volumes, tmp_path)
    lease = records.acquire("anna", 1000.0, 30)
    assert lease.expires == 1030.0
    assert records.renew(lease, 1010.0).expires == 1040.0


def test_a_held_lease_names_its_holder(volumes: Volumes, tmp_path: Path) -> None:
    opened(volumes, tmp_path).acquire("anna@x pid 1", time.time(), 30)
    with pytest.raises(LeaseHeld, match="anna@x pid 1 is changing this project") as held:
        opened(volumes, tmp_path).acquire("ben@x pid 2", time.time(), 30)
    assert 29 < held.value.seconds_left <= 30


def test_the_lease_of_a_command_that_was_killed_here_is_taken_over_at_once(volumes: Volumes, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            opened(volumes, tmp_path).acquire("killed", time.time(), 30)
        finally:  # whatever happens, it does not go on as a second test session
            os._exit(0)
    os.waitpid(child, 0)
    volumes.create_volume({"Name": "mlship-churn", "Labels": SCOPE.labels("keeper")})
    lease = opened(volumes, tmp_path).acquire("again", time.time(), 30)
    assert lease.holder == "again"


def test_after_destroy_giving_the_lease_back_makes_nothing_anew(volumes: Volumes, tmp_path: Path) -> None:
    records = opened(volumes, tmp_path)
    lease = records.acquire("anna", 0.0, 30)
    volumes.labels.clear()
    records.release(lease)
    with pytest.raises(LeaseLost):
        records.renew(lease, 0.0)
    assert volumes.labels == {}


def test_a_volume_of_somebody_else_is_never_touched(volumes: Volumes, tmp_path: Path) -> None:
    volumes.labels["mlship-churn"] = {}
    with pytest.raises(MlshipError, match="the volume mlship-churn is not mlship's"):
        opened(volumes, tmp_path).acquire("anna", 0.0, 30)
    volumes.labels["mlship-churn"] = {"mlship.project": "other", "mlship.env": ""}
    with pytest.raises(MlshipError, match="the volume mlship-churn is of the project other"):
        opened(volumes, tmp_path).read()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"schema": 1}'])
def test_damaged_records_are_an_error_with_their_place(volumes: Volumes, tmp_path: Path, damage: bytes) -> None:
    records = opened(volumes, tmp_path)
    records.commit(HISTORY, 0)
    (tmp_path / "history.json").write_bytes(damage)
    with pytest.raises(MlshipError, match="the records cannot be read") as failed:
        records.read()
    assert failed.value.code == "damaged-records"
    assert "volume mlship-churn at unix:///test" in failed.value.where


def test_newer_records_ask_for_an_upgrade(volumes: Volumes, tmp_path: Path) -> None:
    records = opened(volumes, tmp_path)
    records.commit(HISTORY, 0)
    (tmp_path / "history.json").write_text('{"schema": 2, "generation": 1, "mlship": "9.9"}')
    for ask in (records.read, lambda: records.commit(History("churn", "", "docker", 2), 1)):
        with pytest.raises(MlshipError, match=r"written by mlship 9\.9.*upgrade mlship") as failed:
            ask()
        assert failed.value.code == "newer-records"


def test_an_old_keeper_and_a_full_disk_say_what_to_do(volumes: Volumes, tmp_path: Path) -> None:
    records = opened(volumes, tmp_path / "gone")
    volumes.create_volume({"Name": "mlship-churn", "Labels": SCOPE.labels("keeper")})
    with pytest.raises(MlshipError, match="the records cannot be read"):
        records.commit(HISTORY, 0)

    class Answers:
        def __init__(self, code: str) -> None:
            self.code = code

        is_open = False

        def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
            return {"ok": False, "code": self.code, "message": "why"}

    engine: Any = volumes
    old: Any = Answers("unknown")
    with pytest.raises(MlshipError, match="the keeper in the image is of another version: why"):
        DockerRecords(lambda: engine, SCOPE, old).read()
    full: Any = Answers("storage")
    with pytest.raises(MlshipError, match="the records could not be written: why") as failed:
        DockerRecords(lambda: engine, SCOPE, full).commit(HISTORY, 0)
    assert failed.value.exit is Exit.UNREACHABLE


def test_this_process_is_alive_and_an_ended_one_is_dead() -> None:
    mine = holder.origin()
    assert mine is not None
    assert not holder.is_dead(mine)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert holder.is_dead({**mine, "pid": child})
    assert holder.is_dead({**mine, "started": "0"}), "the number was given to another process since"


def test_a_holder_elsewhere_is_never_declared_dead() -> None:
    mine = holder.origin()
    assert mine is not None
    assert not holder.is_dead({**mine, "boot": "another", "pid": 1, "started": "0"})
    assert not holder.is_dead({**mine, "namespace": "pid:[1]", "started": "0"})
    assert not holder.is_dead(None)
    assert not holder.is_dead({**mine, "pid": "x"})


def test_without_proc_nothing_is_certain(tmp_path: Path) -> None:
    assert holder.origin(tmp_path) is None
    assert not holder.is_dead({"pid": 1}, tmp_path)


def test_records_without_any_front_to_read_them_say_what_to_do(volumes: Volumes, tmp_path: Path) -> None:
    class Bare(Volumes):
        def container(self, name: str) -> None:
            return None

        def images(self, labels: list[str]) -> list[Any]:
            return []

    bare: Any = Bare()
    bare.create_volume({"Name": "mlship-churn", "Labels": SCOPE.labels("keeper")})
    target = DockerTarget(Opening("churn", "", Home(tmp_path), LocalRunner(), time.time, "test", {}), lambda: bare)
    with pytest.raises(MlshipError) as failed:
        target.observe()
    assert str(failed.value) == (
        "unix:///test  there is no image of a front at the engine, and none can be made here; run the command in a project's folder"
    )
