"""Real parts for the stories: shared by every file in this folder."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from shop import Shop
from story import Story

if TYPE_CHECKING:
    from onprem import Service


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A docker-py client of the engine that DOCKER_HOST or the default socket names.

    Without one the story is skipped and says why; with MLSHIP_REQUIRE_ENGINE=1 that is a failure.
    """
    import docker

    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except docker.errors.DockerException as error:
        reason = f"no Docker engine: {error}"
        if os.environ.get("MLSHIP_REQUIRE_ENGINE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    yield client
    client.close()


@pytest.fixture(scope="session")
def front_home(engine: Any, story_home: Path) -> Path:
    """A machine that has made the front's image, so that no story waits for it."""
    from onprem import front_of

    front_of(story_home).make(f"linux/{'arm64' if platform.machine() == 'aarch64' else 'amd64'}")
    return story_home


@pytest.fixture
def onprem(engine: Any, front_home: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    """A service behind a front, with nothing deployed yet; in the end everything of it goes."""
    from free_ports import free_port
    from onprem import Service

    name = f"onprem-{Path(request.node.path).stem.removeprefix('test_onprem_')}-{os.getpid()}"  # others may use the same engine
    made = Service(engine, front_home, name, free_port())
    yield made
    made.clean()


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The virtual environment of a data scientist: it knows nothing of mlship."""
    folder = tmp_path_factory.mktemp("laboratory") / "venv"
    venv.create(folder, with_pip=True, symlinks=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-qq", "scikit-learn", "pandas", "skops"], check=True)
    return folder


@pytest.fixture(scope="session")
def story_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all stories: base and packages are made once."""
    return tmp_path_factory.mktemp("stories") / "mlship"


@pytest.fixture(scope="module")
def own_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that the stories of one file share, for environments of a gigabyte; it goes with the last of them."""
    folder = tmp_path_factory.mktemp(Path(request.node.path).stem)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def own_home(own_folder: Path) -> Path:
    """A cache for these stories alone, instead of story_home: nobody else needs packages of that size."""
    return own_folder / "mlship"


@pytest.fixture
def story(laboratory: Path, story_home: Path, tmp_path: Path) -> Story:
    """An empty project folder, with the laboratory's environment active."""
    folder = tmp_path / "shop"
    folder.mkdir()
    return Story(
        folder, laboratory / "bin" / "python", {**os.environ, "VIRTUAL_ENV": str(laboratory), "MLSHIP_HOME": str(story_home)}
    )


@pytest.fixture(scope="session")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing in it: the shop's model needs no packages."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    return folder


@pytest.fixture
def shop(bare_environment: Path, story_home: Path, tmp_path: Path) -> Iterator[Shop]:
    """A project whose model fails as asked; it is destroyed in the end, and nothing of it may be left."""
    folder = tmp_path / "shop"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home)}
    made = Shop(Story(folder, bare_environment / "bin" / "python", environ))
    yield made
    made.configure()
    made.run("destroy", "--yes")
    assert made.processes() == []
    assert made.left() == []
