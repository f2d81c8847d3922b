"""What a project of Google Cloud has already, as `targets.gcp` names it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mlship.targets.base import Deployment
from mlship.targets.gcp.variables import Path, Variable

PROJECT = Variable("Project")


@dataclass(frozen=True)
class Given:
    """Empty: mlship makes it, or the service does without. project: as mlship.yaml says it, else that of the credentials."""

    region: str = ""
    project: str = PROJECT
    service_account: str = ""
    vpc_connector: str = ""
    repository: str = ""
    bucket: str = ""

    @property
    def location(self) -> Path:
        return Path("projects", self.project, "locations", self.region)

    @property
    def connector(self) -> str:
        """Its whole name; empty for none."""
        if not self.vpc_connector or "/" in self.vpc_connector:
            return self.vpc_connector
        return Path("projects", self.project, "locations", self.region, "connectors", self.vpc_connector)


def given(deployment: Deployment) -> Given:
    said = deployment.settings
    return Given(
        region=str(said.get("region") or ""),
        project=str(said["project"]) if said.get("project") else PROJECT,
        service_account=str(said.get("service_account") or ""),
        vpc_connector=str(said.get("vpc_connector") or ""),
        repository=str(said.get("repository") or ""),
        bucket=str(said.get("bucket") or ""),
    )
