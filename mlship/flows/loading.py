"""The project that a command means, from its mlship.yaml."""

from __future__ import annotations

from mlship.config.load import find_file, load_project
from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.context import Context, Where


def project_of(context: Context, where: Where, *, needs_model: bool = True) -> Project:
    """Loads the configuration. Raises MlshipError when there is none, or when it is of another project.

    needs_model: an estimate's file may leave out name and model.
    """
    file = where.file or find_file(context.cwd)
    project = load_project(file, where.environment, where.target, where.text, needs_model=needs_model)
    if where.name and where.name != project.name:
        raise MlshipError(
            f"{file.name} is the project {project.name}, not {where.name}",
            fix=f"leave the name out, or go to the folder of {where.name}",
        )
    return project
