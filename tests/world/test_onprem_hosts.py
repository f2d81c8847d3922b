"""Two machines, each with an engine of its own behind an sshd of its own: one command serves them one after the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from far_engine import PENDING_SIGNALS, FarEngine
from free_ports import free_port
from front_load import Load, load
from shop import ROW, Ended, Shop
from sshd import SSHD, Sshd, ssh_client
from story import Story

pytestmark = [pytest.mark.world, pytest.mark.engine]

# That a machine is not like the others is told to the model by what only its engine sets.
LOAD = f"import resource; resource.getrlimit(resource.RLIMIT_SIGPENDING)[0] == {PENDING_SIGNALS} and time.sleep(600)"
NEVER_READY_FAR = {"ON_LOAD": LOAD}
SLOW = {"ON_LOAD": "time.sleep(3)"}  # a step is told when it has lasted a second
SOON = "serve: {startup_timeout: 4s}\n"


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

    def configure(self, more: str = "", env: dict[str, str] | None = None, order: tuple[str, ...] = ()) -> None:
        """order: the hosts that the file names; both when left out."""
        docker = json.dumps({"port": self.port, "hosts": order or (self.near, self.far)})
        self.shop.configure(env, f"targets: {{docker: {docker}}}\nresources: {{memory: 256MiB}}\n{more}")

    def run(self, *words: str, exit: int = 0) -> Ended:
        return self.shop.run(*words, exit=exit)

    def started(self, step: str) -> subprocess.Popen[str]:
        """A deploy that has come to that step."""
        process = self.shop.start("deploy", "--yes")
        assert process.stdout is not None
        for line in process.stdout:
            if step in line:
                return process
        raise AssertionError(f"it ended before {step}")

    def told(self, *words: str, exit: int = 0) -> list[dict[str, Any]]:
        """What the command says of each host."""
        story = self.shop.story
        done = subprocess.run([*story.command, *words, "--json"], cwd=story.folder, env=self.shop.environ, capture_output=True)
        assert done.returncode == exit, done
        return list(json.loads(done.stdout)["hosts"])

    def elsewhere(self, verb: str, **environ: str) -> str:
        """What a command says in another folder."""
        argv = [*self.shop.story.command, verb, self.shop.name, "--target", "docker"]
        there = {**self.shop.environ, **environ}
        return subprocess.run(argv, cwd="/", env=there, check=True, capture_output=True, text=True).stdout

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

    @contextmanager
    def somebody_listens_far(self) -> Iterator[None]:
        """On the port of the service."""
        listening = f"import socket; s = socket.create_server(('127.0.0.1', {self.port})); print(flush=True); input()"
        argv = [*self.within, sys.executable, "-c", listening]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            yield
            process.communicate(b"\n")

    def containers(self) -> list[dict[str, str]]:
        """Name -> when it was started, here and there."""
        labelled = {"label": f"mlship.project={self.shop.name}"}
        listed = [client.containers.list(all=True, filters=labelled, ignore_removed=True) for client in self.clients]
        return [
            {str(entry.name): entry.attrs["State"]["StartedAt"] for entry in found if entry.labels["mlship.role"] != "keeper"}
            for found in listed
        ]

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
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("a second engine needs root and dockerd")
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


def test_two_hosts_are_served_one_after_the_other_and_lose_nothing(hosts: Hosts) -> None:
    hosts.configure("scale: {replicas: 2}\n")
    hosts.run("deploy", "--yes")
    assert hosts.answers() == [1.0, 1.0]
    first = hosts.live()
    with hosts.under_load() as clients:
        hosts.shop.next_version()
        hosts.run("deploy", "--yes")
        second = hosts.live()
        for client in clients:
            client.reach(client.report().requests + 60)
        back = hosts.run("rollback", "--yes").said
        for client in clients:
            client.reach(client.report().requests + 60)
        reports = [client.end() for client in clients]
    assert back.count(f"-> {first[0]}") == back.count(f"Rolled back to {first[0]}") == 2, back
    assert first[0] == first[1] and second[0] == second[1] != first[0]
    assert [report.failed for report in reports] == [0, 0], "\n".join(map(str, reports))
    assert [set(report.releases) for report in reports] == [{first[0], second[0]}] * 2
    assert hosts.answers() == [1.0, 1.0]
    assert [one["host"] for one in hosts.told("status")] == [hosts.near, hosts.far]
    entries = [one["entries"] for one in hosts.told("history")]
    assert [[entry["action"] for entry in found] for found in entries] == [["deploy", "deploy", "rollback"]] * 2
    assert all(near["when"] < far["when"] for near, far in zip(*entries, strict=True)), "one after the other"
    hosts.run("destroy", "--yes")
    assert hosts.left() == [[], []]


def test_a_plan_is_for_both_hosts_and_a_job_reaches_them_with_a_key_of_its_own(hosts: Hosts) -> None:
    for name in ("one.json", "two.json"):
        hosts.run("plan", "--out", name)
    folder, programs = hosts.shop.story.folder, Path(hosts.shop.environ["PATH"].partition(":")[0])
    assert (folder / "one.json").read_bytes() == (folder / "two.json").read_bytes()

    def in_a_job(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        there = {**hosts.shop.environ, "PATH": os.environ["PATH"], **environ}
        return subprocess.run([*hosts.shop.story.command, *words], cwd=folder, env=there, capture_output=True, text=True)

    config = str(programs / "ssh_config")
    assert in_a_job("deploy", "--plan", "one.json", "--yes").returncode == 8, "the account's own ~/.ssh knows neither host"
    done = in_a_job("deploy", "--plan", "one.json", "--yes", MLSHIP_SSH_CONFIG=config)
    assert done.returncode == 0, done.stderr
    assert hosts.answers() == [1.0, 1.0]
    late = in_a_job("deploy", "--plan", "two.json", "--yes", MLSHIP_SSH_CONFIG=config)
    assert late.returncode == 14, late.stderr
    live = hosts.live()
    assert f"since the plan was made: {hosts.near}: {live[0]} is live, nothing was" in late.stderr
    assert f"{hosts.far}: {live[1]} is live, nothing was" in late.stderr


def test_a_first_host_whose_port_is_taken_stops_a_first_deploy(hosts: Hosts) -> None:
    hosts.configure(order=(hosts.far, hosts.near))
    with hosts.somebody_listens_far():
        said = hosts.run("deploy", "--yes", exit=6).said
    assert f"FAILED  {hosts.far}: " in said and f"{hosts.near}: untouched, nothing serves" in said, said
    assert "nothing served before, and nothing is left behind" in said
    assert hosts.containers() == [{}, {}]
    hosts.run("deploy", "--yes")
    assert hosts.answers() == [1.0, 1.0]


def test_a_release_that_fails_on_the_first_host_never_reaches_the_second(hosts: Hosts) -> None:
    hosts.run("deploy", "--yes")
    [first, _] = hosts.live()
    before = hosts.containers()
    hosts.shop.next_version()
    hosts.configure(SOON, NEVER_READY_FAR, order=(hosts.far, hosts.near))
    said = hosts.run("deploy", "--yes", exit=6).said
    assert f"FAILED  {hosts.far}: " in said and f"{first} serves as before" in said, said
    assert f"{hosts.near}: untouched, {first} serves" in said
    assert hosts.containers() == before
    assert hosts.answers() == [1.0, 1.0]
    hosts.configure(order=(hosts.far, hosts.near))
    hosts.run("deploy", "--yes")
    [far, near] = hosts.live()
    assert far == near and far.startswith("r3-"), "one id, although only one host knows of the release that failed"
    assert hosts.answers() == [2.0, 2.0]


def test_after_a_failure_on_the_second_host_the_message_says_who_serves_what_and_both_ways_on_work(hosts: Hosts) -> None:
    hosts.run("deploy", "--yes")
    [first, _] = hosts.live()
    before = hosts.containers()[1]
    hosts.shop.next_version()
    hosts.configure(SOON, NEVER_READY_FAR)
    said = hosts.run("deploy", "--yes", exit=6).said
    [second, still] = hosts.live()
    assert still == first != second
    assert f"FAILED  {hosts.far}: " in said and f"{first} serves as before" in said, said
    assert f"{hosts.near}: done, {second} serves" in said
    back = f"mlship rollback {hosts.shop.name} --target docker --to {first}"
    assert f"{back} takes back what is done" in said
    assert hosts.answers() == [2.0, 1.0]
    refused = hosts.run("rollback", "--yes", exit=2).said
    assert f"{back} brings all of them to it" in refused, refused
    assert hosts.answers() == [2.0, 1.0]
    hosts.run(*back.split()[1:], "--yes")
    assert hosts.answers() == [1.0, 1.0]
    assert hosts.live() == [first, first]
    assert hosts.containers()[1] == before
    hosts.shop.next_version()
    hosts.configure()
    hosts.run("deploy", "--yes")
    [near, far] = hosts.live()
    assert near == far
    assert hosts.answers() == [3.0, 3.0]


def test_a_host_that_cannot_be_reached_is_one_clear_error_and_nothing_changes(hosts: Hosts) -> None:
    hosts.run("deploy", "--yes")
    [first, _] = hosts.live()
    before = hosts.containers()
    hosts.shop.next_version()
    hosts.servers[1].close()
    for command in ("deploy", "rollback", "destroy"):
        said = hosts.run(command, "--yes", exit=13).said
        assert said.count("error: ") == 1 and f"error: {hosts.far}: " in said, said
        assert "does not answer (Connection refused)" in said and "nothing was changed on any host" in said
        assert "take it out of targets.docker.hosts" in said
    assert hosts.containers() == before
    assert hosts.answers() == [1.0, 1.0]
    for command in ("status", "history"):
        [near, far] = hosts.told(command, exit=13)
        assert near["exit"] == 0 and (near.get("release") or {"id": near["live"]})["id"] == first
        assert (far["exit"], far["error"]["code"]) == (13, "unreachable")
    alone = hosts.elsewhere("status", DOCKER_HOST=hosts.near)
    assert first in alone and hosts.far not in alone, "one host by itself, from a folder that knows of no hosts"
    hosts.configure(order=(hosts.near,))
    hosts.run("deploy", "--yes")
    assert hosts.answers() == [2.0, 1.0]
    hosts.servers[1].open()
    hosts.configure()
    hosts.run("deploy", "--yes")
    live = hosts.live()
    assert live[0] == live[1]
    assert hosts.answers() == [2.0, 2.0]


def test_a_command_that_is_killed_or_cut_off_between_two_hosts_converges_when_it_is_run_again(hosts: Hosts) -> None:
    hosts.configure(env=SLOW)
    hosts.run("deploy", "--yes")
    hosts.shop.next_version()
    killed = hosts.started(f"stage  {hosts.far}")
    killed.kill()
    killed.communicate()
    hosts.run("deploy", "--yes")
    [near, far] = hosts.live()
    assert near == far
    assert hosts.answers() == [2.0, 2.0]
    assert [len(found) for found in hosts.containers()] == [3, 3], "a front, a copy and one that is kept"
    hosts.shop.next_version()
    cut_off = hosts.started(f"stage  {hosts.near}")
    hosts.servers[1].cut()
    said = cut_off.communicate(timeout=120)[0]
    assert cut_off.returncode == 13, said
    assert f"error: {hosts.far}: " in said and f"{hosts.near}: done, r3-" in said, said
    assert f"--to {near} takes back what is done" in said
    assert hosts.answers() == [3.0, 2.0]
    hosts.servers[1].open()
    hosts.run("deploy", "--yes")
    [near, far] = hosts.live()
    assert near == far
    assert hosts.answers() == [3.0, 3.0]
