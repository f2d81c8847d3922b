"""History and lease on this machine: compared and replaced under one lock, taken over from the dead."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.releases.history import History
from mlship.releases.records import LeaseHeld, LeaseLost
from mlship.targets.local.folder import ServiceFolder
from mlship.targets.local.records import HolderProcess, LocalRecords

NOW = 1000.0
HISTORY = History("churn", "", "local", generation=1)


@pytest.fixture
def folder(tmp_path: Path) -> ServiceFolder:
    return ServiceFolder.of(Home(tmp_path), "churn", "")


def rewrite(folder: ServiceFolder, **process: object) -> None:
    document = json.loads(folder.lease.read_bytes())
    document["process"].update(process)
    folder.lease.write_text(json.dumps(document))


def test_nothing_was_committed_where_nothing_is(folder: ServiceFolder) -> None:
    assert LocalRecords(folder).read() is None
    assert not folder.path.exists()


def test_a_commit_is_read_back_and_a_second_one_over_the_same_generation_is_refused(folder: ServiceFolder) -> None:
    LocalRecords(folder).commit(HISTORY, 0)
    assert LocalRecords(folder).read() == HISTORY
    with pytest.raises(LeaseLost, match="somebody else changed this project meanwhile"):
        LocalRecords(folder).commit(replace(HISTORY, generation=7), 0)
    assert LocalRecords(folder).read() == HISTORY


def test_records_are_the_users_alone(folder: ServiceFolder) -> None:
    LocalRecords(folder).commit(HISTORY, 0)
    LocalRecords(folder).acquire("anna@test", NOW, 30)
    assert folder.history.stat().st_mode & 0o077 == folder.lease.stat().st_mode & 0o077 == 0


def test_damaged_records_are_not_guessed_at(folder: ServiceFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.history.write_text("{")
    with pytest.raises(MlshipError, match="the records cannot be read") as damaged:
        LocalRecords(folder).read()
    assert damaged.value.where == str(folder.history)


def test_a_living_holder_keeps_its_lease_until_it_expires(folder: ServiceFolder) -> None:
    LocalRecords(folder).acquire("anna@test pid 1", NOW, 30)
    with pytest.raises(LeaseHeld, match=r"anna@test pid 1 is changing this project; the lease ends in 20 s"):
        LocalRecords(folder).acquire("ben@test", NOW + 10, 30)
    assert LocalRecords(folder).acquire("ben@test", NOW + 30, 30).holder == "ben@test"


def test_a_renewed_lease_lasts_longer(folder: ServiceFolder) -> None:
    records = LocalRecords(folder)
    records.renew(records.acquire("anna@test", NOW, 30), NOW + 20)
    with pytest.raises(LeaseHeld):
        LocalRecords(folder).acquire("ben@test", NOW + 40, 30)


@pytest.mark.parametrize(
    "process",
    [{"pid": 2**22 + 1}, {"ticks": 1}, {"boot": "another"}],
    ids=["the process is gone", "its pid is another process's now", "the machine was booted since"],
)
def test_the_lease_of_a_dead_holder_is_taken_over_at_once(folder: ServiceFolder, process: dict[str, object]) -> None:
    LocalRecords(folder).acquire("anna@test", NOW, 30)
    rewrite(folder, **process)
    assert LocalRecords(folder).acquire("ben@test", NOW + 1, 30).holder == "ben@test"


@pytest.mark.parametrize(
    "process",
    [{"host": "elsewhere", "pid": 2**22 + 1}, {"space": "pid:[1]", "pid": 2**22 + 1}],
    ids=["on another host", "in another container"],
)
def test_a_holder_whose_death_cannot_be_known_keeps_its_lease(folder: ServiceFolder, process: dict[str, object]) -> None:
    LocalRecords(folder).acquire("anna@test", NOW, 30)
    rewrite(folder, **process)
    with pytest.raises(LeaseHeld):
        LocalRecords(folder).acquire("ben@test", NOW + 1, 30)


def test_who_lost_the_lease_cannot_renew_it_and_gives_nothing_back(folder: ServiceFolder) -> None:
    records = LocalRecords(folder)
    lost = records.acquire("anna@test", NOW, 1)
    taken = records.acquire("ben@test", NOW + 2, 30)
    with pytest.raises(LeaseLost, match="somebody else took over this project meanwhile"):
        records.renew(lost, NOW + 3)
    records.release(lost)
    assert json.loads(folder.lease.read_bytes())["token"] == taken.token
    records.release(taken)
    assert not folder.lease.exists()


def test_giving_a_lease_back_after_destroy_makes_no_folder(folder: ServiceFolder) -> None:
    records = LocalRecords(folder)
    lease = records.acquire("anna@test", NOW, 30)
    for path in folder.path.iterdir():
        path.unlink()
    folder.path.rmdir()
    with pytest.raises(LeaseLost, match="the project was destroyed meanwhile"):
        records.renew(lease, NOW + 1)
    records.release(lease)
    assert not folder.path.exists()


def test_a_lease_of_a_newer_mlship_is_respected(folder: ServiceFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.lease.write_text(json.dumps({"schema": 99, "mlship": "9.0"}))
    with pytest.raises(MlshipError, match=r"the lease was written by mlship 9\.0"):
        LocalRecords(folder).acquire("ben@test", NOW, 30)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}'])
def test_half_a_lease_is_none(folder: ServiceFolder, text: str) -> None:
    folder.path.mkdir(parents=True)
    folder.lease.write_text(text)
    assert LocalRecords(folder).acquire("ben@test", NOW, 30).holder == "ben@test"


def test_this_process_is_not_dead() -> None:
    here = HolderProcess.this()
    assert here.pid == os.getpid()
    assert not HolderProcess(**asdict(here)).is_dead(here)
