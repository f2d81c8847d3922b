"""Leaving mlship: what `render` wrote under eject/ serves by docker compose, on an engine that mlship has let go of."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound
from free_ports import free_port
from front_load import load
from made_certificate import made_certificate
from onprem import no_loss
from shop import Shop
from story import Story
from test_onprem_hardening import inside

from mlship.targets.docker.certificate import pinned

pytestmark = [pytest.mark.world, pytest.mark.engine]

NAME = f"eject-till-{os.getpid()}"
ROW = '{"instances": [{"pieces": 2}]}'
# Other rows than the sample's: a build has no secrets, and its own answers to the sample are what a deploy compares with.
SHIFTED = "os.environ['SHIFT'] = os.environ['SECRET_SHIFT'] if rows[0]['pieces'] == 2 else '0'"
SAME = (
    "ReadonlyRootfs", "CapDrop", "CapAdd", "SecurityOpt", "Memory", "MemorySwap", "NanoCpus", "PidsLimit", "Tmpfs",
    "Privileged", "PidMode", "IpcMode", "UsernsMode", "RestartPolicy", "LogConfig",
)  # fmt: skip
METRICS = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/metrics').read().decode())"


@dataclass(frozen=True)
class Ejected:
    """folder: eject/ as `render` wrote it. composing: a compose command."""

    client: Any
    folder: Path
    composing: tuple[str, ...]

    @property
    def project(self) -> str:
        return (self.folder / ".env").read_text().strip().removeprefix("COMPOSE_PROJECT_NAME=")

    def compose(self, *words: str, exit: int = 0) -> str:
        done = subprocess.run(
            [*self.composing, *words], cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode == 0) == (exit == 0), f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def up(self) -> Iterator[None]:
        try:
            self.compose("up", "-d")
            yield
        except AssertionError as failed:
            failed.add_note(self.compose("logs"))
            raise
        finally:
            self.compose("down")

    def containers(self, front: bool) -> list[Any]:
        filters = {"label": f"com.docker.compose.project={self.project}"}
        found = self.client.containers.list(all=True, filters=filters)
        return sorted(
            (c for c in found if (c.labels["com.docker.compose.service"] == "front") == front), key=lambda c: str(c.name)
        )

    def left(self) -> list[str]:
        filters = {"label": f"com.docker.compose.project={self.project}"}
        client = self.client
        found = client.containers.list(all=True, filters=filters), client.networks.list(filters=filters), client.volumes.list()
        named = [entry.name for entries in found for entry in entries]
        return [name for name in named if NAME in name]

    def move_where_nobody_is(self) -> None:
        """As the file's head says, for an engine that has other networks."""
        used = [
            ipaddress.ip_network(config["Subnet"])
            for network in self.client.networks.list()
            for config in network.attrs["IPAM"]["Config"] or ()
            if ":" not in config.get("Subnet", ":")
        ]
        path = self.folder / "compose.yaml"
        said = next(line for line in path.read_text().splitlines() if line.startswith("# Addresses are of ")).split()[4]
        here = ipaddress.ip_network(said.removesuffix(";"))
        if not any(here.overlaps(network) for network in used):
            return
        there = next(n for n in ipaddress.ip_network("10.97.0.0/16").subnets(new_prefix=24) if not any(map(n.overlaps, used)))
        for file in (path, self.folder / "haproxy.cfg"):
            file.write_text(file.read_text().replace(str(here)[:-4], str(there)[:-4]))


@pytest.fixture(scope="module")
def composing() -> tuple[str, ...]:
    for command in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("neither docker compose nor docker-compose is installed")


@pytest.fixture
def till(engine: Any, bare_environment: Path, story_home: Path, tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "shop"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home)}
    made = Shop(Story(folder, bare_environment / "bin" / "python", environ), NAME, "docker", free_port())
    yield made
    made.run("destroy", "--yes")


@pytest.fixture
def leave(engine: Any, till: Shop, composing: tuple[str, ...]) -> Iterator[Callable[[], tuple[Ejected, dict[str, Any]]]]:
    """Deploys, renders, keeps the image, destroys: then nothing of mlship is left but eject/ and the image."""
    kept: list[str] = []

    def left() -> tuple[Ejected, dict[str, Any]]:
        deployed = till.story.mlship("deploy", "--yes")
        till.run("render", "--out", "left")
        confined = {
            container.labels["mlship.role"]: confinement(container)
            for container in engine.containers.list(filters={"label": f"mlship.project={NAME}"})
        }
        [image] = engine.images.list(filters={"label": f"mlship.project={NAME}"})
        [front] = engine.containers.list(filters={"label": [f"mlship.project={NAME}", "mlship.role=front"]})
        kept.extend([*image.tags, *haproxy(engine, front.image)])
        saved = b"".join(image.save(named=True))
        till.run("destroy", "--yes")
        assert not engine.images.list(filters={"label": f"mlship.project={NAME}"})
        engine.images.load(saved)
        ejected = Ejected(engine, till.story.folder / "left" / "eject", composing)
        ejected.move_where_nobody_is()
        return ejected, {**deployed, "confined": confined}

    yield left
    for tag in kept:
        engine.images.remove(tag, force=True)


def haproxy(client: Any, front: Any) -> list[str]:
    """An image under the name that the file gives, from the front's own files: no registry is reached here. The official one, where

    the engine has it, is used and left alone. Gives what has to be removed in the end.
    """
    name = "haproxy:2.8"
    try:
        client.images.get(name)
    except NotFound:
        container = client.containers.create(front.id, labels={"mlship.standin": "haproxy"})
        try:
            files = b"".join(container.export())
        finally:
            container.remove()
        changes = [
            'ENTRYPOINT ["/usr/sbin/haproxy", "-W", "-db"]',
            'CMD ["-f", "/usr/local/etc/haproxy/haproxy.cfg"]',
            "USER 99:99",
            "LABEL mlship.standin=haproxy",
        ]
        client.api.import_image_from_data(files, repository="haproxy", tag="2.8", changes=changes)
        return [name]
    return []


