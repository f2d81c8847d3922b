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
    network: str = ""
    subnet: str = ""
    reservation: str = ""
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

    @property
    def reserved(self) -> str:
        """The reservation's whole name; empty for none.

        Vertex AI takes no other (google-cloud-aiplatform 2.0, Model.deploy: reservation_affinity_values).
        """
        if not self.reservation or self.reservation.startswith("projects/"):
            return self.reservation
        zone, _, name = self.reservation.partition("/")
        return Path("projects", self.project, "zones", zone, "reservations", name)

    @property
    def subnetwork(self) -> str:
        """Its whole name; empty for none. Without a word of it, the one that is called as its network."""
        name = self.subnet or self.network.rpartition("/")[2]
        if not name or "/" in name:
            return name
        return Path("projects", self.project, "regions", self.region, "subnetworks", name)


def given(deployment: Deployment) -> Given:
    said = deployment.settings
    return Given(
        region=str(said.get("region") or ""),
        project=str(said["project"]) if said.get("project") else PROJECT,
        service_account=str(said.get("service_account") or ""),
        vpc_connector=str(said.get("vpc_connector") or ""),
        network=str(said.get("network") or ""),
        subnet=str(said.get("subnet") or ""),
        reservation=str(said.get("reservation") or ""),
        repository=str(said.get("repository") or ""),
        bucket=str(said.get("bucket") or ""),
    )
