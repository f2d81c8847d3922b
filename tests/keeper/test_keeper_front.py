"""The front's document on the volume, while no HAProxy runs; tests/world/test_front_story.py has a real one."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from mlship.keeper.front import Front
from mlship.keeper.records import Records, Refused
from mlship.keeper.state import Damaged, Newer

CANARY: dict[str, Any] = json.loads((Path(__file__).parent / "fronts" / "canary.json").read_text())
NOT_RUNNING = {"running": False, "reloaded": False, "old_workers": 0}


@pytest.fixture
def front(tmp_path: Path) -> Front:
    return Front(tmp_path, Records(tmp_path), "/bin/true")


def weights(weight: int) -> dict[str, Any]:
    return {**CANARY, "servers": [{**server, "weight": weight} for server in CANARY["servers"]]}


def test_before_the_first_document_there_is_none(front: Front) -> None:
    said = front.read()
    assert (said["front"], said["running"], said["applied"], said["servers"]) == (None, False, False, {})


def test_a_document_is_read_back_as_it_was_given_and_its_servers_are_counted(front: Front) -> None:
    assert front.set(CANARY) == NOT_RUNNING
    assert front.set(CANARY) == NOT_RUNNING
    assert front.read()["front"] == CANARY
    assert set(front.read()["totals"]["servers"]) == {server["name"] for server in CANARY["servers"]}


def test_the_front_reads_its_configuration_and_cannot_change_the_document(front: Front, tmp_path: Path) -> None:
    front.set(CANARY)
    modes = {
        path: stat.S_IMODE((tmp_path / "front" / path).stat().st_mode) for path in ("", "run", "front.json", "run/haproxy.cfg")
    }
    assert modes == {"": 0o755, "run": 0o777, "front.json": 0o644, "run/haproxy.cfg": 0o644}


def test_an_unfit_document_changes_nothing(front: Front) -> None:
    front.set(CANARY)
    with pytest.raises(Refused, match=r"front\.servers\[0\]\.weight is 300") as refused:
        front.set(weights(300))
    assert (refused.value.code, front.read()["front"]) == ("invalid", CANARY)


def test_a_configuration_that_haproxy_refuses_changes_nothing(tmp_path: Path) -> None:
    Front(tmp_path, Records(tmp_path), "/bin/true").set(CANARY)
    with pytest.raises(Refused, match="haproxy -c refuses the configuration") as refused:
        Front(tmp_path, Records(tmp_path), "/bin/false").set(weights(1))
    assert refused.value.code == "front-refused"
    assert Front(tmp_path, Records(tmp_path)).read()["front"] == CANARY


def test_a_certificate_must_be_there(front: Front) -> None:
    with pytest.raises(Refused, match=r"the certificate a{64} is not on the volume"):
        front.set({**CANARY, "tls": {"certificate": "a" * 64}})


def test_nobody_changes_the_traffic_under_the_valid_lease_of_another(front: Front, tmp_path: Path) -> None:
    front.set(CANARY)
    Records(tmp_path).acquire("a", "anna", 30)
    with pytest.raises(Refused, match="anna has the lease") as lost:
        front.set(weights(1), token="b")
    assert (lost.value.code, front.read()["front"]) == ("lease-lost", CANARY)
    front.set(weights(1), token="a")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", r"front\.json has 0 bytes"),
        ("{", r"front\.json is not JSON"),
        ('{"schema": 1}', r"front\.json: front does not have exactly the keys"),
        (json.dumps(weights(999)), r"front\.json: front\.servers\[0\]\.weight is 999"),
        (" " * 2**20 + "{}", r"front\.json has 1048578 bytes"),
    ],
)  # fmt: skip
def test_a_damaged_document_is_not_believed_until_it_is_written_anew(
    front: Front, tmp_path: Path, content: str, why: str
) -> None:
    front.set(CANARY)
    path, configuration = tmp_path / "front" / "front.json", tmp_path / "front" / "run" / "haproxy.cfg"
    served = configuration.read_text()
    path.write_text(content)
    said = front.read()
    assert said["front"] is None and re.search(why, said["damaged"])
    assert front.configuration().read_text() == served, "what was served last is served on"
    configuration.unlink()
    assert "server r" not in front.configuration().read_text()
    front.set(CANARY)
    assert (front.read()["front"], front.read()["damaged"]) == (CANARY, "")


def test_a_newer_document_is_refused_by_name(front: Front, tmp_path: Path) -> None:
    front.set(CANARY)
    (tmp_path / "front" / "front.json").write_text('{"schema": 2, "mlship": "9.9"}')
    for act in (front.read, lambda: front.set(CANARY)):
        with pytest.raises(Newer, match=r"front\.json was written by mlship 9\.9"):
            act()


def test_no_link_is_followed(front: Front, tmp_path: Path) -> None:
    front.set(CANARY)
    path, precious = tmp_path / "front" / "front.json", tmp_path / "precious"
    path.rename(precious)
    path.symlink_to(precious)
    assert front.read()["damaged"] == "front.json is a symbolic link"
    front.set(weights(1))
    assert json.loads(precious.read_text()) == CANARY
    assert front.read()["front"] == weights(1)


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    state.mkdir()
    elsewhere.mkdir()
    (state / "front").symlink_to(elsewhere)
    with pytest.raises(Damaged, match="front is not a folder"):
        Front(state, Records(state), "/bin/true").set(CANARY)
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    "damage", ["", "{", '{"schema": 1}', '{"schema": 1, "workers": [], "servers": 1, "front": 1, "seen": 1}']
)
def test_counters_that_cannot_be_believed_stop_no_traffic(front: Front, tmp_path: Path, damage: str) -> None:
    front.set(CANARY)
    (tmp_path / "front" / "counters.json").write_text(damage)
    assert front.set(weights(1)) == NOT_RUNNING
    assert front.read()["totals"]["front"] == {"requests": 0, "errors": 0, "denied": 0}


def test_haproxy_starts_with_what_is_wanted_whatever_its_file_says(front: Front, tmp_path: Path) -> None:
    front.set(CANARY)
    configuration = tmp_path / "front" / "run" / "haproxy.cfg"
    right = configuration.read_text()
    configuration.write_text("damaged")
    assert front.configuration() == configuration
    assert configuration.read_text() == right
    (tmp_path / "front" / "front.json").unlink()
    front.configuration()
    assert "server" not in configuration.read_text().split("backend model")[1].replace("default-server", "")


def test_what_a_killed_keeper_left_half_written_goes(front: Front, tmp_path: Path) -> None:
    front.set(CANARY)
    (tmp_path / "front" / ".front.json.x7").write_text("{")
    front.set(CANARY)
    assert not list((tmp_path / "front").glob(".front*"))
