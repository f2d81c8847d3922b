"""A small service on the target `local`, made of the stand-in server: what several test modules share."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.runner import Command, LocalRunner
from mlship.targets.base import Deployment
from mlship.targets.local.preflight import MACHINES
from mlship.targets.local.processes import HOLDER_MARK, SERVER_MARK, marked
from mlship.targets.local.rootfs import ImageFacts
from mlship.targets.local.target import LocalTarget

STANDIN = Path(__file__).with_name("local_standin.py")


class ScriptRootfs:
    """Implements targets.local.rootfs.Rootfs: every content is there and runs the stand-in."""

    def __init__(self, home: Home, missing: frozenset[str] = frozenset()) -> None:
        self._folder = home.local / "rootfs"
        self.missing = missing
        self.facts = ImageFacts(MACHINES[platform.machine()], 1000)

    def has(self, content: str) -> bool:
        return (self._folder / content.removeprefix("sha256:")).is_dir()

    def find(self, content: str) -> ImageFacts | None:
        return None if content in self.missing else self.facts

    def prepare(self, content: str) -> None:
        if content in self.missing:
            raise MlshipError(f"the image {content[:19]} is not on this machine", fix="mlship build")
        (self._folder / content.removeprefix("sha256:")).mkdir(parents=True, exist_ok=True)

    def command(self, content: str, environ: Mapping[str, str]) -> Command:
        return Command((sys.executable, "-I", "-S", str(STANDIN)), environ=environ)

    def collect(self, used: Callable[[], frozenset[str]]) -> tuple[str, ...]:
        kept = {content.removeprefix("sha256:") for content in used()}
        gone = [path for path in self._folder.iterdir() if path.name not in kept] if self._folder.is_dir() else []
        for path in gone:
            path.rmdir()
        if not kept and self._folder.is_dir():
            self._folder.rmdir()
        return tuple(path.name for path in gone)


class LocalService:
    """Implements contract.Harness."""

    def __init__(self, root: Path, project: str = "churn", environment: str = "", **settings: Any) -> None:
        self.home = Home(root.resolve() / "home")
        self.project, self.environment, self.settings = project, environment, settings
        self.rootfs = ScriptRootfs(self.home)

    @property
    def folder(self) -> Path:
        return self.home.local / self.project / (self.environment or "default")

    def open(self) -> LocalTarget:
        return LocalTarget(self.project, self.environment, self.home, LocalRunner(), self.settings, self.rootfs)

    def deployment(self, version: int, broken: str = "", **env: str) -> Deployment:
        served = Served(
            f"sha256:{version:064x}",
            (ServedModel(self.project, f"{version:064x}"),),
            env={"VERSION": str(version), **({"BROKEN": broken} if broken else {}), **env},
            resources={"cpu": 1000, "memory": 2**30},
        )
        proof = Proof(({"age": 30},), {"predictions": [version]}, {"rtol": 1e-6, "atol": 1e-9})
        release = Release(0, served, 0.0, image=served.content, proofs={self.project: proof})
        operating = {"labels": {}, "settings": self.settings}
        return Deployment(
            self.project, self.environment, "local", "process", release, self.settings, operating, startup_timeout_s=10.0
        )

    def left(self) -> list[str]:
        files = [str(path) for path in self.home.local.rglob("*")] if self.home.local.is_dir() else []
        return [*files, *map(str, self.processes())]

    def processes(self) -> list[int]:
        return marked(str(self.folder), (SERVER_MARK, HOLDER_MARK))

    def servers(self) -> list[int]:
        return marked(str(self.folder))
