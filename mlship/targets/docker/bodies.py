"""What is sent to the engine, as values. Pure; `render` shows what `apply` sends.

Bodies are the Engine API's own (POST /containers/create, /volumes/create, /networks/create, version 1.41).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mlship.oci.image import CONTENT_LABEL
from mlship.targets.base import Deployment
from mlship.targets.docker.gpus import device_requests
from mlship.targets.docker.spec import (
    INNER_PORT,
    LIBRARY,
    ORIGIN,
    RELEASE,
    SPEC,
    STATE,
    SUBNET,
    USER,
    Address,
    Scope,
    image_tag,
)
from mlship.targets.variables import variables_of_user

# Threads count as processes: an array library starts one a core of the host in each worker.
PIDS = 512
PIDS_PER_CORE = 256
# The kernel counts a tmpfs against the memory limit, so this is an upper bound and not a reservation.
TMP_SIZE = "256m"
STOP_MARGIN_S = 8  # beside the request timeout: what a draining server may take before it is killed
DRAIN_MARGIN_S = 5  # of these, what the server itself may take

KEEPER_MEMORY, KEEPER_PIDS = 128 * 2**20, 64
# Two workers during a reload with two buffers of 64 KiB for each of some thousand connections, and the keepers beside them.
FRONT_MEMORY, FRONT_PIDS, FRONT_CPU = 512 * 2**20, 128, 1_000_000_000
FRONT_STOP_S = 5  # callers that are still answered when the front itself is stopped
# Another number makes deploys replace fronts that were made before: raise it when a front's container has to be another one.
FRONT_FORM = 1

SECRETS = "/run/secrets"
# An internal network still leads to every port of the engine's own host, through the address that its bridge has there.
NO_WAY_TO_THE_HOST = {"com.docker.network.bridge.inhibit_ipv4": "true"}
LOGGING = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


def replica_body(deployment: Deployment, address: str = "", secrets: str = "", number: int = 1) -> dict[str, Any]:
    """One copy of the release. address: its fixed one on the project's network. secrets: the volume of their versions.

    number: of the replica, from 1 on, which decides on its GPUs. Its specification (label `mlship.spec`) depends on neither number
    nor address.
    """
    scope = Scope(deployment.project, deployment.environment)
    served = deployment.release.served
    cpu, memory = int(served.resources.get("cpu", 1000)), int(served.resources.get("memory", 2 * 2**30))
    mount = {"Type": "volume", "Source": secrets, "Target": SECRETS, "ReadOnly": True, "VolumeOptions": {"NoCopy": True}}
    body: dict[str, Any] = {
        "Image": image_tag(deployment.project, served.content),
        "User": USER,
        "Env": _environment(deployment, secrets),
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "StopTimeout": int(deployment.request_timeout_s) + STOP_MARGIN_S,
        "HostConfig": {
            **confinement(memory, PIDS + PIDS_PER_CORE * -(-cpu // 1000)),
            "NanoCpus": cpu * 1_000_000,
            "Tmpfs": tmpfs(TMP_SIZE),
            "NetworkMode": scope.network,
            "RestartPolicy": {"Name": "unless-stopped"},
            "LogConfig": LOGGING,
            "Mounts": [mount] if secrets else [],
        },
    }
    gpus = int(served.resources.get("gpu", 0))
    if gpus:
        body["HostConfig"]["DeviceRequests"] = device_requests(gpus, 1)
    own = {**scope.labels("replica"), RELEASE: deployment.release.id, CONTENT_LABEL: served.content}
    labels = {**deployment.labels, **own, SPEC: fingerprint([body, own])}
    if gpus:
        body["HostConfig"]["DeviceRequests"] = device_requests(gpus, number)
    networking = {"EndpointsConfig": {scope.network: {"IPAMConfig": {"IPv4Address": address}}}} if address else {}
    return {**body, "Labels": dict(sorted(labels.items())), "NetworkingConfig": networking}


def front_body(scope: Scope, published: Address, image: str, python: str) -> dict[str, Any]:
    """HAProxy behind the published port; connected to the project's network before it is started.

    image: reference of a front image at the engine, python: its interpreter. Which build of the image it is does not
    count for its specification: another one is taken with the next front, not by a gap of its own.
    """
    inner = f"{INNER_PORT}/tcp"
    body: dict[str, Any] = {
        "Cmd": ["front", STATE],
        "User": USER,
        "Env": keeper_environment(),
        "ExposedPorts": {inner: {}},
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGUSR1",  # HAProxy's soft stop: what is being answered is answered
        "StopTimeout": FRONT_STOP_S,
        "HostConfig": {
            **confinement(FRONT_MEMORY, FRONT_PIDS),
            "NanoCpus": FRONT_CPU,
            "Tmpfs": tmpfs("64m"),
            "NetworkMode": "bridge",
            "RestartPolicy": {"Name": "unless-stopped"},
            "LogConfig": LOGGING,
            "PortBindings": {inner: [{"HostIp": published.host, "HostPort": str(published.port)}]},
            "Mounts": [state_mount(scope)],
        },
    }
    labels = {**scope.labels("front"), SPEC: fingerprint([FRONT_FORM, body])}
    return {**body, "Image": image, "Entrypoint": keeper_command(python), "Labels": labels}


def reading_body(scope: Scope, image: str) -> dict[str, Any]:
    """The one-off container in which another front's HAProxy reads the present configuration. image: of that front.

    As the front's own user, who alone may read the key of a certificate.
    """
    return {
        "Image": image,
        "Entrypoint": ["/usr/sbin/haproxy"],
        "Cmd": ["-c", "-f", f"{STATE}/front/run/haproxy.cfg"],
        "User": USER,
        "Labels": scope.labels("keeper"),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            **confinement(KEEPER_MEMORY, KEEPER_PIDS),
            "NetworkMode": "none",
            "Tmpfs": tmpfs("64m"),
            "LogConfig": LOGGING,
            "Mounts": [{**state_mount(scope), "ReadOnly": True}],
        },
    }


def keeper_body(
    scope: Scope, image: str, python: str, origin: Mapping[str, Any] | None = None, network: str = "none"
) -> dict[str, Any]:
    """The one-off container that owns the records where no front of this version runs. image: of a front; python: its

    interpreter. network: the project's own, where replicas are there to be asked.
    origin: the process that it works for (holder.py); one that was never started because that process was killed is told by it.
    Root inside, because the volume's files are root's, with no capability. It ends with the connection.
    """
    return {
        "Image": image,
        "Entrypoint": keeper_command(python),
        "Cmd": ["serve", STATE],
        "User": "0:0",
        "Env": keeper_environment(),
        "Labels": {**scope.labels("keeper"), **({ORIGIN: json.dumps(origin, sort_keys=True)} if origin else {})},
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "Tty": False,
        "HostConfig": {
            **confinement(KEEPER_MEMORY, KEEPER_PIDS),
            "AutoRemove": True,
            "NetworkMode": network,
            "Tmpfs": tmpfs("64m"),
            "LogConfig": {"Type": "none", "Config": {}},
            "Mounts": [state_mount(scope)],
        },
    }


def keeper_command(python: str) -> list[str]:
    """-S: no site, so that nothing of the user's packages runs here."""
    return [python, "-s", "-S", "-P", "-m", "mlship.keeper"]


