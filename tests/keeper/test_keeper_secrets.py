"""Secrets: a version means one value, a set is whole or absent, and no value stands where it does not belong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlship.keeper.__main__ import answer, operations
from mlship.keeper.records import Records, Refused
from mlship.keeper.secrets import LONGEST, OPERATOR, Secrets
from mlship.keeper.state import Damaged, Newer

SET = "0123456789ab"
VALUE = "correct horse battery staple"


def nothing(handle: int) -> None:
    """Files stay this process's own: only root may give them away."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    return tmp_path / "secrets"


@pytest.fixture
def secrets(state: Path, place: Path) -> Secrets:
    return Secrets(state, Records(state), place, nothing)


def known(secrets: Secrets, **values: str) -> Any:
    return secrets.versions(values)["versions"]


def test_before_anything_was_written_every_version_is_the_first(secrets: Secrets, state: Path) -> None:
    assert known(secrets, KEY=VALUE, OTHER="b") == {"KEY": "1", "OTHER": "1"}
    assert list(state.iterdir()) == []


def test_a_new_value_gets_the_next_version_and_an_old_one_its_own_again(secrets: Secrets) -> None:
    secrets.write({"KEY": "a"}, {"KEY": "1"}, SET)
    assert known(secrets, KEY="a") == {"KEY": "1"}
    assert known(secrets, KEY="b") == known(secrets, KEY="b") == {"KEY": "2"}
    secrets.write({"KEY": "b"}, {"KEY": "2"}, "0123456789ac")
    assert known(secrets, KEY="a") == {"KEY": "1"}
    assert known(secrets, KEY="c") == {"KEY": "3"}


def test_a_lost_document_gives_no_version_of_the_history_to_another_value(secrets: Secrets) -> None:
    assert secrets.versions({"KEY": "a", "NEW": "b"}, {"KEY": "4", "GONE": "9"})["versions"] == {"KEY": "5", "NEW": "1"}


def test_a_version_never_means_a_second_value(secrets: Secrets) -> None:
    secrets.write({"KEY": "a"}, {"KEY": "1"}, SET)
    for values, versions in (({"KEY": "b"}, {"KEY": "1"}), ({"KEY": "a"}, {"KEY": "2"})):
        with pytest.raises(Refused, match="the secret KEY got another version meanwhile") as refused:
            secrets.write(values, versions, "0123456789ac")
        assert refused.value.code == "lease-lost"


def test_mlships_own_key_is_the_keepers_whatever_is_sent(secrets: Secrets, place: Path) -> None:
    assert secrets.operator() == {"key": ""}
    secrets.write({"KEY": "a", OPERATOR: "sent"}, {"KEY": "1", OPERATOR: "1"}, SET)
    own = (place / OPERATOR).read_text()
    assert secrets.operator() == {"key": own} and len(own) == 64
    assert known(secrets, KEY="b", MLSHIP_OPERATOR_KEY="sent anew") == {"KEY": "2", OPERATOR: "1"}
    secrets.write({"KEY": "b", OPERATOR: "sent anew"}, {"KEY": "2", OPERATOR: "1"}, "0123456789ac")
    assert (place / OPERATOR).read_text() == own


def test_a_set_is_one_file_a_secret_that_only_its_reader_reads(secrets: Secrets, place: Path) -> None:
    secrets.write({"KEY": VALUE, "OTHER": "ä\n"}, {"KEY": "1", "OTHER": "1"}, SET)
    assert (place / "KEY").read_text() == VALUE
    assert (place / "OTHER").read_text() == "ä\n"
    assert {entry.name: oct(entry.stat().st_mode & 0o777) for entry in place.iterdir()} == dict.fromkeys(
        ("KEY", "OTHER", ".whole"), "0o400"
    )
    assert secrets.sets() == {"sets": [SET]}


def test_every_value_is_given_to_the_servers_user_before_it_gets_its_name(state: Path, place: Path) -> None:
    names = []
    given = Secrets(state, Records(state), place, lambda handle: names.append(str(Path(f"/proc/self/fd/{handle}").readlink())))
    given.write({"KEY": VALUE}, {"KEY": "1"}, SET)
    assert names == [str(place / ".KEY.new")]


def test_a_set_that_is_whole_is_not_touched_again(secrets: Secrets, place: Path) -> None:
    secrets.write({"KEY": VALUE}, {"KEY": "1"}, SET)
    before = (place / "KEY").stat().st_ino
    secrets.write({"KEY": VALUE}, {"KEY": "1"}, SET)
    assert (place / "KEY").stat().st_ino == before


def test_a_set_left_by_lost_records_is_written_anew(secrets: Secrets, state: Path, place: Path) -> None:
    secrets.write({"KEY": "old", "GONE": "x"}, {"KEY": "1", "GONE": "1"}, SET)
    (state / "secrets.json").unlink()
    secrets.write({"KEY": "new"}, {"KEY": "1"}, SET)
    assert (place / "KEY").read_text() == "new"
    assert not (place / "GONE").exists()


def test_no_document_holds_a_value(secrets: Secrets, state: Path) -> None:
    secrets.write({"KEY": VALUE}, {"KEY": "1"}, SET)
    document = state / "secrets.json"
    assert VALUE not in document.read_text()
    assert document.stat().st_mode & 0o777 == 0o600


def test_a_forgotten_set_does_not_count_and_its_versions_stay_known(secrets: Secrets) -> None:
    secrets.write({"KEY": "a"}, {"KEY": "1"}, SET)
    secrets.write({"KEY": "a", "B": "b"}, {"KEY": "1", "B": "1"}, "0123456789ac")
    secrets.forget(["0123456789ac"])
    assert secrets.sets() == {"sets": ["0123456789ac"]}
    assert known(secrets, KEY="a") == {"KEY": "1"}


def test_somebody_elses_lease_refuses_every_change(secrets: Secrets, state: Path, place: Path) -> None:
    Records(state).acquire("mine", "somebody@host", 60)
    changes: tuple[Callable[[], object], ...] = (
        lambda: secrets.write({"KEY": VALUE}, {"KEY": "1"}, SET, token="other"),
        lambda: secrets.forget([], token="other"),
        lambda: secrets.write_certificate("pem", "chain", token="other"),
        lambda: secrets.sweep_certificates(token="other"),
    )
    for change in changes:
        with pytest.raises(Refused, match="somebody@host has the lease") as refused:
            change()
        assert refused.value.code == "lease-lost"
    assert list(place.iterdir()) == []
    secrets.write({"KEY": VALUE}, {"KEY": "1"}, SET, token="mine")


@pytest.mark.parametrize(
    "values",
    [{"KEY": ""}, {"KEY": "a\0b"}, {"KEY": "ä" * LONGEST}, {"../KEY": "a"}, {"": "a"}, {".whole": "a"}, {"KEY": 7}],
)
def test_what_is_no_secret_is_refused_without_telling_it(secrets: Secrets, values: Any) -> None:
    for ask in (lambda: secrets.versions(values), lambda: secrets.write(values, dict.fromkeys(values, "1"), SET)):
        with pytest.raises(Refused) as refused:
            ask()
        assert refused.value.code == "invalid"
        assert "ä" not in str(refused.value)


@pytest.mark.parametrize(
    ("versions", "set_id"), [({}, SET), ({"KEY": "0"}, SET), ({"KEY": "1"}, "../x"), ({"KEY": "1", "B": "1"}, SET)]
)
def test_a_set_that_does_not_fit_together_is_refused(secrets: Secrets, versions: Any, set_id: str) -> None:
    with pytest.raises(Refused, match="do not fit together"):
        secrets.write({"KEY": "a"}, versions, set_id)


def test_without_a_volume_nothing_is_written(state: Path) -> None:
    with pytest.raises(Refused, match="no volume is mounted"):
        Secrets(state, Records(state), state / "none", nothing).write({"KEY": "a"}, {"KEY": "1"}, SET)
    assert list(state.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": 1}',
        '{"schema": 1, "key": "", "versions": {"K": []}, "sets": []}',
        '{"schema": 1, "key": "zz", "versions": {}, "sets": []}',
        '{"schema": 1, "key": "", "versions": {"K": {"x": "a"}}, "sets": []}',
        '{"schema": 1, "key": "", "versions": {}, "sets": [7]}',
        "{",
        "",
    ],
)
def test_a_damaged_document_is_not_believed(secrets: Secrets, state: Path, text: str) -> None:
    (state / "secrets.json").write_text(text)
    with pytest.raises(Damaged, match=r"secrets\.json"):
        known(secrets, KEY="a")


