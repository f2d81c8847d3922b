"""Several replicas at a real engine: what is told of them, and what happens where there is little memory."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from onprem import front_of
from test_docker_contract import PROJECT, DockerHarness, clean

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.runner import LocalRunner
from mlship.targets.base import Opening
from mlship.targets.docker.bodies import keeper_body
from mlship.targets.docker.engine import connect
from mlship.targets.docker.holder import origin
from mlship.targets.docker.machine import RESERVE
from mlship.targets.docker.spec import Scope
from mlship.targets.docker.target import DockerTarget
from mlship.targets.plan import plan

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))
from contract import carry_out, deploy, live_id, wanted

pytestmark = [pytest.mark.world, pytest.mark.engine]


@pytest.fixture
def harness(engine: Any, front_home: Path) -> Iterator[DockerHarness]:
    made = DockerHarness(engine, front_home, free_port())
    yield made
    for target in made.opened:
        target.close()
    clean(engine, PROJECT)


def attempt(harness: DockerHarness, version: int, broken: str = "", **changes: Any) -> MlshipError:
    with pytest.raises(MlshipError) as failed:
        deploy(harness, version, broken, **changes)
    return failed.value


def test_a_crash_is_told_with_its_exit_code_and_last_words(harness: DockerHarness) -> None:
    error = attempt(harness, 1, "crash", replicas=(2, 2))
    assert "it ended with exit code 1" in error.what
    assert {"loading model version 1", "no module named churn"} <= set(error.details)


def test_a_model_that_needs_more_memory_than_it_may_is_told_so(harness: DockerHarness) -> None:
    assert "out of memory (exit 137, limit 256MiB)" in attempt(harness, 1, "memory").what


def test_every_replica_tells_its_state_its_lines_and_its_counts(harness: DockerHarness) -> None:
    live = deploy(harness, 1, replicas=(3, 3)).history.live
    target = harness.open()
    told = target.why()
    assert [why.release for why in told] == ["", live, live, live]
    assert {(why.state, why.out_of_memory) for why in told} == {("running", False)}
    assert [why.probe for why in told[1:]] == ["GET /readyz -> 200 {}"] * 3
    lines = list(target.logs())
    assert sorted((line.replica[-1], line.text) for line in lines) == sorted(
        (number, text) for number in "123" for text in ("loading model version 1", "ready")
    )
    assert [line.when for line in lines] == sorted(line.when for line in lines)
    assert target.measure()[live].requests >= 1, "the sample was asked on the callers' way"
    assert target.observe().weights == {live: 1.0}


def test_without_memory_for_both_a_release_takes_over_in_batches(harness: DockerHarness) -> None:
    deploy(harness, 1, replicas=(3, 3))
    opening = Opening(
        PROJECT, "", Home(harness.home), LocalRunner(), time.time, "test", os.environ, {"port": harness.port, "host": "127.0.0.1"},
        front=front_of(harness.home),
    )  # fmt: skip
    target = DockerTarget(opening, lambda: connect(os.environ), free=lambda: RESERVE)
    harness.opened.append(target)
    decided = plan("deploy", wanted(harness, target, 2, replicas=(3, 3)), target.observe())
    done = carry_out(target, decided)
    assert done.notes == ("memory for 1 of 3 new replicas beside the old ones: they took over in 3 batches",)
    assert live_id(harness) == done.history.live
    assert [replica.release for replica in harness.open().observe().replicas] == [done.history.live] * 3


def test_the_records_rebuilt_replicas_have_what_they_had(harness: DockerHarness) -> None:
    """A kept replica that somebody removed is made again from the records, at the same number."""
    live = deploy(harness, 1, replicas=(2, 2)).history.live
    harness.client.containers.get(f"mlship-{PROJECT}-{live}-2").remove(force=True)
    assert "1 of 2 replicas do not run" in harness.open().observe().repair
    deploy(harness, 1, replicas=(2, 2))
    assert harness.client.containers.get(f"mlship-{PROJECT}-{live}-2").status == "running"
    assert harness.open().observe().repair == ""


def test_a_keeper_that_was_never_started_goes_with_the_next_deploy(harness: DockerHarness) -> None:
    """Its command was killed between making it and starting it; the engine would keep it for ever."""
    scope, here, engine = Scope(PROJECT), origin(), connect(os.environ)
    assert here is not None
    deploy(harness, 1)
    image = harness.client.containers.get(scope.front).attrs["Image"]
    for name, made_by in (("dead", {**here, "started": "1"}), ("alive", here)):
        engine.create(scope.keeper(name), keeper_body(scope, image, "/usr/bin/python3", made_by))
    deploy(harness, 2)
    label = {"label": [f"mlship.project={PROJECT}", "mlship.role=keeper"], "status": "created"}
    left = [entry.name for entry in harness.client.containers.list(all=True, filters=label, ignore_removed=True)]
    assert left == [scope.keeper("alive")]