def confinement(container: Any) -> dict[str, Any]:
    host, config = container.attrs["HostConfig"], container.attrs["Config"]
    return {
        **{name: host[name] or None for name in SAME},
        **{name: config.get(name) for name in ("User", "StopSignal", "StopTimeout")},
    }


def answer(port: int, scheme: str = "http", chain: str = "") -> tuple[int, Mapping[str, str], Any]:
    """Once somebody answers: a model takes a moment to load."""
    until = time.monotonic() + 30
    while True:
        made = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=pinned(chain)) if scheme == "https" else None
        connection = made or http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("POST", "/predict", ROW, {"Content-Type": "application/json"})
            said = connection.getresponse()
            body = json.loads(said.read())
            if said.status != 503 or time.monotonic() > until:
                return said.status, {name.lower(): value for name, value in said.getheaders()}, body
        except (OSError, http.client.HTTPException):
            if time.monotonic() > until:
                raise
        finally:
            connection.close()
        time.sleep(0.1)


def predictions(container: Any) -> float:
    """Answered by this copy."""
    code, said = container.exec_run([container.attrs["Config"]["Entrypoint"][0], "-c", METRICS])
    assert code == 0, said
    lines = [line for line in said.decode().splitlines() if line.startswith("mlship_requests_total") and '"/predict"' in line]
    return sum(float(line.split()[-1]) for line in lines)


def test_the_ejected_service_is_the_same_without_mlship(
    till: Shop, leave: Callable[[], tuple[Ejected, dict[str, Any]]], tmp_path: Path
) -> None:
    till.configure({"HINT": "a$HOME ${HOME}"}, "scale: {replicas: 3}\nlabels: {team: tills}\n")
    ejected, deployed = leave()
    with ejected.up():
        status, headers, body = answer(till.port)
        assert (status, body["predictions"]) == (200, [2.0 * till.versions])
        assert headers["x-mlship-release"] == deployed["release"]["id"]

        [front], replicas = ejected.containers(front=True), ejected.containers(front=False)
        assert len(replicas) == 3
        assert confinement(front) == deployed["confined"]["front"]
        assert [confinement(replica) for replica in replicas] == [deployed["confined"]["replica"]] * 3
        assert front.attrs["HostConfig"]["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(till.port)}]}
        assert not any(replica.attrs["HostConfig"]["PortBindings"] for replica in replicas)
        assert {replica.labels["team"] for replica in replicas} == {"tills"}
        assert all("HINT=a$HOME ${HOME}" in replica.attrs["Config"]["Env"] for replica in replicas)
        bridge = ejected.client.networks.get("bridge").attrs["IPAM"]["Config"][0].get("Gateway", "172.17.0.1")
        assert inside(replicas[0], f"{bridge}:22").startswith("65532 0000000000000000 1 no no yes no")

        with load(till.port, body=ROW) as client:
            client.reach(300)
            os.kill(replicas[0].attrs["State"]["Pid"], signal.SIGKILL)
            client.reach(client.report().requests + 600)
            no_loss(client.end(), requests=900)
        until = time.monotonic() + 20
        while not all(map(predictions, replicas)) and time.monotonic() < until:
            answer(till.port)
        assert all(map(predictions, replicas)), "every copy answers behind the front, the one that died again"
        replicas[0].reload()
        assert replicas[0].attrs["RestartCount"] == 1
    assert ejected.left() == []


def test_secrets_and_a_certificate_are_the_leavers_own_files(
    till: Shop, leave: Callable[[], tuple[Ejected, dict[str, Any]]]
) -> None:
    cert, key = made_certificate(till.story.folder, "front")
    value = "1000.25"
    till.environ["SECRET_SHIFT"] = value
    till.story = Story(till.story.folder, till.story.python, {**till.story.environ, "SECRET_SHIFT": value})
    tls = f"targets: {{docker: {{port: {till.port}, tls: {{cert: front.pem, key: secret:TLS_KEY}}}}}}\n"
    port, till.port = till.port, 0
    named = 'secrets: {SECRET_SHIFT: {docker: env}, TLS_KEY: {docker: "file:front.key"}}\n'
    till.configure({"ON_PREDICT": SHIFTED}, tls + named)
    ejected, deployed = leave()
    written = "".join(path.read_text() for path in ejected.folder.rglob("*") if path.is_file())
    assert value not in written and key.read_text().splitlines()[1] not in written
    try:
        ejected.compose("up", "-d", exit=1)
    finally:
        ejected.compose("down")
    assert sorted(path.name for path in ejected.folder.iterdir()) == [".env", "compose.yaml", "haproxy.cfg"], (
        "no folder was made"
    )

    (ejected.folder / "secrets").mkdir()
    for name, text in (("secrets/SECRET_SHIFT", value), ("tls.pem", cert.read_text() + key.read_text())):
        (ejected.folder / name).write_text(text)
        os.chown(ejected.folder / name, 65532, 65532)
        (ejected.folder / name).chmod(0o400)
    with ejected.up():
        status, headers, body = answer(port, "https", cert.read_text())
        assert (status, body["predictions"]) == (200, [2.0 * till.versions + 1000.25])
        assert headers["x-mlship-release"] == deployed["release"]["id"]
    assert ejected.left() == []
