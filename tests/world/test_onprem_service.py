"""What happens to a service at a real engine when it is moved, stopped by somebody, or has neighbours."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker_standin import standin_layout
from free_ports import free_port
from onprem import Service, Wish, front_of, no_loss

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.oci.layout import Layout
from mlship.runner import LocalRunner
from mlship.targets.base import Action, Opening, Request
from mlship.targets.docker.target import open_target, services

pytestmark = [pytest.mark.world, pytest.mark.engine]


def moved(service: Service, port: int) -> Service:
    service.port = port
    return service


def test_another_port_moves_the_service_with_the_next_deploy(onprem: Service) -> None:
    onprem.deploy(1, replicas=2)
    copies = {entry.id for entry in onprem.replicas()}
    moved(onprem, free_port()).deploy(1, replicas=2)
    assert onprem.observe().endpoint == f"http://127.0.0.1:{onprem.port}"
    with onprem.under_load() as client:
        client.reach(100)
        no_loss(client.end(), requests=100)
    assert {entry.id for entry in onprem.replicas()} == copies


def test_a_port_that_somebody_else_has_leaves_the_service_where_it_is(onprem: Service) -> None:
    live = onprem.deploy(1, replicas=2).history.live
    here = onprem.port
    with socket.create_server(("127.0.0.1", 0)) as other:
        onprem.port = other.getsockname()[1]
        target, decided = onprem.planned(Wish(1, replicas=2))
        assert [finding.code for finding in target.preflight(decided.deployment)] == ["port-taken"]
        with pytest.raises(MlshipError, match=f"{live} serves as before"):
            onprem.carry_out((target, decided))
        onprem.port = here
        with onprem.under_load() as client:
            client.reach(100)
            no_loss(client.end(), requests=100)
    onprem.exactly(live, 2)


@pytest.mark.parametrize("role", ["front", "replica"])
def test_what_somebody_stopped_runs_again_after_the_same_deploy(onprem: Service, role: str) -> None:
    live = onprem.deploy(1, replicas=2).history.live
    onprem.containers(role)[0].stop()
    assert onprem.deploy(1, replicas=2).history.live == live
    with onprem.under_load() as client:
        client.reach(100)
        no_loss(client.end(), requests=100)
    onprem.exactly(live, 2)


@pytest.mark.parametrize("role", ["front", "replica"])
def test_what_somebody_removed_is_made_again_by_the_same_deploy(onprem: Service, role: str) -> None:
    live = onprem.deploy(1, replicas=2).history.live
    onprem.containers(role)[0].remove(force=True)
    assert onprem.deploy(1, replicas=2).history.live == live
    with onprem.under_load() as client:
        client.reach(100)
        no_loss(client.end(), requests=100)
    onprem.exactly(live, 2)


def test_environments_and_a_project_with_a_dash_live_side_by_side(engine: Any, front_home: Path) -> None:
    made = [
        Service(engine, front_home, name, free_port(), env) for name, env in (("side", ""), ("side", "prod"), ("side-prod", ""))
    ]
    try:
        lives = [service.deploy(number, replicas=1).history.live for number, service in enumerate(made, 1)]
        opening = Opening("", "", Home(front_home), LocalRunner(), time.time, "t", os.environ, {})
        rows = [(row.project, row.environment, row.ready) for row in services(opening) if row.project.startswith("side")]
        assert rows == [("side", "", True), ("side", "prod", True), ("side-prod", "", True)]
        assert made[0].open().apply(Action("destroy"), None).ok
        assert made[0].open().observe().history is None
        assert [service.observe().serving for service in made[1:]] == lives[1:]
    finally:
        for service in made:
            service.clean()


def test_an_image_goes_from_this_machines_layout_to_the_engine(onprem: Service, tmp_path: Path) -> None:
    layout = Layout(Home(tmp_path).images)
    content = standin_layout(layout, onprem.project, 7)
    settings = {"port": onprem.port, "host": "127.0.0.1"}
    opening = Opening(
        onprem.project, "", Home(tmp_path), LocalRunner(), time.time, "t", os.environ, settings, front_of(onprem.home)
    )
    target = open_target(opening)
    onprem.opened.append(target)
    wanted = onprem.wanted(Wish(7, replicas=1), target.observe())
    served = replace(wanted.release.served, content=content)
    decided = onprem.plan(target, replace(wanted, release=replace(wanted.release, served=served)))
    done = onprem.carry_out((target, decided))
    assert target.ask(Request("POST", "/predict", b"{}")).body == b'{"predictions": [7]}'
    assert [line.text for line in target.logs(done.history.live)] == ["loading model version 7", "ready"]
    with pytest.raises(MlshipError, match=f"there is no container of r9-abcdef of {onprem.project}"):
        next(target.logs("r9-abcdef"))


def test_only_what_is_ours_is_removed(onprem: Service) -> None:
    onprem.deploy(1, replicas=1)
    image = onprem.client.images.list(filters=onprem.labelled)[0]
    image.tag("somebody/elses", "1")
    by_hand = onprem.client.containers.create(image.id, name="onprem-by-hand", labels={"mlship.role": ""})
    try:
        assert onprem.open().apply(Action("destroy"), None).ok
        assert onprem.client.containers.get("onprem-by-hand").status == "created"
        assert onprem.client.images.get("somebody/elses:1")
    finally:
        by_hand.remove()
        onprem.client.images.remove("somebody/elses:1", force=True)
