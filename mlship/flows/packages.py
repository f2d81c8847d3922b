"""The locked packages of a project, installed for its image's interpreter."""

from __future__ import annotations

from pathlib import Path

from mlship.flows.gather import Gathered
from mlship.image.lock import Lock
from mlship.image.packages.wheels import install
from mlship.image.plan import BasePlan
from mlship.image.system.base import glibc
from mlship.image.workplace import Workplace


def packages_folder(workplace: Workplace, gathered: Gathered, lock: Lock, base: BasePlan) -> Path:
    """A folder as `uv pip install --target` lays it out; installed once per lock."""
    return install(
        lock.wheels,
        python_minor=lock.python,
        platform=lock.platform,
        glibc=glibc(base),
        indexes=gathered.indexes,
        runner=workplace.runner,
        home=workplace.home,
        progress=workplace.progress,
        project_root=gathered.project.root,
        python=gathered.environment.python,
    )
