"""CI systems: where each looks for its pipeline, and what mlship renders it from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlship.errors import MlshipError


@dataclass(frozen=True)
class System:
    """file: from the top of the repository; of a project in a folder below it, `{name}` tells projects apart."""

    name: str
    file: str
    file_of_several: str
    template: str


SYSTEMS: Mapping[str, System] = {
    system.name: system
    for system in (
        System("github", ".github/workflows/mlship.yml", ".github/workflows/mlship-{name}.yml", "ci/github.yml.j2"),
        System("gitlab", ".gitlab-ci.yml", ".gitlab/ci/mlship-{name}.yml", "ci/gitlab.yml.j2"),
        System("azure", "azure-pipelines.yml", "azure-pipelines-{name}.yml", "ci/azure.yml.j2"),
        System("jenkins", "Jenkinsfile", "Jenkinsfile-{name}", "ci/Jenkinsfile.j2"),
    )
}


def system_of(name: str) -> System:
    """Raises MlshipError for a system that mlship writes no pipeline for."""
    if name not in SYSTEMS:
        raise MlshipError(f"there is no pipeline for {name!r}", fix=f"one of: {', '.join(SYSTEMS)}", code="unknown-system")
    return SYSTEMS[name]


def file_of(system: System, project: str, folder: str) -> str:
    """The usual path of a repository's only project, and one that names the project below it."""
    return system.file_of_several.format(name=project) if folder else system.file
