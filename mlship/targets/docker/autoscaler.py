"""The autoscaler at the engine: one more container of the front's image, and the document that tells it what it may do.

It alone gets the engine's socket, and only while `scale.replicas` is a range. Callers never depend on it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlship.errors import Finding
from mlship.targets.base import Deployment
from mlship.targets.docker import spec
from mlship.targets.docker.bodies import (
    KEEPER_MEMORY,
    KEEPER_PIDS,
    LOGGING,
    confinement,
    fingerprint,
    keeper_command,
    keeper_environment,
    replica_body,
    state_mount,
    tmpfs,
)
from mlship.targets.docker.engine import Engine, EngineImage
from mlship.targets.docker.records import DockerRecords

SCHEMA = 1
SOCKET_INSIDE = "/run/mlship/engine.sock"  # mlship/keeper/scale_loop.py
USUAL_SOCKET = "/var/run/docker.sock"
STOP_S = 15  # one step: a replica that is being stopped


@dataclass(frozen=True)
class Autoscaling:
    """image: gives the front's image at the engine."""

    engine: Engine
    scope: spec.Scope
    records: DockerRecords
    image: Callable[[], EngineImage]

    def follow(self, deployment: Deployment, secrets: str = "") -> None:
        """Document and container are as the deployment says. secrets: the volume of its release's secrets."""
        if not is_scaled(deployment):
            return self.leave()
        self.records.change({"op": "scale_set", "scale": scale_document(deployment, secrets)})
        image = self.image()
        self._run(autoscaler_body(self.scope, image.id, image.python, engine_socket(self.engine.address, platform.system())))
        return None

    def leave(self) -> None:
        """No container, then no document."""
        present = self.engine.container(self.scope.autoscaler)
        if present is not None and self.scope.owns(present.labels):
            self.records.confirm()
            self.engine.remove(present.id)
            self.records.change({"op": "scale_set", "scale": None})

    def _run(self, body: Mapping[str, Any]) -> None:
        present = self.engine.container(self.scope.autoscaler)
        self.records.confirm()
        if present is not None and present.labels.get(spec.SPEC) != spec.spec_of(body):
            self.engine.remove(present.id)
            present = None
        made = present.id if present is not None else self.engine.create(self.scope.autoscaler, body)
        if present is None or not present.is_running:
            self.engine.start(made)


def is_scaled(deployment: Deployment) -> bool:
    low, high = deployment.replicas
    return low < high


def is_range(operating: Mapping[str, Any]) -> bool:
    """Whether the records say that the number of replicas follows the load."""
    replicas = operating.get("replicas") or {}
    return bool(replicas.get("min", 1) < replicas.get("max", 1))


def scale_document(deployment: Deployment, secrets: str = "") -> dict[str, Any]:
    """/state/scale.json, as mlship/keeper/scale_document.py reads it. secrets: the volume of the release's secrets."""
    scope = spec.Scope(deployment.project, deployment.environment)
    said = deployment.operating.get("scale", {})
    body = replica_body(deployment, secrets=secrets)
    return {
        "schema": SCHEMA,
        "release": deployment.release.id,
        "replicas": {"min": deployment.replicas[0], "max": deployment.replicas[1]},
        "metric": said.get("metric", "concurrency"),
        "per_replica": said.get("per_replica"),
        "down_after_s": said.get("down_after_s", 300.0),
        "startup_timeout_s": deployment.startup_timeout_s,
        "network": scope.network,
        "front": scope.front,
        "prefix": scope.container(""),
        "port": spec.INNER_PORT,
        "body": {name: value for name, value in body.items() if name != "NetworkingConfig"},
    }


def autoscaler_body(scope: spec.Scope, image: str, python: str, socket: str) -> dict[str, Any]:
    """image: of a front, python: its interpreter. socket: the engine's, in the engine's own file system.

    Root inside because the socket and the volume's files are root's, with no capability, no network and nothing published.
    """
    body: dict[str, Any] = {
        "Image": image,
        "Entrypoint": keeper_command(python),
        "Cmd": ["scale", spec.STATE],
        "User": "0:0",
        "Env": keeper_environment(),
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "StopTimeout": STOP_S,
        "HostConfig": {
            **confinement(KEEPER_MEMORY, KEEPER_PIDS),
            "Tmpfs": tmpfs("64m"),
            "NetworkMode": "none",
            "RestartPolicy": {"Name": "unless-stopped"},
            "LogConfig": LOGGING,
            "Mounts": [state_mount(scope), {"Type": "bind", "Source": socket, "Target": SOCKET_INSIDE}],
        },
    }
    return {**body, "Labels": {**scope.labels("autoscaler"), spec.SPEC: fingerprint(body)}}


def engine_socket(address: str, system: str) -> str:
    """Where the engine has its socket in its own file system. system: of this machine, as platform.system() words it.

    A Unix socket on Linux is the engine's own, wherever it lies (rootless engines); one on another system, or of Docker
    Desktop, leads into a virtual machine, and a remote engine is asked by its network.
    """
    path = "/" + address.removeprefix("unix://").lstrip("/")
    is_own = address.startswith("unix://") and system == "Linux" and "/.docker/" not in path
    return path if is_own else USUAL_SOCKET


def notes(deployment: Deployment, memory: int) -> Iterator[Finding]:
    """What a plan says about it. memory: bytes of the engine's machine."""
    if not is_scaled(deployment):
        return
    low, high = deployment.replicas
    scope = spec.Scope(deployment.project, deployment.environment)
    place = deployment.places.get("scale.replicas", "")
    yield Finding(
        f"scale.replicas is {low}..{high}: the container {scope.autoscaler} gets the engine's socket, which is as much as root "
        "on the engine's machine; it publishes nothing and has no network",
        place,
        "a fixed number of replicas needs none",
        "note",
        "autoscaler",
    )
    wanted = int(deployment.release.served.resources.get("memory", 2 * 2**30))
    if high * wanted > memory > 0:
        yield Finding(
            f"the engine's machine has memory for {memory // wanted} replicas of {wanted // 2**20}MiB, not for {high}",
            place,
            f"write {low}..{max(memory // wanted, low)}, or less resources.memory",
            "note",
            "autoscaler-memory",
        )
