"""What is sent to the engine, as values: names, labels and create bodies. Pure; `render` shows what `apply` sends.

Bodies are the Engine API's own (POST /containers/create, version 1.41).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlship.oci.image import CONTENT_LABEL
from mlship.oci.layout import short
from mlship.targets.base import Deployment

PROJECT, ENVIRONMENT, RELEASE, ROLE, SPEC = "mlship.project", "mlship.env", "mlship.release", "mlship.role", "mlship.spec"
ORIGIN = "mlship.origin"
Role = Literal["replica", "staged", "keeper"]

USER = "65532:65532"
INNER_PORT = 8080
DEFAULT_PORT, DEFAULT_HOST = 8080, "127.0.0.1"
LIBRARY = "/opt/mlship/lib"  # image.plan.SERVER: mlship/server and mlship/keeper inside every image
STATE = "/state"

# Threads count as processes: an array library starts one a core of the host in each worker.
PIDS = 512
PIDS_PER_CORE = 256
# The kernel counts a tmpfs against the memory limit, so this is an upper bound and not a reservation.
TMP_SIZE = "256m"
STOP_MARGIN_S = 8  # beside the request timeout: what a draining server may take before it is killed

DRAIN_MARGIN_S = 5  # of these, what the server itself may take

# What the target decides; a value for it in `env` would make the server listen elsewhere or call itself otherwise.
OWN_VARIABLES = (
    "PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PYTHONPATH", "MLSHIP_MANIFEST", "MLSHIP_RELEASE", "MLSHIP_HOST",
    "MLSHIP_HOLD", "MLSHIP_DRAIN_DELAY_S", "MLSHIP_DRAIN_TIMEOUT_S",
)  # fmt: skip


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

    def container(self, release: str, role: Role = "replica") -> str:
        return f"mlship-{self.name}-{release}" + ("" if role == "replica" else f"-{role}")

    def labels(self, role: Role) -> dict[str, str]:
        return {PROJECT: self.project, ENVIRONMENT: self.environment, ROLE: role}

    def owns(self, labels: Mapping[str, str]) -> bool:
        """Whether a container is ours: the role tells it from one that somebody started by hand from our image,

        which carries the image's own labels.
        """
        return labels.get(PROJECT) == self.project and labels.get(ENVIRONMENT) == self.environment and ROLE in labels

    def owns_volume(self, labels: Mapping[str, str]) -> bool:
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
        host = f"[{self.reachable}]" if ":" in self.reachable else self.reachable
        return f"http://{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def address(settings: Mapping[str, Any], otherwise: Address | None = None) -> Address:
    """From the target's settings; without a YAML they are empty, and where the service is now counts."""
    present = otherwise or Address()
    return Address(settings.get("host", present.host), settings.get("port", present.port))


def image_tag(project: str, content: str) -> str:
    """`mlship/churn:c41e07f2a9b3`."""
    return f"mlship/{project}:{short(content)}"


def replica_body(deployment: Deployment, published: Address) -> dict[str, Any]:
    """The container that serves callers."""
    return _release_body(deployment, "replica", published)


def staged_body(deployment: Deployment) -> dict[str, Any]:
    """The same container at 0 %: nothing is published, and it is not started again when it ends, so that a crash is seen."""
    return _release_body(deployment, "staged", None)


def spec_of(body: Mapping[str, Any]) -> str:
    """Which specification a container was made from. Labels of the user do not count: they change in place."""
    return str(body["Labels"][SPEC])


def keeper_body(scope: Scope, image: str, python: str, origin: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The one-off container that owns the records. image: any image of ours on the engine; python: its interpreter.

    origin: the process that it works for (holder.py); one that was never started because that process was killed is told by it.
    Root inside, because the volume's files are root's, with no capability and no network. It ends with the connection.
    """
    return {
        "Image": image,
        # -S: no site, so that nothing of the user's packages runs here
        "Entrypoint": [python, "-s", "-S", "-P", "-m", "mlship.keeper"],
        "Cmd": ["serve", STATE],
        "User": "0:0",
        "Env": [f"PYTHONPATH={LIBRARY}", "PYTHONDONTWRITEBYTECODE=1"],
        "Labels": {**scope.labels("keeper"), **({ORIGIN: json.dumps(origin, sort_keys=True)} if origin else {})},
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "Tty": False,
        "HostConfig": {
            **_confinement(128 * 2**20, 64),
            "AutoRemove": True,
            "NetworkMode": "none",
            "LogConfig": {"Type": "none", "Config": {}},
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": scope.volume,
                    "Target": STATE,
                    "VolumeOptions": {"Labels": volume_body(scope)["Labels"]},
                }
            ],
        },
    }


def volume_body(scope: Scope) -> dict[str, Any]:
    """POST /volumes/create."""
    return {"Name": scope.volume, "Labels": {PROJECT: scope.project, ENVIRONMENT: scope.environment}}


def _release_body(deployment: Deployment, role: Role, published: Address | None) -> dict[str, Any]:
    scope = Scope(deployment.project, deployment.environment)
    served = deployment.release.served
    cpu, memory = int(served.resources.get("cpu", 1000)), int(served.resources.get("memory", 2 * 2**30))
    inner = f"{INNER_PORT}/tcp"
    body: dict[str, Any] = {
        "Image": image_tag(deployment.project, served.content),
        "User": USER,
        "Env": _environment(deployment),
        "ExposedPorts": {inner: {}},
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "StopTimeout": int(deployment.request_timeout_s) + STOP_MARGIN_S,
        "HostConfig": {
            **_confinement(memory, PIDS + PIDS_PER_CORE * -(-cpu // 1000)),
            "NanoCpus": cpu * 1_000_000,
            "Tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,size={TMP_SIZE},mode=1777"},  # noqa: S108 -- inside the container
            "NetworkMode": "bridge",
            "RestartPolicy": {"Name": "unless-stopped" if role == "replica" else "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            "PortBindings": {inner: [{"HostIp": published.host, "HostPort": str(published.port)}]} if published else {},
        },
    }
    own = {**scope.labels(role), RELEASE: deployment.release.id, CONTENT_LABEL: served.content}
    own[SPEC] = hashlib.sha256(json.dumps([body, own], sort_keys=True).encode()).hexdigest()[:12]
    return {**body, "Labels": dict(sorted({**deployment.labels, **own}.items()))}


def _environment(deployment: Deployment) -> list[str]:
    given = {name: text for name, text in deployment.release.served.env.items() if name not in OWN_VARIABLES}
    own = {
        "PORT": str(INNER_PORT),
        "MLSHIP_RELEASE": deployment.release.id,
        # Nothing before the container has to learn that it goes: each second of delay would be one of the gap.
        "MLSHIP_DRAIN_DELAY_S": "0",
        "MLSHIP_DRAIN_TIMEOUT_S": str(int(deployment.request_timeout_s) + DRAIN_MARGIN_S),
    }
    return [f"{name}={text}" for name, text in sorted({**given, **own}.items())]


def origin_of(labels: Mapping[str, str]) -> Any:
    """The process that a keeper was made by, as holder.py tells it; None where the label is missing or nonsense."""
    try:
        return json.loads(labels.get(ORIGIN, ""))
    except ValueError:
        return None


def _confinement(memory: int, pids: int) -> dict[str, Any]:
    """memory: bytes; as much again of swap is not given."""
    return {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Memory": memory,
        "MemorySwap": memory,
        "PidsLimit": pids,
    }
