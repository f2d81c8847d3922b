"""What a deployment is in files: `apply/` as it is sent to the engine, `eject/` for those who go on without mlship. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from mlship.targets.base import Deployment
from mlship.targets.docker import spec, traffic
from mlship.targets.docker.autoscaler import USUAL_SOCKET, autoscaler_body, is_scaled, scale_document
from mlship.targets.docker.bodies import front_body, network_body, replica_body, volume_body
from mlship.targets.docker.compose import compose_files
from mlship.targets.docker.engine import as_document
from mlship.targets.docker.network import free_addresses
from mlship.targets.docker.secrets import volume_body as secrets_volume_body
from mlship.targets.docker.secrets import volume_name as secrets_volume

# A certificate's name is the hash of it and its key, and `render` reads no key.
UNREAD = "0" * 64
FRONT_REFERENCE = "mlship/front"
FRONT_PYTHON = "python3"  # of the front's image, whose own interpreter is taken


def rendered(deployment: Deployment) -> dict[str, bytes]:
    scope = spec.Scope(deployment.project, deployment.environment)
    bodies = containers(deployment)
    return {
        "apply/containers.json": as_document(bodies),
        "apply/front.json": as_document(front_document(deployment)),
        "apply/network.json": as_document(network_body(scope, _egress(deployment), example_subnet(scope))),
        "apply/volume.json": as_document(volume_body(scope)),
        **_scaling(deployment, scope),
        **_secrets(deployment, scope),
        **compose_files(deployment, scope, replicas(deployment), front_document(deployment), example_subnet(scope)),
    }


def example_subnet(scope: spec.Scope) -> str:
    """The engine chooses the real one; a file needs one to be written in, and several projects go to one engine."""
    return f"172.30.{hashlib.sha256(scope.name.encode()).digest()[0]}.0/24"


def containers(deployment: Deployment) -> dict[str, Mapping[str, Any]]:
    scope = spec.Scope(deployment.project, deployment.environment)
    front = front_body(scope, spec.address(deployment.settings), FRONT_REFERENCE, FRONT_PYTHON)
    return {scope.front: front, **{scope.container(name): body for name, body in replicas(deployment).items()}}


def replicas(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Server's name -> body, of as many as there are at least."""
    count = deployment.replicas[0]
    names = [spec.server_name(deployment.release.id, number) for number in range(1, count + 1)]
    scope = spec.Scope(deployment.project, deployment.environment)
    addresses = free_addresses(example_subnet(scope), (), count)
    secrets = secrets_volume(scope, deployment.release.served.secrets)
    return {
        name: replica_body(deployment, address, secrets, spec.number_of(name))
        for name, address in zip(names, addresses, strict=True)
    }


def front_document(deployment: Deployment) -> traffic.Document:
    servers = [
        traffic.Server(name, body["NetworkingConfig"]["EndpointsConfig"][network]["IPAMConfig"]["IPv4Address"])
        for name, body in replicas(deployment).items()
        for network in body["NetworkingConfig"]["EndpointsConfig"]
    ]
    return traffic.document(deployment.settings, deployment.request_timeout_s, servers, wanted_tls(deployment))


def wanted_tls(deployment: Deployment) -> Mapping[str, str] | None:
    """What the front's document says of the certificate; None for plain HTTP."""
    wanted = deployment.settings.get("tls")
    return {"certificate": wanted.get("certificate") or UNREAD} if wanted else None


def _secrets(deployment: Deployment, scope: spec.Scope) -> dict[str, bytes]:
    """The volume that values are written to; what is in it is never shown."""
    versions = deployment.release.served.secrets
    return {"apply/secrets.json": as_document(secrets_volume_body(scope, versions))} if versions else {}


def _scaling(deployment: Deployment, scope: spec.Scope) -> dict[str, bytes]:
    """What the autoscaler may do, and its container; nothing for a fixed number of replicas."""
    if not is_scaled(deployment):
        return {}
    body = autoscaler_body(scope, FRONT_REFERENCE, FRONT_PYTHON, USUAL_SOCKET)
    document = scale_document(deployment, secrets_volume(scope, deployment.release.served.secrets))
    return {"apply/autoscaler.json": as_document({scope.autoscaler: body}), "apply/scale.json": as_document(document)}


def _egress(deployment: Deployment) -> bool:
    return bool(deployment.settings.get("egress", False))
