"""The docker target keeps the contract of every target, at a real engine."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, NotFound
from docker_standin import standin_deployment, standin_image
from free_ports import free_port
from onprem import front_of

from mlship.home import Home
from mlship.runner import LocalRunner
from mlship.targets.base import Deployment, Opening
from mlship.targets.docker.target import DockerTarget, open_target

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))
from contract import *  # noqa: F403

pytestmark = [pytest.mark.world, pytest.mark.engine]

PROJECT = f"contract-{os.getpid()}"  # several sessions may run at one engine


class DockerHarness:
    def __init__(self, client: Any, home: Path, port: int) -> None:
        self.client = client
        self.home = home
        self.port = port
        self.opened: list[DockerTarget] = []

    def open(self) -> DockerTarget:
        settings = {"port": self.port, "host": "127.0.0.1"}
        front = front_of(self.home)
        opening = Opening(PROJECT, "", Home(self.home), LocalRunner(), time.time, "test", os.environ, settings, front)
        self.opened.append(open_target(opening))
        return self.opened[-1]

    def deployment(self, version: int, broken: str = "") -> Deployment:
        content = standin_image(self.client, PROJECT, version, broken)
        return standin_deployment(PROJECT, content, version, self.port)

    def left(self) -> list[str]:
        label = {"label": f"mlship.project={PROJECT}"}
        containers = [entry.name for entry in self.client.containers.list(all=True, filters=label)]
        volumes = [entry.name for entry in self.client.volumes.list(filters=label)]
        networks = [entry.name for entry in self.client.networks.list(filters=label)]
        return containers + volumes + networks + [str(entry.tags) for entry in self.client.images.list(filters=label)]


@pytest.fixture
def harness(engine: Any, story_home: Path) -> Iterator[DockerHarness]:
    """story_home: the front is made once for all."""
    made = DockerHarness(engine, story_home, free_port())
    yield made
    for target in made.opened:
        target.close()
    clean(engine, PROJECT)


def clean(client: Any, project: str) -> None:
    """Everything of the project goes, whatever the story left behind."""
    label = {"label": f"mlship.project={project}"}
    for container in client.containers.list(all=True, filters=label, ignore_removed=True):
        with suppress(NotFound, APIError):  # a keeper that is going already
            container.remove(force=True)
    while client.containers.list(all=True, filters=label, ignore_removed=True):
        time.sleep(0.05)
    for network in client.networks.list(filters=label):
        network.remove()
    for volume in client.volumes.list(filters=label):
        volume.remove(force=True)
    for image in client.images.list(filters=label):
        with suppress(NotFound, APIError):  # another project runs the same content from it
            client.images.remove(image.id, force=True)
