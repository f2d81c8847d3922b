"""The Dockerfile really builds, and what runs in the image is what was locked."""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path

from pytest import fixture, mark

from mlship.home import Home
from mlship.image.docker_context import build_with_docker
from mlship.image.dockerfile import DockerPlan
from mlship.image.packages.environment import TrainingEnvironment
from mlship.image.packages.indexes import find_indexes
from mlship.image.packages.requirements_files import requirements_of
from mlship.image.packages.resolve import lock
from mlship.image.plan import CODE, ImageConfig, LayerFile, LayerPlan, entrypoint
from mlship.image.system.apt import machine_archive
from mlship.image.system.base import base_plan, base_tree, glibc
from mlship.image.workplace import Workplace
from mlship.progress import Silent
from mlship.runner import LocalRunner

pytestmark = [mark.world, mark.engine]

PROGRAM = (
    b"import os, numpy, docopt; print(numpy.__version__, os.getuid(), os.environ['ODD'], os.path.exists('/mnt/packages'))\n"
)
ODD = "a\"$(touch /x) ${HOME} \\ b'c"


@fixture
def built(engine, tmp_path):
    """An image of numpy and a source-only package. A home of its own, but the machine's package cache."""
    runner, home = LocalRunner(), Home.from_environment(os.environ)
    workplace = Workplace(home, runner, Silent(), os.environ)
    base = base_plan(workplace, machine_archive(runner), "3.11")
    with base_tree(workplace, base, machine_archive(runner)) as tree, tarfile.open(tmp_path / "base.tar", "w") as tar:
        tar.add(tree, arcname=".")
    (tmp_path / "requirements.txt").write_text("docopt==0.6.2\n")
    indexes = find_indexes(os.environ, tmp_path)
    found = TrainingEnvironment("requirements.txt", "3.11", file=tmp_path / "requirements.txt")
    doors = {"platform": base.platform, "glibc": glibc(base), "indexes": indexes, "runner": runner, "home": home,
             "progress": Silent()}  # fmt: skip
    wheels = lock(
        requirements_of(found, (), project_root=tmp_path), python_minor="3.11", python=Path(sys.executable), **doors
    ).wheels
    plan = DockerPlan(
        project="docker-story",
        base=tmp_path / "base.tar",
        suite=base.suite,
        python=base.python,
        wheels=wheels,
        layers=(LayerPlan("code", "code", (LayerFile(f"{CODE}/a name.py", content=PROGRAM),), ""),),
        config=ImageConfig(
            entrypoint=(base.python, f"{CODE}/a name.py"),
            env={**entrypoint(base.python).environ, "ODD": ODD},
            labels={"mlship.project": "docker-story", "team": ODD},
        ),
    )
    image = build_with_docker(plan, environ=os.environ, project_root=tmp_path, **doors)
    yield engine.images.get(image), next(wheel.version for wheel in wheels if wheel.name == "numpy")
    engine.images.remove(image, force=True)


def test_the_image_runs_confined_with_exactly_the_locked_packages(built, engine):
    image, numpy = built
    said = engine.containers.run(image.id, remove=True, read_only=True, cap_drop=["ALL"], network_disabled=True)
    assert said.decode().strip() == f"{numpy} 65532 {ODD} False"
    assert image.labels["team"] == ODD
    assert image.attrs["Config"]["StopSignal"] == "SIGTERM"
    # no secret, no address and no build-time setting stays behind
    assert not [value for value in image.attrs["Config"]["Env"] if value.startswith(("SSL_", "UV_", "PIP_", "PYC_"))]
    history = str(image.history())
    assert "PASSWORD" not in history.upper() and "index-url" not in history
