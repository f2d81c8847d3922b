"""The front gets the security updates of its packages: how long nobody reaches the service, and what stays."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from onprem import FACTS, WORLD, Service, no_loss

from mlship.home import Home
from mlship.image.builder import oci_config
from mlship.image.front import front_config, front_image, front_key
from mlship.image.system.apt import machine_archive
from mlship.image.workplace import Workplace
from mlship.oci.image import FRONT_HAS, FRONT_LABEL, FRONT_MADE, FRONT_PACKAGES
from mlship.progress import Silent
from mlship.releases.release import Release
from mlship.runner import LocalRunner
from mlship.targets.base import FrontImage, Opening
from mlship.targets.docker.target import DockerTarget, open_target
from mlship.targets.lease import held

pytestmark = [pytest.mark.world, pytest.mark.engine]

AGED = f"aged-{os.getpid()}"


def relabelled(service: Service, **labels: str) -> Callable[[str], str]:
    """A real front's image that tells other things of itself; gives what makes it."""
    place = Workplace(Home(service.home), LocalRunner(), Silent(), os.environ)

    def make(platform: str) -> str:
        real = front_image(place, lambda: machine_archive(place.runner, None), platform)
        python = labels.get("python", real.config["config"]["Entrypoint"][0])
        said = {FRONT_HAS: "HAProxy 2.6.1-1, OpenSSL 3.0.1-1", FRONT_PACKAGES: AGED, FRONT_MADE: labels["made"]}
        config = oci_config(front_config(python, labels["key"], said))
        return place.layout.write_image(real.layers, config, platform).content

    return make


def opened(service: Service, front: FrontImage) -> DockerTarget:
    settings = {"port": service.port, "host": "127.0.0.1"}
    opening = Opening(
        service.project, "", Home(service.home), LocalRunner(), WORLD.clock, FACTS.by, os.environ, settings, front
    )
    service.opened.append(open_target(opening))
    return service.opened[-1]


@pytest.fixture
def aged(onprem: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Two copies behind a front of old packages."""
    return deployed(onprem, monkeypatch, replicas=2)


def deployed(service: Service, monkeypatch: pytest.MonkeyPatch, **wishes: Any) -> Service:
    old = FrontImage(AGED, relabelled(service, key=AGED, made="2026-01-02"))
    with monkeypatch.context() as patched:
        patched.setattr(service, "open", lambda home=None: opened(service, old))
        service.deploy(1, **wishes)
    return service


def status(service: Service) -> dict[str, Any]:
    said = service.mlship("status", "--json")
    assert said.returncode == 0, said.stderr
    return dict(json.loads(said.stdout))


def test_a_renewal_brings_the_newest_packages_within_two_seconds(aged: Service) -> None:
    live, copies = aged.history.live, {entry.id for entry in aged.replicas()}
    former = aged.front
    said = aged.mlship("status")
    assert "  front     HAProxy 2.6.1-1, OpenSSL 3.0.1-1, packages of 2026-01-02 (" in said.stdout, said.stdout
    with aged.under_load() as client:
        before = client.reach(400)
        assert not before.failed
        counted = status(aged)["traffic"][live]["requests"]
        done = aged.mlship("renew", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        client.reach(client.report().requests + 400)
        report = client.end()
    assert aged.front.id != former.id and aged.front.image.labels[FRONT_LABEL] == front_key()
    assert 0 < report.window_s < 4, "1 s on a quiet machine"
    assert report.releases.keys() == {live}
    assert {entry.id for entry in aged.replicas()} == copies, "no copy was replaced"
    assert status(aged)["traffic"][live]["requests"] >= counted, "counters go on"
    assert "the front was renewed: HAProxy 2.6.1-1" in aged.mlship("history").stdout
    assert [entry.name for entry in aged.containers("front")] == [former.name]
    with aged.under_load() as client:
        client.reach(100)
        no_loss(client.end(), requests=100)
    again = aged.mlship("renew", "--yes")
    assert again.returncode == 0 and "Nothing to do" in again.stdout, again.stdout + again.stderr
    aged.exactly(live, 2)


def test_the_autoscaler_is_of_the_new_image_too(onprem: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(onprem, monkeypatch, replicas=1, most=2)
    [former] = {entry.image.id for entry in [*onprem.containers("autoscaler"), onprem.front]}
    done = onprem.mlship("renew", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    [autoscaler] = onprem.containers("autoscaler")
    assert autoscaler.status == "running"
    assert autoscaler.image.id == onprem.front.image.id != former
    assert former not in {image.id for image in onprem.client.images.list(filters={"label": FRONT_LABEL})}


@pytest.mark.parametrize(
    ("python", "cause"),
    [("/usr/bin/none", "no such file"), ("/usr/sbin/haproxy", "the new front ends right after its start")],
    ids=["it cannot be started", "it ends at once"],
)
def test_where_the_new_front_does_not_come_up_the_former_one_is_brought_back(aged: Service, python: str, cause: str) -> None:
    live, former = aged.history.live, aged.front
    images = len(aged.client.images.list(filters={"label": FRONT_LABEL}))
    own = f"{AGED}-broken"  # a key of its own: this machine's store would give it to the stories after this one
    broken = FrontImage(own, str, relabelled(aged, key=own, made="2026-11-22", python=python))
    target = opened(aged, broken)
    with held(target.records, FACTS.by, WORLD.clock, WORLD.sleep, WORLD.progress):
        new = target.front_anew()
        observed = target.observe()
        assert observed.history is not None and observed.history.live_release is not None
        outcome = target.renew_front(new, live_deployment(aged, observed.history.live_release))
    assert not outcome.ok and cause in outcome.cause, outcome
    assert outcome.fault == "target"
    assert [entry.id for entry in aged.containers("front")] == [former.id]
    assert len(aged.client.images.list(filters={"label": FRONT_LABEL})) == images
    with aged.under_load() as client:
        client.reach(100)
        no_loss(client.end(), requests=100)
    aged.exactly(live, 2)


def live_deployment(service: Service, release: Release) -> Any:
    from mlship.flows.operating import deployment_from_operating

    return deployment_from_operating(service.project, "", "docker", release, service.history.operating, None)


def test_a_renewal_that_was_killed_in_the_middle_is_ended_by_the_next_command(aged: Service) -> None:
    """The new front runs under its first name, and the former one is stopped: what a killed command leaves at its worst."""
    live, former = aged.history.live, aged.front
    name, image = str(former.name), former.attrs["Config"]["Image"]
    host = former.attrs["HostConfig"]
    config = {**former.attrs["Config"], "HostConfig": host, "Image": image}
    made = aged.client.api.create_container_from_config(config, f"{name}-next")["Id"]
    network = f"mlship-{aged.project}"
    address = former.attrs["NetworkSettings"]["Networks"][network]["IPAMConfig"]["IPv4Address"]
    aged.client.api.connect_container_to_network(made, network, ipv4_address=address)
    former.stop(timeout=1)
    aged.client.api.start(made)
    assert aged.deploy(1, replicas=2).history.live == live
    assert [(entry.id, entry.name) for entry in aged.containers("front")] == [(made, name)]
    with aged.under_load() as client:
        client.reach(100)
        no_loss(client.end(), requests=100)
    aged.exactly(live, 2)
