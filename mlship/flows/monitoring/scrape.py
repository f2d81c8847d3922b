"""Where Prometheus finds the copies of a service, and how it gets in. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.command_line import account_of
from mlship.flows.opening import settings_of
from mlship.targets.docker.spec import DEFAULT_HOST, INNER_PORT, Address, Scope

OWN_KEY = "metrics.key"  # beside prometheus.yml, where monitoring.key says nothing
LEAST_WINDOW_S, SCRAPES_IN_WINDOW = 300.0, 4  # a rate needs two scrapes, and one may be lost on either side


@dataclass(frozen=True)
class Discovery:
    """Replicas that the Docker engine of Prometheus' own machine tells. network: which Prometheus must be on, too."""

    project: str
    environment: str
    network: str
    port: int = INNER_PORT

    @property
    def filters(self) -> list[dict[str, object]]:
        return [{"name": "label", "values": [f"mlship.project={self.project}"]}, {"name": "status", "values": ["running"]}]

    @property
    def network_pattern(self) -> str:
        return self.network.replace(".", "[.]")

    @property
    def address(self) -> str:
        return f"${{1}}:{self.port}"


@dataclass(frozen=True)
class Scrape:
    """addresses: `host:port`; none with a discovery. copies: how many answers there should be. key: file, None where none is needed.

    sees_every_copy: False where one address stands before several replicas.
    """

    project: str
    environment: str
    target: str
    scheme: str
    addresses: tuple[str, ...]
    discovery: Discovery | None
    copies: int
    sees_every_copy: bool
    interval_s: float
    key: str | None
    ca: str | None
    region: str = ""
    account: str = ""

    @property
    def job(self) -> str:
        """Project names may hold dashes: the dot keeps `churn-prod` and `churn` in `prod` apart."""
        return f"mlship-{Scope(self.project, self.environment).name}"

    @property
    def labels(self) -> dict[str, str]:
        return {"project": self.project, **({"environment": self.environment} if self.environment else {})}

    @property
    def window_s(self) -> float:
        """What rates are taken over."""
        return max(LEAST_WINDOW_S, SCRAPES_IN_WINDOW * self.interval_s)


def scrape_of(project: Project) -> Scrape:
    """Raises MlshipError where nothing is counted, or nobody says where the service is."""
    if project.env.get("MLSHIP_METRICS") == "0":
        raise MlshipError(
            "nothing is counted: env.MLSHIP_METRICS is 0, and there is no /metrics",
            project.at("env.MLSHIP_METRICS"),
            "delete it",
            code="no-metrics",
        )
    said, settings = project.monitoring, settings_of(project)
    addresses, discovery = (said.addresses, None) if said.addresses else _of_target(project)
    scheme = _scheme(project, discovery)
    return Scrape(
        project=project.name,
        environment=project.environment,
        target=project.target,
        scheme=scheme,
        addresses=tuple(address.rpartition("//")[2] for address in addresses),
        discovery=discovery,
        copies=max(project.scale.replicas.min, 1) if discovery else len(addresses),
        sees_every_copy=discovery is not None or len(addresses) == project.scale.replicas.max,
        interval_s=said.interval.seconds,
        key=(said.key or OWN_KEY) if _needs_key(project) else None,
        ca=said.ca if scheme == "https" else None,
        region=str(settings.get("region") or ""),
        account=account_of(project.target, settings),
    )


def _needs_key(project: Project) -> bool:
    auth = project.serve.auth
    return auth is not None and auth.metrics == "role"


def _scheme(project: Project, discovery: Discovery | None) -> str:
    """Behind the front, replicas speak HTTP."""
    if project.monitoring.addresses:
        return "https" if project.monitoring.addresses[0].startswith("https://") else "http"
    return "https" if project.targets.docker.tls and project.target == "docker" and not discovery else "http"


def _of_target(project: Project) -> tuple[tuple[str, ...], Discovery | None]:
    if project.target == "local":
        return _local(project), None
    if project.target == "docker":
        return _docker(project)
    raise MlshipError(
        f"where Prometheus finds a service on {project.target} is not known",
        project.at("monitoring.addresses"),
        "write monitoring: {addresses: [HOST:PORT]}",
        code="no-address",
    )


def _local(project: Project) -> tuple[str, ...]:
    local = project.targets.local
    if local.port is None:
        raise MlshipError(
            "the port is not known: targets.local.port is left out, and deploy takes the first free one",
            project.at("targets.local.port"),
            "write targets: {local: {port: 8080}}, or monitoring: {addresses: [127.0.0.1:8080]}",
            code="no-address",
        )
    return (_shown(Address(local.host, local.port).reachable, local.port),)


def _docker(project: Project) -> tuple[tuple[str, ...], Discovery | None]:
    """Behind one address the front asks another replica each time: their counters would be read as one that jumps."""
    docker = project.targets.docker
    if project.scale.replicas.max > 1:
        scope = Scope(project.name, project.environment)
        return (), Discovery(project.name, project.environment, scope.network)
    if not docker.hosts:
        return (_shown(Address(docker.host, docker.port).reachable, docker.port),), None
    if _is_loopback(docker.host) and any(_host_of(host) for host in docker.hosts):
        raise MlshipError(
            f"on its hosts the service is published on {docker.host}, where no other machine reaches it",
            project.at("targets.docker.host"),
            "write targets.docker.host: 0.0.0.0, or monitoring.addresses as Prometheus reaches them",
            code="no-address",
        )
    return tuple(_shown(_host_of(host) or DEFAULT_HOST, docker.port) for host in docker.hosts), None


def _host_of(engine: str) -> str:
    """The machine of `ssh://deploy@host` or `tcp://host:2376`; empty for a socket of this one."""
    return urlsplit(engine).hostname or ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