def volume_body(scope: Scope) -> dict[str, Any]:
    return {"Name": scope.volume, "Labels": scope.object_labels}


def network_body(scope: Scope, egress: bool, subnet: str = "") -> dict[str, Any]:
    """egress: whether replicas reach anything beside the front. subnet: fixed addresses need an explicit one."""
    body: dict[str, Any] = {"Name": scope.network, "Driver": "bridge", "Internal": not egress, "Labels": scope.object_labels}
    if not egress:
        body["Options"] = NO_WAY_TO_THE_HOST
    if not subnet:
        return body
    ipam = {"Driver": "default", "Config": [{"Subnet": subnet}]}
    return {**body, "Labels": {**scope.object_labels, SUBNET: subnet}, "IPAM": ipam}


def state_mount(scope: Scope) -> dict[str, Any]:
    return {
        "Type": "volume",
        "Source": scope.volume,
        "Target": STATE,
        "VolumeOptions": {"Labels": volume_body(scope)["Labels"]},
    }


def _environment(deployment: Deployment, secrets: str) -> list[str]:
    given = variables_of_user(deployment)
    own = {
        "PORT": str(INNER_PORT),
        "MLSHIP_RELEASE": deployment.release.id,
        # The front has let go of a replica before that is stopped: nobody has to learn that it goes.
        "MLSHIP_DRAIN_DELAY_S": "0",
        "MLSHIP_DRAIN_TIMEOUT_S": str(int(deployment.request_timeout_s) + DRAIN_MARGIN_S),
        **({"MLSHIP_SECRETS": SECRETS} if secrets else {}),
    }
    return [f"{name}={text}" for name, text in sorted({**given, **own}.items())]


def keeper_environment() -> list[str]:
    return [f"PYTHONPATH={LIBRARY}", "PYTHONDONTWRITEBYTECODE=1"]


def tmpfs(size: str) -> dict[str, str]:
    return {"/tmp": f"rw,noexec,nosuid,nodev,size={size},mode=1777"}  # noqa: S108 -- inside the container


def fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def confinement(memory: int, pids: int) -> dict[str, Any]:
    """memory: bytes; as much again of swap is not given."""
    return {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Memory": memory,
        "MemorySwap": memory,
        "PidsLimit": pids,
    }
