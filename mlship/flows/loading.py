"""The project that a command means, from its mlship.yaml."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlship.config.load import find_file, load_project
from mlship.config.names import check_region
from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.context import Context, Where

# Variables of botocore, of gcloud (properties run/region and compute/region) and of az (defaults.location).
REGION_VARIABLES = {
    "aws": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "gcp": ("CLOUDSDK_RUN_REGION", "CLOUDSDK_COMPUTE_REGION"),
    "azure": ("AZURE_DEFAULTS_LOCATION",),
}


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
    return in_region(project, where.region) if where.region else project


def region_here(context: Context, target: str) -> str:
    """What the environment says to the cloud's own tools; empty where it says nothing. Raises MlshipError for no region."""
    found = next((name for name in REGION_VARIABLES.get(target, ()) if context.environ.get(name)), "")
    return check_region(target, context.environ[found], found) if found else ""


def with_region(context: Context, project: Project) -> Project:
    """For what is deployed: the environment's region, where neither the file nor the command line says one."""
    region = region_here(context, project.target)
    is_said = bool(getattr(getattr(project.targets, project.target, None), "region", None))
    return in_region(project, region) if region and not is_said else project


def in_region(project: Project, region: str) -> Project:
    """The project with the region that the command line says, where its file says none. Raises MlshipError for another one."""
    import msgspec

    settings: Any = getattr(project.targets, project.target, None)
    if not hasattr(settings, "region"):
        raise MlshipError(f"the target {project.target} has no region", fix="leave --region out")
    check_region(project.target, region)
    if settings.region not in (None, region):
        raise MlshipError(
            f"--region is {region}, and targets.{project.target}.region is {settings.region}",
            project.at(f"targets.{project.target}.region"),
            "leave --region out, or write an environment of its own for that region",
            code="other-region",
        )
    targets = msgspec.structs.replace(project.targets, **{project.target: msgspec.structs.replace(settings, region=region)})
    return replace(project, targets=targets)
