"""A real base of this machine's archive, built once per run of the tests, and an environment of real wheels on it."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlship.home import Home
from mlship.image import builder
from mlship.image.package_layers import package_layers
from mlship.image.packages import installed_tree
from mlship.image.plan import PACKAGES, BasePlan, ImageConfig, entrypoint
from mlship.image.system import apt, base
from mlship.image.workplace import Workplace
from mlship.oci.image import Image, Layer
from mlship.progress import Silent
from mlship.runner import LocalRunner

PYTHON = "3.11"


@dataclass(frozen=True)
class Base:
    workplace: Workplace
    archive: apt.Archive
    plan: BasePlan
    layer: Layer


def workplace(folder: Path) -> Workplace:
    return Workplace(Home(folder), LocalRunner(), Silent(), os.environ)


@functools.cache
def made_base() -> Base:
    place = workplace(temporary())
    archive = apt.machine_archive(place.runner)
    plan = base.base_plan(place, archive, PYTHON)
    return Base(place, archive, plan, builder.base_layer(place, plan, lambda: archive))


@functools.cache
def wheels() -> Path:
    """numpy, as `uv pip install --target` and normalising leave it."""
    folder = temporary() / "wheels"
    uv = Path(sys.executable).with_name("uv")
    argv = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", folder, "--only-binary", ":all:", "numpy"]
    subprocess.run(argv, check=True)
    installed_tree.normalise(folder)
    return folder


@functools.cache
def made_image() -> Image:
    made = made_base()
    compiler = builder.compiler(made.plan, made.layer)
    assert compiler is not None
    bytecode = builder.Bytecode(compiler, ("numpy",))
    numpy = package_layers(made.workplace, wheels(), PACKAGES, (), inputs="numpy", bytecode=bytecode)
    start = entrypoint(made.plan.python)
    config = ImageConfig(start.argv, env=start.environ, labels={"mlship.project": "world"})
    return builder.write(made.workplace, [made.layer, *numpy], config, made.plan.platform)


def temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="mlship-world-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
