"""A service of stand-in images behind the real front, deployed as the command does it: here, or in a process that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound
from docker_standin import standin_deployment, standin_image
from front_load import Load, Report, load

from mlship.errors import MlshipError
from mlship.flows.operating import deployment_from_operating
from mlship.home import Home
from mlship.image.front import front_image, front_key
from mlship.image.system.apt import machine_archive
from mlship.image.workplace import Workplace
from mlship.progress import Progress, Silent
from mlship.releases.history import History
from mlship.runner import LocalRunner
from mlship.targets.base import Deployment, FrontImage, Observed, Opening
from mlship.targets.docker.target import DockerTarget, open_target
from mlship.targets.facts import Facts, RolledOut, World
from mlship.targets.plan import DeployPlan, plan
from mlship.targets.rollout import abort, promote, roll_out

DRIVER = Path(__file__).with_name("onprem_driver.py")
REPLICAS = 4


@dataclass(frozen=True)
class Wish:
    """What a file would say. rollout: fields of Strategy. settings: of targets.docker besides port and host."""

    version: int
    broken: str = ""
    replicas: int = REPLICAS
    most: int = 0
    keep: int = 5
    startup_timeout_s: float = 30.0
    rollout: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    scale: Mapping[str, Any] = field(default_factory=dict)


class Service:
    """One project at the engine. home: of the machine that commands it; any number of them may."""

    def __init__(self, client: Any, home: Path, project: str, port: int, environment: str = "") -> None:
        self.client = client
        self.home = home
        self.project = project
        self.environment = environment
        self.port = port
        self.opened: list[DockerTarget] = []

    # -- commands ---------------------------------------------------------------------------------------------------------

    def deploy(self, version: int, broken: str = "", **wishes: Any) -> RolledOut:
        return self.carry_out(self.planned(Wish(version, broken, **wishes)))

    def roll_back(self) -> RolledOut:
        observed = self.observe()
        assert observed.history is not None
        release = observed.history.rollback_candidate()
        assert release is not None and release.id in observed.restorable
        history = observed.history
        wanted = deployment_from_operating(self.project, self.environment, "docker", release, history.operating, None)
        return self.carry_out((self.open(), plan("rollback", wanted, observed)))

    def promote(self, full: bool = False) -> RolledOut:
        with closing(self.open()) as target:
            return promote(target, FACTS, WORLD, full=full)

    def abort(self, reason: str = "the story says so") -> RolledOut:
        with closing(self.open()) as target:
            return abort(target, FACTS, WORLD, reason)

    def planned(self, wish: Wish) -> tuple[DockerTarget, DeployPlan]:
        target = self.open()
        return target, self.plan(target, self.wanted(wish, target.observe()))

    def plan(self, target: DockerTarget, wanted: Deployment) -> DeployPlan:
        return plan("deploy", wanted, target.observe())

    def carry_out(self, planned: tuple[DockerTarget, DeployPlan], progress: Progress | None = None) -> RolledOut:
        target, decided = planned
        with closing(target):
            if decided.is_empty:
                history = target.observe().history
                assert history is not None
                return RolledOut(history, None)
            return roll_out(target, decided, FACTS, World(time.time, time.sleep, progress or Silent()))

    def wanted(self, wish: Wish, observed: Observed) -> Deployment:
        """As flows/plan makes it from a file: what is under way or live when it is the same content, else a new release."""
        content = standin_image(self.client, self.project, wish.version, wish.broken)
        first = standin_deployment(self.project, content, wish.version, self.port)
        operating = {
            "service": "haproxy",
            "settings": {"port": self.port, "host": "127.0.0.1", **wish.settings},
            "labels": {},
            "replicas": {"min": wish.replicas, "max": wish.most or wish.replicas},
            "startup_timeout_s": wish.startup_timeout_s,
            "request_timeout_s": 2.0,
            "keep": wish.keep,
            **({"rollout": dict(wish.rollout)} if wish.rollout else {}),
            **({"scale": dict(wish.scale)} if wish.scale else {}),
        }
        history = observed.history or History(self.project, self.environment, "docker")
        underway = history.underway.release if history.underway else None
        release = replace(first.release, sequence=history.next_sequence, created=time.time())
        for known in (underway, history.live_release):
            if known is not None and known.served.digest() == release.served.digest():
                release = known
        return deployment_from_operating(self.project, self.environment, "docker", release, operating, None)

    def open(self, home: Path | None = None) -> DockerTarget:
        """A new object, as another command on this or another machine would have.

        Who does not close it, as commands do, leaves its keepers in the front's memory until they have waited for 30 s.
        """
        settings = {"port": self.port, "host": "127.0.0.1"}
        at = Home(home or self.home)
        opening = Opening(
            self.project,
            self.environment,
            at,
            LocalRunner(),
            time.time,
            FACTS.by,
            os.environ,
            settings,
            front=front_of(self.home),
        )
        self.opened.append(open_target(opening))
        return self.opened[-1]

    # -- commands in a process of their own -------------------------------------------------------------------------------

    def command(self, wish: Wish, environ: Mapping[str, str] | None = None) -> Command:
        standin_image(self.client, self.project, wish.version, wish.broken)
        order = {
            "home": str(self.home), "project": self.project, "port": self.port,
            "wish": asdict(wish), "engine": os.environ.get("DOCKER_HOST", ""),
        }  # fmt: skip
        return Command([sys.executable, str(DRIVER), json.dumps(order)], {**os.environ, **(environ or {})})

    def mlship(
        self, *words: str, home: Path | None = None, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The real command, without a file: `rollback`, `status`, `promote`, `abort`, `destroy`, `history`."""
        argv = [sys.executable, "-m", "mlship", words[0], self.project, "--target", "docker", *words[1:]]
        env = {**os.environ, "MLSHIP_HOME": str(home or self.home), **(environ or {})}
        return subprocess.run(argv, capture_output=True, text=True, env=env, cwd=cwd, timeout=300, check=False)

    # -- what is there ----------------------------------------------------------------------------------------------------

    @property
    def labelled(self) -> dict[str, str]:
        return {"label": f"mlship.project={self.project}"}

    def containers(self, role: str = "") -> list[Any]:
        found = self.client.containers.list(all=True, filters=self.labelled, ignore_removed=True)
        return [entry for entry in found if role in ("", entry.labels["mlship.role"])]

    def replicas(self, release: str = "") -> list[Any]:
        """The running ones."""
        running = [entry for entry in self.containers("replica") if entry.status == "running"]
        return sorted(
            (entry for entry in running if release in ("", entry.labels["mlship.release"])), key=lambda e: str(e.name)
        )

    @property
    def front(self) -> Any:
        [front] = self.containers("front")
        return front

    def observe(self) -> Observed:
        with closing(self.open()) as target:
            return target.observe()

    @property
    def history(self) -> History:
        with closing(self.open()) as target:
            history = target.records.read()
        assert history is not None
        return history

    @property
    def state(self) -> Path:
        return Path(self.client.volumes.get(f"mlship-{self.project}").attrs["Mountpoint"])

    def left(self) -> list[str]:
        """Everything of the project that is at the engine, once the one-off containers of ended commands are gone."""
        deadline = time.monotonic() + 10
        while self.containers("keeper") and time.monotonic() < deadline:
            time.sleep(0.1)
        named = [str(entry.name) for entry in self.containers()]
        named += [entry.name for entry in self.client.volumes.list(filters=self.labelled)]
        named += [entry.name for entry in self.client.networks.list(filters=self.labelled)]
        return sorted(named + [str(entry.tags) for entry in self.client.images.list(filters=self.labelled)])

    def exactly(self, release: str, replicas: int = REPLICAS) -> None:
        """That many copies run, all of the release that is live; every other container is one that a kept release needs."""
        history = self.history
        assert history.live == release
        assert history.underway is None
        assert [entry.labels["mlship.release"] for entry in self.replicas()] == [release] * replicas
        kept = {known.id for known in history.releases}
        stopped = [entry for entry in self.containers("replica") if entry.status != "running"]
        unknown = [(entry.name, entry.status) for entry in stopped if entry.labels["mlship.release"] not in kept - {release}]
        assert unknown == [], f"{unknown}: {release} is live; {sorted(kept)} are known"
        assert len(self.containers("front")) == 1

    @contextmanager
    def under_load(self, **wishes: Any) -> Iterator[Load]:
        with load(self.port, **wishes) as client:
            yield client

    def clean(self) -> None:
        """Everything of the project goes, whatever the story left behind."""
        for target in self.opened:
            target.close()
        while found := self.containers():
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(_remove, found))
        for network in self.client.networks.list(filters=self.labelled):
            network.remove()
        for volume in self.client.volumes.list(filters=self.labelled):
            volume.remove(force=True)
        for image in self.client.images.list(filters=self.labelled):
            self.client.images.remove(image.id, force=True)


