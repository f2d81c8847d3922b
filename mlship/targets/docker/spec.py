"""Names, labels and addresses of everything that belongs to one project at an engine. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlship.oci.layout import short

PROJECT, ENVIRONMENT, RELEASE, ROLE, SPEC = "mlship.project", "mlship.env", "mlship.release", "mlship.role", "mlship.spec"
ORIGIN = "mlship.origin"
SUBNET = "mlship.subnet"  # of a network that was made with a named subnet; an engine does not tell that otherwise
Role = Literal["replica", "front", "keeper", "autoscaler"]

USER = "65532:65532"
INNER_PORT = 8080  # of the front and of every replica, inside
DEFAULT_PORT, DEFAULT_HOST = 8080, "127.0.0.1"
LIBRARY = "/opt/mlship/lib"  # image.plan.SERVER and image.front: where our own code lies in every image
STATE = "/state"


@dataclass(frozen=True)
class Scope:
    """One project in one environment; environment is empty when the project has none."""

    project: str
    environment: str = ""

    @property
    def name(self) -> str:
        """`churn`, `churn.prod`: a dot, because project names may hold dashes (`churn-prod` is another project)."""
        return f"{self.project}.{self.environment}" if self.environment else self.project

    @property
    def volume(self) -> str:
        return f"mlship-{self.name}"

    @property
    def network(self) -> str:
        return f"mlship-{self.name}"

    @property
    def front(self) -> str:
        return self.container("front")

    @property
    def next_front(self) -> str:
        """One that takes the place of the front in a moment."""
        return self.container("front-next")

    @property
    def former_front(self) -> str:
        """One that is stopped, until its successor has proved itself."""
        return self.container("front-former")

    @property
    def reading_front(self) -> str:
        """One that only reads the configuration, and ends."""
        return self.container("front-reading")

    @property
    def autoscaler(self) -> str:
        return self.container("autoscaler")

    def container(self, what: str) -> str:
        """what: `front`, `autoscaler`, or a server's name in the front's configuration (`server_name`)."""
        return f"mlship-{self.name}-{what}"

    def keeper(self, unique: str) -> str:
        return self.container(f"{unique}-keeper")

    def labels(self, role: Role) -> dict[str, str]:
        return {**self.object_labels, ROLE: role}

    @property
    def object_labels(self) -> dict[str, str]:
        """Of what has no role: volumes and networks."""
        return {PROJECT: self.project, ENVIRONMENT: self.environment}

    def owns(self, labels: Mapping[str, str]) -> bool:
        """Whether a container is ours: the role tells it from one that somebody started by hand from our image,

        which carries the image's own labels.
        """
        return self.owns_object(labels) and ROLE in labels

    def owns_object(self, labels: Mapping[str, str]) -> bool:
        return labels.get(PROJECT) == self.project and labels.get(ENVIRONMENT) == self.environment


@dataclass(frozen=True)
class Address:
    """Where a service is published on the engine's host."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT

    @property
    def reachable(self) -> str:
        """The host to connect to from the same machine."""
        return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 -- compared

    @property
    def url(self) -> str:
        return self.url_of("http")

    def url_of(self, scheme: str) -> str:
        host = f"[{self.reachable}]" if ":" in self.reachable else self.reachable
        return f"{scheme}://{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def address(settings: Mapping[str, Any], otherwise: Address | None = None) -> Address:
    """From the target's settings; without a YAML they are empty, and where the service is now counts."""
    present = otherwise or Address()
    return Address(settings.get("host", present.host), settings.get("port", present.port))


def server_name(release: str, number: int) -> str:
    """`r12-c41e07-3`: a replica, in the front's configuration and at the end of its container's name."""
    return f"{release}-{number}"


def release_of(server: str) -> str:
    return server.rpartition("-")[0]


def number_of(server: str) -> int:
    """From a server's or a container's name; 0 where it has none."""
    number = server.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def sequence_of(release: str) -> int:
    number = release.removeprefix("r").partition("-")[0]
    return int(number) if number.isdecimal() else 0


def image_tag(project: str, content: str) -> str:
    """`mlship/churn:c41e07f2a9b3`."""
    return f"mlship/{project}:{short(content)}"


def spec_of(body: Mapping[str, Any]) -> str:
    """Which specification a container was made from. Labels of the user do not count: they change in place."""
    return str(body["Labels"][SPEC])


def origin_of(labels: Mapping[str, str]) -> Any:
    """The process that a keeper was made by, as holder.py tells it; None where the label is missing or nonsense."""
    try:
        return json.loads(labels.get(ORIGIN, ""))
    except ValueError:
        return None
