"""The records are with the engine: any machine goes on, and what was done to them is refused or mended, never followed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from onprem import Service, no_loss

from mlship.errors import MlshipError
from mlship.targets.base import Request
from mlship.targets.verify import said_release

RELEASE = Request("GET", "/mlship/release")

pytestmark = [pytest.mark.world, pytest.mark.engine]


def test_a_rollback_works_from_a_machine_with_an_empty_disk_and_no_file(onprem: Service, tmp_path: Path) -> None:
    first = onprem.deploy(1).history.live
    onprem.deploy(2)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with onprem.under_load() as client:
        client.reach(150)
        done = onprem.mlship("rollback", "--yes", home=elsewhere / "home", cwd=elsewhere)
        client.reach(client.report().requests + 150)
        report = client.end()
    assert done.returncode == 0, done.stderr
    no_loss(report, releases=2, requests=300)
    onprem.exactly(first)
    assert onprem.mlship("status", home=elsewhere / "home", cwd=elsewhere).returncode == 0


@pytest.mark.parametrize("attack", ["emptied", "cut", "link", "newer"])
def test_attacked_records_are_refused_and_never_followed(onprem: Service, attack: str) -> None:
    live = onprem.deploy(1, replicas=2).history.live
    damage(onprem.state / "history.json", attack)
    expected = r"written by mlship 9\.9" if attack == "newer" else "the records cannot be read"
    with pytest.raises(MlshipError, match=expected):
        onprem.observe()
    with pytest.raises(MlshipError, match=expected):
        onprem.deploy(2, replicas=2)
    with onprem.under_load() as client:
        client.reach(150)
        report = client.end()
    no_loss(report, requests=150)
    assert set(report.releases) == {live}, "callers notice nothing"


@pytest.mark.parametrize("attack", ["emptied", "cut", "link", "gone"])
def test_an_attacked_front_serves_on_and_is_written_anew_by_the_next_deploy(onprem: Service, attack: str) -> None:
    onprem.deploy(1, replicas=2)
    path = onprem.state / "front" / "front.json"
    outside = onprem.state / "outside"
    damage(path, attack, outside)
    before = outside.read_bytes() if outside.exists() else b""
    with onprem.under_load() as client:
        client.reach(100)
        assert attack == "gone" or any("cannot be read" in note for note in onprem.observe().notes)
        live = onprem.deploy(2, replicas=2).history.live
        client.reach(client.report().requests + 100)
        report = client.end()
    no_loss(report, releases=2, requests=200)
    onprem.exactly(live, 2)
    assert not path.is_symlink()
    assert (outside.read_bytes() if outside.exists() else b"") == before, "a link is replaced, not followed"


@pytest.mark.parametrize("attack", ["emptied", "link", "newer"])
def test_a_front_that_starts_again_with_an_attacked_document_serves_what_it_served(onprem: Service, attack: str) -> None:
    live = onprem.deploy(1, replicas=2).history.live
    damage(onprem.state / "front" / "front.json", attack)
    restarted(onprem, live)
    with onprem.under_load() as client:
        client.reach(100)
        report = client.end()
    assert report.releases == {live: report.requests}, str(report)


def test_the_front_never_reads_a_configuration_that_somebody_else_wrote(onprem: Service) -> None:
    live = onprem.deploy(1, replicas=2).history.live
    (onprem.state / "front" / "run" / "haproxy.cfg").write_text("listen something-else\n")
    restarted(onprem, live)
    with onprem.under_load() as client:
        client.reach(100)
        report = client.end()
    assert report.releases == {live: report.requests}, str(report)


def test_a_front_document_of_a_newer_mlship_is_refused(onprem: Service) -> None:
    onprem.deploy(1, replicas=2)
    damage(onprem.state / "front" / "front.json", "newer")
    with pytest.raises(MlshipError, match=r"written by mlship 9\.9"):
        onprem.deploy(2, replicas=2)


def test_records_that_are_gone_are_not_deployed_over(onprem: Service) -> None:
    onprem.deploy(1, replicas=2)
    live = onprem.deploy(2, replicas=2).history.live
    (onprem.state / "history.json").unlink()
    target = onprem.open()
    assert target.observe().notes == ("there are containers of this project, but their records are gone",)
    with onprem.under_load() as client:
        client.reach(100)
        report = client.end()
    assert set(report.releases) == {live}


def test_destroy_leaves_nothing(onprem: Service) -> None:
    onprem.deploy(1, replicas=2)
    onprem.deploy(2, replicas=2)
    done = onprem.mlship("destroy", "--yes")
    assert done.returncode == 0, done.stderr
    assert onprem.left() == []


def restarted(service: Service, live: str) -> None:
    """The front ends and starts again; callers can connect to the engine's own proxy before anybody listens behind it."""
    service.front.restart(timeout=2)
    deadline = time.monotonic() + 10
    while said_release(service.open().ask(RELEASE)) != live and time.monotonic() < deadline:
        time.sleep(0.1)


def damage(path: Path, attack: str, outside: Path | None = None) -> None:
    whole = path.read_text()
    if attack == "emptied":
        path.write_text("")
    elif attack == "cut":
        path.write_text(whole[: len(whole) // 2])
    elif attack == "link":
        aim = outside or path.with_name("real")
        aim.write_text(whole)
        path.unlink()
        path.symlink_to(aim)
    elif attack == "gone":
        path.unlink()
    else:
        path.write_text(json.dumps({**json.loads(whole), "schema": 2, "mlship": "9.9"}))
