"""doctor: can this machine build and deploy? One file a check, each with a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mlship.config.load import find_file
from mlship.config.project import Project
from mlship.errors import Finding, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.doctor import archive, disk_space, engine, home_folder, machine, packages, python, training, uv
from mlship.flows.doctor.ground import Ground
from mlship.flows.opening import project_of
from mlship.flows.results import Diagnosis

Check = Callable[[Ground], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    python.check,
    machine.check,
    home_folder.check,
    disk_space.check,
    uv.check,
    packages.check,
    archive.check,
    training.check,
    engine.check,
)


def doctor(context: Context, where: Where, *, python: str = "") -> Diagnosis:
    """One finding or more a check; `code` is the check's name. severity note: fine; error: `build` cannot work here.

    Works with and without a mlship.yaml. Reaches the package archive, the package index and the engine; changes nothing but
    caches.
    """
    project, findings = _project(context, where)
    ground = Ground(context, project, project.root if project else context.cwd, python)
    for check in CHECKS:
        context.progress.step("doctor", check.__module__.rpartition(".")[2].replace("_", " "))
        findings += check(ground)
    return Diagnosis(tuple(findings))


def _project(context: Context, where: Where) -> tuple[Project | None, list[Finding]]:
    if where.file is None and _no_file(context.cwd):
        return None, []
    try:
        return project_of(context, where), []
    except MlshipError as error:
        return None, [Finding(error.what, error.where, "mlship check says what is wrong", "warning", "mlship.yaml")]


def _no_file(folder: Path) -> bool:
    try:
        find_file(folder)
    except MlshipError:
        return True
    return False
