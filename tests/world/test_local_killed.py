"""The command may be killed at any instant and run again: it converges, and nothing is left over."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import deploy, live_id
from local_service import LocalService

from mlship.targets.base import Action

pytestmark = pytest.mark.world
INSTANTS = 30
DRIVER = Path(__file__).with_name("local_driver.py")


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[LocalService]:
    service = LocalService(tmp_path)
    yield service
    service.open().apply(Action("destroy"), None)
    assert service.processes() == []


def run(folder: Path, version: int, kill_after_s: float | None = None) -> float:
    """How long the deployment took from its beginning, or until it was killed."""
    process = subprocess.Popen([sys.executable, str(DRIVER), str(folder), str(version)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "begins\n"
    start = time.monotonic()
    if kill_after_s is None:
        assert process.communicate()[0] == "done\n"
        assert process.returncode == 0
    else:
        time.sleep(kill_after_s)
        process.kill()
        process.communicate()
    return time.monotonic() - start


def test_a_command_killed_at_any_instant_converges_when_it_is_run_again(harness: LocalService, tmp_path: Path) -> None:
    first_s = run(tmp_path, 1)
    whole_s = run(tmp_path, 2)
    for number in range(INSTANTS):
        version = 3 + number
        run(tmp_path, version, kill_after_s=whole_s * 1.1 * number / INSTANTS)
        serving = live_id(harness)
        assert serving, "something serves at every instant"
        run(tmp_path, version)
        observed = harness.open().observe()
        assert observed.history is not None
        assert observed.history.live == observed.serving == live_id(harness)
        assert observed.history.live_release.served.env["VERSION"] == str(version)
        assert [replica.release for replica in observed.replicas] == [observed.serving]
        assert len(harness.servers()) == 1
        assert len(harness.processes()) == 2
    print(f"first {first_s:.2f} s, update {whole_s:.2f} s, {INSTANTS} instants")


def test_a_first_deployment_killed_at_any_instant_converges_when_it_is_run_again(tmp_path: Path) -> None:
    for number in range(INSTANTS // 2):
        root = tmp_path / str(number)
        root.mkdir()
        service = LocalService(root)
        try:
            run(root, 1, kill_after_s=0.6 * number / (INSTANTS // 2))
            run(root, 1)
            assert live_id(service) == service.open().observe().serving != ""
            assert len(service.servers()) == 1
            assert len(service.processes()) == 2
        finally:
            service.open().apply(Action("destroy"), None)
        assert service.left() == []


def test_another_version_can_follow_a_killed_command(harness: LocalService, tmp_path: Path) -> None:
    deploy(harness, 1)
    for number in range(8):
        run(tmp_path, 100 + number, kill_after_s=0.04 * number)
        live = deploy(harness, 200 + number).history.live
        assert live_id(harness) == live
        assert len(harness.servers()) == 1
    kept = {path.name for path in harness.open()._folder.runs.iterdir()}
    history = harness.open().records.read()
    assert history is not None
    assert kept == {release.id for release in history.releases}


def test_a_destroy_killed_at_any_instant_can_be_run_again(tmp_path: Path) -> None:
    script = "import sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path; from local_service import LocalService; "
    script += "from mlship.targets.base import Action; s = LocalService(Path(sys.argv[1])); print('begins', flush=True); "
    script += "s.open().apply(Action('destroy'), None)"
    for number in range(8):
        root = tmp_path / str(number)
        root.mkdir()
        service = LocalService(root)
        deploy(service, 1)
        helper = str(Path(__file__).parents[1] / "targets")
        process = subprocess.Popen([sys.executable, "-c", script, str(root), helper], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "begins\n"
        time.sleep(0.02 * number)
        process.kill()
        process.communicate()
        assert service.open().apply(Action("destroy"), None).ok
        assert service.left() == []
