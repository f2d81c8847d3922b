"""Two machines, each with an engine of its own behind an sshd of its own: one command serves them one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from far_engine import PENDING_SIGNALS, FarEngine
from front_load import Load, load
from shop import ROW, Ended, Shop
from sshd import SSHD, Sshd, ssh_client
from story import Story, free_port

pytestmark = [pytest.mark.world, pytest.mark.engine]

NEVER_READY_ON_THE_FAR_ONE = (
    f"import resource; resource.getrlimit(resource.RLIMIT_SIGPENDING)[0] == {PENDING_SIGNALS} and time.sleep(600)"
)


class Hosts:
    """near: the engine of the stories. far: one that only these stories have. Both publish the same port on their loopback."""

    def __init__(self, shop: Shop, clients: tuple[Any, Any], servers: tuple[Sshd, Sshd], within: tuple[str, ...]) -> None:
        self.shop = shop
        self.clients = clients
        self.servers = servers
        self.near, self.far = (server.host for server in servers)
        self.within = within
        self.port = free_port()
        self.configure()

    def configure(self, more: str = "", env: dict[str, str] | None = None, hosts: tuple[str, ...] = ()) -> None:
        docker = json.dumps({"port": self.port, "hosts": hosts or (self.near, self.far)})
        self.shop.configure(env, f"targets: {{docker: {docker}}}\nscale: {{replicas: 2}}\n{more}")

    def run(self, *words: str, exit: int = 0) -> Ended:
        return self.shop.run(*words, exit=exit)

    def told(self, *words: str, exit: int = 0) -> list[dict[str, Any]]:
        """What the command says of each host."""
        done = self.shop.start(*words, "--json", stderr=subprocess.DEVNULL)
        said = done.communicate(timeout=120)[0]
        assert done.returncode == exit, said
        return list(json.loads(said)["hosts"])

    def live(self) -> list[str]:
        return [one["release"]["id"] for one in self.told("status")]

    def answers(self) -> list[float]:
        """What one piece costs, here and there."""
        return [self._asked(()), self._asked(self.within)]

    def _asked(self, within: tuple[str, ...]) -> float:
        asking = (
            "import sys, urllib.request as r\n"
            "q = r.Request(f'http://127.0.0.1:{sys.argv[1]}/predict', sys.argv[2].encode(), {'Content-Type': 'application/json'})\n"
            "print(r.urlopen(q, timeout=10).read().decode())"
        )
        argv = [*within, sys.executable, "-c", asking, str(self.port), '{"instances": [{"pieces": 1}]}']
        return float(json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)["predictions"][0])

    @contextmanager
    def under_load(self) -> Iterator[tuple[Load, Load]]:
        body = ROW.decode()
        with load(self.port, rate=60, body=body) as near, load(self.port, rate=60, body=body, within=self.within) as far:
            yield near, far

    def left(self) -> list[list[str]]:
        """Containers, volumes, networks and images of the project, here and there."""
        labelled = {"label": f"mlship.project={self.shop.name}"}
        found = []
        for client in self.clients:
            containers = client.containers.list(all=True, filters=labelled, ignore_removed=True)
            others = [*client.volumes.list(filters=labelled), *client.networks.list(filters=labelled)]
            images = [str(entry.tags) for entry in client.images.list(filters=labelled)]
            found.append(sorted([str(entry.name) for entry in [*containers, *others]] + images))
        return found


@pytest.fixture(scope="module")
def far_engine(engine: Any) -> Iterator[FarEngine]:
    if os.geteuid() != 0:
        pytest.skip("a second engine needs root")
    made = FarEngine()
    yield made
    made.close()


@pytest.fixture
def hosts(engine: Any, far_engine: FarEngine, bare_environment: Path, story_home: Path, tmp_path: Path) -> Iterator[Hosts]:
    if not SSHD.exists():
        pytest.skip("no sshd: apt-get install openssh-server openssh-client")
    folders = [tmp_path / name for name in ("shop", "near", "far")]
    for folder in folders:
        folder.mkdir()
    servers = Sshd(folders[1]), Sshd(folders[2], far_engine.socket)
    programs = tmp_path / "bin"
    ssh_client(programs, [folder / "mine" for folder in folders[1:]], [folder / "known_hosts" for folder in folders[1:]])
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home)}
    environ = {**environ, "PATH": f"{programs}:{os.environ['PATH']}", "DOCKER_HOST": "unix:///nowhere"}
    shop = Shop(Story(folders[0], bare_environment / "bin" / "python", environ), f"hosts-{os.getpid()}", "docker")
    made = Hosts(shop, (engine, far_engine.client), servers, far_engine.within)
    yield made
    made.configure()
    made.run("destroy", "--yes")
    assert made.left() == [[], []]
    for server in servers:
        server.close()


def test_two_hosts_are_served_one_after_the_other(hosts: Hosts) -> None:
    began = time.monotonic()
    said = hosts.run("deploy", "--yes").said
    print(said, time.monotonic() - began)
    assert hosts.answers() == [1.0, 1.0]
    hosts.shop.next_version()
    with hosts.under_load() as clients:
        print(hosts.run("deploy", "--yes").said)
        reports = [client.end() for client in clients]
    assert [report.failed for report in reports] == [0, 0], list(map(str, reports))
    assert hosts.answers() == [2.0, 2.0]
    print(hosts.run("status").said)
    print(hosts.run("history").said)
    print(hosts.run("rollback", "--yes").said)
    assert hosts.answers() == [1.0, 1.0]
    print(hosts.run("destroy", "--yes").said)
    assert hosts.left() == [[], []]
