"""build --builder docker: the same parts through a Dockerfile that people can read, and back into the image store."""

from __future__ import annotations

from pathlib import Path

from mlship.disk import scratch_folder
from mlship.errors import Exit, MlshipError
from mlship.flows.base import base_of
from mlship.flows.context import Context
from mlship.flows.gather import Gathered
from mlship.flows.layers import Layers, image_config, server_folder
from mlship.image.docker_context import build_with_docker, docker_with_buildkit
from mlship.image.dockerfile import DockerPlan, folder_plan
from mlship.image.lock import Lock
from mlship.image.plan import SERVER, LayerFile, LayerPlan
from mlship.image.server_sources import server_sources
from mlship.image.system.base import glibc
from mlship.image.workplace import Workplace
from mlship.oci.docker_save import read_saved
from mlship.oci.image import Image
from mlship.runner import Command


def image_by_engine(
    context: Context, workplace: Workplace, gathered: Gathered, lock: Lock, layers: Layers, kept: Path | None = None
) -> Image:
    """Builds with BuildKit from the parts that the daemonless builder made and checked.

    kept: a folder for the Dockerfile and its files, to be read and built again without mlship; it must be empty or new.
    Raises MlshipError, exit 2 or 5.
    """
    if kept is not None and kept.exists() and (not kept.is_dir() or any(kept.iterdir())):
        raise MlshipError(f"{kept} is not an empty folder", fix="name a new one with --context")
    base = base_of(lock, gathered.project.build.packages)
    plan = DockerPlan(
        project=gathered.project.name,
        base=workplace.layout.path(layers.layers[0].blob.digest),
        suite=f"debian {lock.suite}",
        python=base.python,
        wheels=lock.wheels,
        layers=(_server_plan(server_folder(workplace, gathered, lock)), *layers.plans),
        config=image_config(gathered, layers.start),
    )
    built = build_with_docker(
        plan,
        platform=lock.platform,
        glibc=glibc(base),
        indexes=gathered.indexes,
        runner=context.runner,
        home=context.home,
        progress=context.progress,
        environ=context.environ,
        project_root=gathered.project.root,
        kept=kept,
    )
    return _into_store(context, workplace, built, lock.platform, plan)


def _server_plan(wheels: Path) -> LayerPlan:
    packages = folder_plan("server", "server", wheels, SERVER)
    own = tuple(LayerFile(f"/{entry.path}", entry.source) for entry in server_sources() if entry.source)
    return LayerPlan("server", "server", (*packages.files, *own), "")


def _into_store(context: Context, workplace: Workplace, built: str, platform: str, plan: DockerPlan) -> Image:
    """The engine's image as one of this store's, so that everything after the build is the same for both builders."""
    docker = docker_with_buildkit(context.runner, context.environ)
    with scratch_folder(workplace.home.cache) as folder:
        archive = folder / "image.tar"
        context.progress.step("docker", "saving the image")
        saved = context.runner.run(Command((docker, "save", "--output", str(archive), built)))
        if not saved.ok:
            raise MlshipError("docker save failed", fix="mlship doctor", exit=Exit.BUILD_FAILED, details=saved.last_lines())
        names = [("base", plan.suite), ("packages", "packages"), *((layer.role, layer.name) for layer in plan.layers)]
        return read_saved(archive, workplace.layout, platform, names, workplace.compression)