def test_a_link_is_not_followed_and_a_newer_document_is_refused(secrets: Secrets, state: Path, tmp_path: Path) -> None:
    (state / "secrets.json").write_text('{"schema": 2, "mlship": "9.9"}')
    with pytest.raises(Newer, match=r"mlship 9\.9"):
        known(secrets, KEY="a")
    (state / "secrets.json").unlink()
    (state / "secrets.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Damaged, match="symbolic link"):
        known(secrets, KEY="a")


def killed_at(event: int, act: Callable[[], object]) -> bool:
    """Runs `act` in a child that is killed at its n-th change of a file. False when it ended before."""
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(name: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            if name in ("os.rename", "os.remove", "os.chmod", "fcntl.flock") or (name == "open" and arguments[2] & os.O_WRONLY):
                seen += 1
                if seen == event:
                    os._exit(9)

        sys.addaudithook(hook)
        act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.world  # seconds of work
def test_killed_at_any_instant_a_set_is_whole_or_does_not_count_and_the_next_try_ends_it(tmp_path: Path) -> None:
    event, values = 0, {"A": "first"}
    while True:
        event += 1
        state, place = tmp_path / f"state-{event}", tmp_path / f"set-{event}"
        state.mkdir()
        place.mkdir()
        secrets = Secrets(state, Records(state), place, nothing)
        was_killed = killed_at(event, lambda mine=secrets: mine.write(values, {"A": "1"}, SET))  # type: ignore[misc]
        if secrets.sets()["sets"]:
            assert {name: (place / name).read_text() for name in values} == values
        assert secrets.versions(values)["versions"] == {"A": "1"}
        secrets.write(values, {"A": "1"}, SET)
        assert sorted(entry.name for entry in place.iterdir()) == [".whole", "A"]
        assert sorted(entry.name for entry in state.iterdir()) == ["lock", "secrets.json"]
        if not was_killed:
            break
    assert event > 10


PEM, CHAIN = "certificate and PRIVATE KEY", "certificate"


def front(state: Path, certificate: str | None) -> None:
    (state / "front" / "front.json").write_text(
        json.dumps({"schema": 1, "tls": {"certificate": certificate} if certificate else None})
    )


def test_a_certificate_is_named_by_its_content_and_told_without_its_key(secrets: Secrets, state: Path) -> None:
    name = secrets.write_certificate(PEM, CHAIN)["certificate"]
    assert secrets.write_certificate(PEM, CHAIN) == {"certificate": name}
    assert secrets.read_certificate(name) == {"chain": CHAIN}
    kept = state / "front" / "tls" / f"{name}.pem"
    assert kept.read_text() == PEM
    assert kept.stat().st_mode & 0o777 == 0o400
    assert secrets.read_certificate("0" * 64) == {"chain": None}
    with pytest.raises(Refused, match="names no certificate"):
        secrets.read_certificate("../front")


def test_a_key_is_never_kept_with_what_all_may_read(secrets: Secrets) -> None:
    with pytest.raises(Refused, match="no certificate with its key"):
        secrets.write_certificate(PEM, PEM)


def test_certificates_that_the_front_does_not_name_go(secrets: Secrets, state: Path) -> None:
    old, new = (secrets.write_certificate(PEM + text, CHAIN)["certificate"] for text in ("old", "new"))
    (state / "front" / "tls" / ".half.new").write_text("half")
    secrets.sweep_certificates()
    assert secrets.read_certificate(old) == {"chain": CHAIN}, "without a front nothing is known"
    front(state, new)
    secrets.sweep_certificates()
    assert sorted(entry.suffix for entry in (state / "front" / "tls").iterdir()) == [".crt", ".pem"]
    assert secrets.read_certificate(new) == {"chain": CHAIN}
    front(state, None)
    secrets.sweep_certificates()
    assert list((state / "front" / "tls").iterdir()) == []


def test_a_link_in_the_place_of_the_certificates_is_refused(secrets: Secrets, state: Path, tmp_path: Path) -> None:
    (state / "front").symlink_to(tmp_path)
    with pytest.raises(Damaged, match="front is not a folder"):
        secrets.write_certificate(PEM, CHAIN)


def test_the_program_answers_for_secrets(state: Path) -> None:
    known = operations(state)
    said = answer({"op": "secret_versions", "values": {"KEY": VALUE}}, known)
    assert said == {"ok": True, "versions": {"KEY": "1"}}
    for request in (
        {"op": "secret_versions", "values": {"KEY": VALUE, "é": VALUE}},
        {"op": "secret_versions", "values": {"KEY": VALUE}, "more": VALUE},
        {"op": "secrets_write", "values": {"KEY": VALUE}, "versions": {"KEY": VALUE}, "set_id": VALUE},
    ):
        said = answer(request, known)
        assert not said["ok"]
        assert VALUE not in json.dumps(said)
