"""Secrets on this machine: files of each release, whose versions tell when a value is another one."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.releases.history import History
from mlship.releases.release import Release, Served
from mlship.targets.asked import asked
from mlship.targets.base import OPERATOR_KEY, Answer, Request
from mlship.targets.local import secrets
from mlship.targets.local.folder import ServiceFolder


@pytest.fixture
def folder(tmp_path: Path) -> ServiceFolder:
    return ServiceFolder.of(Home(tmp_path), "churn", "")


def released(folder: ServiceFolder, number: int, **values: str) -> Release:
    release = Release(number, Served("sha256:" + "ab" * 32, (), secrets=dict.fromkeys(values, str(number))), 0.0)
    secrets.write(folder.run(release.id), release, values)
    return release


def history(*releases: Release) -> History:
    return replace(History("churn", "", "local"), releases=releases)


def test_a_value_has_the_version_of_the_release_that_has_it(folder: ServiceFolder) -> None:
    known = history(released(folder, 1, KEYS="old", TOKEN="t"), released(folder, 2, KEYS="new", TOKEN="t2"))
    assert secrets.versions(folder, {"KEYS": "old", "TOKEN": "t2", "FIRST": "x"}, known) == {
        "FIRST": "1",
        "KEYS": "1",
        "TOKEN": "2",
    }
    assert secrets.versions(folder, {"KEYS": "another"}, known) == {"KEYS": "3"}
    assert secrets.versions(folder, {"KEYS": "old"}, None) == {"KEYS": "1"}


def test_mlships_own_key_never_makes_a_release_of_its_own(folder: ServiceFolder) -> None:
    known = history(released(folder, 1, MLSHIP_OPERATOR_KEY="one"))
    assert secrets.versions(folder, {OPERATOR_KEY: "two"}, known) == {OPERATOR_KEY: "1"}


def test_values_are_for_this_user_alone_and_written_once(folder: ServiceFolder) -> None:
    release = released(folder, 1, KEYS="old", MLSHIP_OPERATOR_KEY="one")
    run = folder.run(release.id)
    secrets.write(run, release, {"KEYS": "old", OPERATOR_KEY: "two"})  # staged again, while the first copy still serves
    assert secrets.operator_key(run) == "one"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (run.secrets, run.secrets / "KEYS")] == [0o700, 0o600]


def test_a_release_whose_secrets_are_gone_cannot_be_started(folder: ServiceFolder) -> None:
    release = released(folder, 1, KEYS="old")
    run = folder.run(release.id)
    assert secrets.are_whole(run, release)
    (run.secrets / "KEYS").unlink()
    assert not secrets.are_whole(run, release)
    with pytest.raises(
        MlshipError, match=r"r1-[0-9a-f]+ cannot be started: its secrets \(KEYS\) are not on this machine any more"
    ):
        secrets.write(run, release, {})


def test_a_closed_service_is_asked_again_with_mlships_own_key() -> None:
    seen: list[str] = []

    def ask(request: Request) -> Answer:
        seen.append(request.key)
        return Answer(200 if request.key == "own" else 401)

    assert asked(ask, Request("GET", "/metrics"), lambda: "own").status == 200
    assert seen == ["", "own"]
    assert asked(ask, Request("GET", "/metrics"), lambda: "").status == 401
    assert "own" not in repr(Request("GET", "/metrics", key="own"))
