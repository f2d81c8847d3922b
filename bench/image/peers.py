"""mlship and what people use instead of it, behind the same few steps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

REPOSITORY = "bench/digits"


class Peer(Protocol):
    """Builds the project in its folder, and pushes what it built; every step from nothing but files."""

    name: str
    repository: str

    def cold(self) -> None: ...
    def build(self) -> None: ...
    def push(self, registry: str) -> None: ...
    def size(self) -> int: ...


@dataclass
class Mlship:
    """The command as a user has installed it."""

    project: Path
    home: Path
    name: str = "mlship"
    repository: str = f"{REPOSITORY}-mlship"
    options: tuple[str, ...] = ()

    def cold(self) -> None:
        """Everything is fetched, uv's wheels too, into folders that never were: ext4 is slow to make files where some were just deleted
        (a third of the build's processor time), and a machine that builds for the first time has deleted none."""
        self.home = Path(tempfile.mkdtemp(prefix="home-", dir=self.home.parent))
        self.build()

    def build(self) -> None:
        self._run("build")

    def push(self, registry: str) -> None:
        """Builds and pushes by one command."""
        self._run("build", "--push", f"{registry}/{self.repository}:latest")

    def size(self) -> int:
        return int(json.loads(self._run("build", "--json"))["image"]["size"])

    def _run(self, *words: str) -> str:
        environ = {**os.environ, "MLSHIP_HOME": str(self.home), "UV_CACHE_DIR": str(self.home / "uv")}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        return ran([str(Path(sys.executable).with_name("mlship")), *words, *self.options], self.project, environ)


class ByEngine(ABC):
    """What an engine builds from a Dockerfile."""

    docker: str
    repository: str

    def cold(self) -> None:
        self._build("--no-cache")

    def build(self) -> None:
        self._build()

    def push(self, registry: str) -> None:
        self.build()
        pushed(self.docker, self.repository, registry)

    def size(self) -> int:
        return engine_size(self.docker, self.repository)

    @abstractmethod
    def _build(self, *options: str) -> None: ...


@dataclass
class Docker(ByEngine):
    """A multi-stage Dockerfile with uv, built by BuildKit: its base is there and uv's cache is warm in the cold build."""

    project: Path
    docker: str
    name: str = "multi-stage Docker + uv"
    repository: str = f"{REPOSITORY}-docker"

    def _build(self, *options: str) -> None:
        by_engine(self.docker, self.project, "Dockerfile", self.repository, *options)


@dataclass
class LoadingDocker(ByEngine):
    """The same with the promise that mlship's build keeps: a model that does not load in the image fails the build."""

    project: Path
    docker: str
    name: str = "the same, and it loads the model"
    repository: str = f"{REPOSITORY}-loading"

    def _build(self, *options: str) -> None:
        lines = (self.project / "Dockerfile").read_text()
        load = 'RUN ["/env/bin/python", "-c", "import server"]\n'
        (self.project / "Dockerfile.loading").write_text(lines.replace("EXPOSE", f"{load}EXPOSE"))
        by_engine(self.docker, self.project, "Dockerfile.loading", self.repository, *options)


@dataclass
class Bento(ByEngine):
    """BentoML: `bentoml build`, then the Dockerfile that it generates, built by the same engine."""

    project: Path
    docker: str
    bentoml: str
    home: Path
    name: str = "BentoML"
    repository: str = f"{REPOSITORY}-bento"

    def _build(self, *options: str) -> None:
        environ = {**os.environ, "BENTOML_HOME": str(self.home), "BENTOML_DO_NOT_TRACK": "True"}
        shutil.rmtree(self.home / "bentos", ignore_errors=True)
        ran([self.bentoml, "build", "--version", "bench"], self.project, environ)
        (folder,) = (self.home / "bentos").glob("*/bench")
        generated = folder / "env/docker/Dockerfile"
        # the engine's built-in frontend knows all of it; another frontend would have to be fetched
        kept = [line for line in generated.read_text().splitlines() if not line.startswith("# syntax")]
        generated.write_text("\n".join(kept) + "\n")
        by_engine(self.docker, folder, str(generated), self.repository, *options)


def by_engine(docker: str, folder: Path, dockerfile: str, name: str, *options: str) -> None:
    environ = {**os.environ, "DOCKER_BUILDKIT": "1"}
    ran([docker, "build", "-q", "-f", dockerfile, "-t", name, *options, "."], folder, environ)


def pushed(docker: str, name: str, registry: str) -> None:
    ran([docker, "tag", name, f"{registry}/{name}:latest"], Path("/"), os.environ)
    ran([docker, "push", "-q", f"{registry}/{name}:latest"], Path("/"), os.environ)


def engine_size(docker: str, name: str) -> int:
    return int(ran([docker, "image", "inspect", "-f", "{{.Size}}", name], Path("/"), os.environ))


def ran(argv: Sequence[str], folder: Path, environ: Mapping[str, str]) -> str:
    """What it printed; ends the measurement with all that it said when it failed."""
    done = subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout
