"""What happens to a service at a real engine when things go wrong, and when it is left."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker_standin import standin_deployment, standin_image, standin_layout
from test_docker_contract import PROJECT, DockerHarness, clean, free_port

from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.oci.layout import Layout
from mlship.runner import LocalRunner
from mlship.targets.base import Action, Opening, Request
from mlship.targets.docker.target import open_target, services
from mlship.targets.plan import plan

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))
from contract import carry_out, deploy, live_id, roll_back, wanted

pytestmark = [pytest.mark.world, pytest.mark.engine]


@pytest.fixture
def harness(engine: Any, tmp_path: Path) -> Iterator[DockerHarness]:
    made = DockerHarness(engine, tmp_path, free_port())
    made.deployment(1)
    yield made
    for target in made.opened:
        target.close()
    clean(engine, PROJECT)


def attempt(harness: DockerHarness, version: int, broken: str = "", **changes: Any) -> MlshipError:
    with pytest.raises(MlshipError) as failed:
        deploy(harness, version, broken, **changes)
    return failed.value


def test_a_crash_is_told_with_its_exit_code_and_last_words(harness: DockerHarness) -> None:
    error = attempt(harness, 1, "crash")
    assert "it ended with exit code 1" in error.what
    assert error.details[-2:] == ("loading model version 1", "no module named churn")


def test_a_model_that_needs_more_memory_than_it_may_is_told_so(harness: DockerHarness) -> None:
    assert "out of memory (exit 137, limit 256MiB)" in attempt(harness, 1, "memory").what


def test_a_model_that_never_gets_ready_is_told_with_its_probe(harness: DockerHarness) -> None:
    first = deploy(harness, 1).history.live
    error = attempt(harness, 2, "never", startup_timeout_s=3.0)
    assert error.exit is Exit.VERIFY_FAILED
    assert 'not ready in 3 s: GET /readyz -> 503 {"error": "still loading"}' in error.what
    assert live_id(harness) == first
    assert [entry for entry in harness.left() if "staged" in entry] == []


def test_a_port_that_is_taken_in_the_last_moment_brings_the_old_release_back(harness: DockerHarness) -> None:
    first = deploy(harness, 1).history.live
    target = harness.open()
    decided = plan("deploy", wanted(harness, target, 2), target.observe())
    thief = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", thief))
        other.listen()
        moved = replace(decided.deployment, settings={"port": thief, "host": "127.0.0.1"})
        with pytest.raises(MlshipError, match=f"{first} serves as before") as failed:
            carry_out(harness.open(), replace(decided, deployment=moved))
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert live_id(harness) == first
    assert [replica.release for replica in harness.open().observe().replicas] == [first]


def test_preflight_names_the_program_on_the_port_and_the_gap(harness: DockerHarness) -> None:
    deploy(harness, 1)
    target = harness.open()
    assert [finding.code for finding in target.preflight(wanted(harness, target, 2))] == ["gap"]
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = {"port": other.getsockname()[1], "host": "127.0.0.1"}
        found = target.preflight(replace(wanted(harness, target, 2), settings=settings))
    assert [finding.code for finding in found] == ["port-taken", "gap"]


def test_another_port_moves_the_service_with_the_next_deploy(harness: DockerHarness) -> None:
    deploy(harness, 1)
    harness.port = free_port()
    assert any("mlship.yaml says" in note for note in harness.open().observe().notes)
    second = deploy(harness, 2).history.live
    assert live_id(harness) == second
    assert harness.open().observe().endpoint == f"http://127.0.0.1:{harness.port}"
    assert roll_back(harness).history.live == live_id(harness)
    assert harness.open().observe().endpoint == f"http://127.0.0.1:{harness.port}"


def test_a_rollback_works_from_a_machine_with_an_empty_disk_and_no_file(harness: DockerHarness, tmp_path: Path) -> None:
    first = deploy(harness, 1).history.live
    deploy(harness, 2)
    elsewhere = Opening(PROJECT, "", Home(tmp_path / "empty"), LocalRunner(), time.time, "ben@other", os.environ, {})
    target = open_target(elsewhere)
    observed = target.observe()
    assert observed.history is not None
    release = observed.history.rollback_candidate()
    assert release is not None and release.id in observed.restorable
    deployment = replace(harness.deployment(1), release=release, settings={}, operating=observed.history.operating)
    assert carry_out(target, plan("rollback", deployment, observed)).history.live == first == live_id(harness)
    target.close()


def test_a_crashed_service_is_started_again_by_the_engine_and_status_says_it_runs(harness: DockerHarness) -> None:
    live = deploy(harness, 1).history.live
    container = harness.client.containers.get(f"mlship-{PROJECT}-{live}")
    container.exec_run([container.attrs["Config"]["Entrypoint"][0], "-c", "import os; os.kill(1, 15)"])
    deadline = time.monotonic() + 10
    while not harness.open().observe().serving and time.monotonic() < deadline:
        time.sleep(0.1)
    assert harness.open().observe().serving == live


def test_a_service_that_somebody_stopped_is_served_again_by_the_same_deploy(harness: DockerHarness) -> None:
    live = deploy(harness, 1).history.live
    harness.client.containers.get(f"mlship-{PROJECT}-{live}").stop()
    assert harness.open().observe().serving == ""
    assert deploy(harness, 1).history.live == live == live_id(harness)


@pytest.mark.parametrize("attack", ["emptied", "cut", "link", "newer"])
def test_attacked_records_are_refused_and_never_followed(harness: DockerHarness, attack: str) -> None:
    live = deploy(harness, 1).history.live
    state = Path(harness.client.volumes.get(f"mlship-{PROJECT}").attrs["Mountpoint"])
    history = state / "history.json"
    whole = history.read_text()
    if attack == "emptied":
        history.write_text("")
    elif attack == "cut":
        history.write_text(whole[: len(whole) // 2])
    elif attack == "link":
        (state / "real.json").write_text(whole)
        history.unlink()
        history.symlink_to("real.json")
    else:
        history.write_text(json.dumps({**json.loads(whole), "schema": 2, "mlship": "9.9"}))
    expected = r"written by mlship 9\.9" if attack == "newer" else "the records cannot be read"
    with pytest.raises(MlshipError, match=expected):
        harness.open().observe()
    assert live_id(harness) == live, "callers notice nothing"


def test_records_that_are_gone_are_not_deployed_over(harness: DockerHarness) -> None:
    deploy(harness, 1)
    deploy(harness, 2)
    for document in Path(harness.client.volumes.get(f"mlship-{PROJECT}").attrs["Mountpoint"]).iterdir():
        document.unlink()
    target = harness.open()
    assert target.observe().notes == ("there are containers of this project, but their records are gone",)
    assert "records-gone" in [finding.code for finding in target.preflight(harness.deployment(3))]
    assert target.apply(Action("destroy"), None).ok
    assert harness.left() == []


def test_two_environments_and_a_project_with_a_dash_live_side_by_side(engine: Any, tmp_path: Path) -> None:
    content = standin_image(engine, "side", 1)
    other = standin_image(engine, "side-prod", 2)
    served = []
    try:
        for project, environment, version in (("side", "", 1), ("side", "prod", 1), ("side-prod", "", 2)):
            image = other if version == 2 else content
            opening = Opening(project, environment, Home(tmp_path), LocalRunner(), time.time, "t", os.environ, {})
            target = open_target(opening)
            served.append(target)
            deployment = standin_deployment(project, image, version, free_port(), environment)
            deployment = replace(deployment, release=replace(deployment.release, sequence=1))
            carry_out(target, plan("deploy", deployment, target.observe()))
        rows = [(row.project, row.environment, row.ready) for row in services(opening) if row.project.startswith("side")]
        assert rows == [("side", "", True), ("side", "prod", True), ("side-prod", "", True)]
        assert served[0].apply(Action("destroy"), None).ok
        assert served[0].observe().history is None
        for target in served[1:]:
            assert target.observe().serving == "r1-" + target.observe().history.live_release.served.digest()[:6]
    finally:
        for target in served:
            target.close()
        clean(engine, "side")
        clean(engine, "side-prod")


def test_an_image_goes_from_this_machines_layout_to_the_engine(engine: Any, tmp_path: Path) -> None:
    project, home = "delivered", Home(tmp_path)
    content = standin_layout(Layout(home.images), project, 7)
    target = open_target(Opening(project, "", home, LocalRunner(), time.time, "t", os.environ, {}))
    try:
        deployment = standin_deployment(project, content, 7, free_port())
        deployment = replace(deployment, release=replace(deployment.release, sequence=1))
        assert target.observe().history is None
        assert [finding for finding in target.preflight(deployment) if finding.severity == "error"] == []
        began = time.monotonic()
        done = carry_out(target, plan("deploy", deployment, target.observe()))
        print(
            f"first deploy with {sum(blob.stat().st_size for blob in Layout(home.images).blobs.iterdir()) / 1e6:.0f} MB "
            f"to load: {time.monotonic() - began:.1f} s"
        )
        assert target.ask(Request("POST", "/predict", b"{}")).body == b'{"predictions": [7]}'
        lines = [line.text for line in target.logs(done.history.live)]
        assert lines == ["loading model version 7", "ready"]
        with pytest.raises(MlshipError, match="there is no container of r9-abcdef of delivered"):
            next(target.logs("r9-abcdef"))
        assert target.apply(Action("destroy"), None).ok
        assert engine.images.list(filters={"label": f"mlship.project={project}"}) == []
    finally:
        target.close()
        clean(engine, project)


def test_only_what_is_ours_is_removed(harness: DockerHarness) -> None:
    deploy(harness, 1)
    image = harness.client.images.list(filters={"label": f"mlship.project={PROJECT}"})[0]
    image.tag("somebody/elses", "1")
    by_hand = harness.client.containers.create(image.id, name="by-hand")
    try:
        assert harness.open().apply(Action("destroy"), None).ok
        assert harness.client.containers.get("by-hand").status == "created"
        assert harness.client.images.get("somebody/elses:1")
    finally:
        by_hand.remove()
        harness.client.images.remove("somebody/elses:1", force=True)