def _remove(container: Any) -> None:
    """An engine that is about to start a container again while it is removed forgets to take it off its network: it is stopped."""
    with suppress(NotFound, APIError):  # one that is going already
        if container.status == "paused":
            container.unpause()
        container.stop(timeout=0)
        container.remove(force=True)


class Command:
    """The driver at work. What it says is kept; it ends by itself or is killed."""

    def __init__(self, argv: list[str], environ: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(environ))

    def wait_for(self, step: str) -> None:
        """Until it tells that step; `verify live:` is one, too."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(f"{step} "):
                return
        raise AssertionError(f"it ended before {step}: {self.finished()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def finished(self, timeout_s: float = 120.0) -> tuple[int, str]:
        """Exit code, and what it said to people."""
        _, said = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, said

    def succeeds(self) -> None:
        code, said = self.finished()
        assert code == 0, said


FACTS = Facts(by=f"story@test pid {os.getpid()}")
WORLD = World(time.time, time.sleep, Silent())


def front_of(home: Path) -> FrontImage:
    """As flows/opening makes it."""
    runner = LocalRunner()
    workplace = Workplace(Home(home), runner, Silent(), os.environ)
    return FrontImage(
        front_key(), lambda platform: front_image(workplace, lambda: machine_archive(runner, None), platform).content
    )


def no_loss(report: Report, releases: int = 1, requests: int = 600) -> None:
    """Every request of the story was answered, rightly, by so many releases; each release gave one answer only."""
    assert report.failed == 0, str(report)
    assert report.requests >= requests, str(report)
    assert len(report.releases) == releases, str(report)
    assert all(len(answers) == 1 for answers in report.answers.values()), report.answers


def refused(error: MlshipError) -> str:
    return "\n".join((str(error), *error.details))
