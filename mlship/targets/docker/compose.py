"""The same service for `docker compose up`, for those who go on without mlship. Built as data; pure.

Every scalar is written as JSON, which YAML reads as the same text, with `$` doubled because compose expands it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlship.keeper.haproxy_config import ejected
from mlship.targets.base import Deployment
from mlship.targets.docker.bodies import NO_WAY_TO_THE_HOST, SECRETS, front_body
from mlship.targets.docker.gpus import reserved
from mlship.targets.docker.network import front_address
from mlship.targets.docker.spec import INNER_PORT, Address, Scope, address

HEAD = """# The same service without mlship: docker compose up -d, in this folder (docker-compose 1.29 does it, too).
# mlship destroy takes the model's image away with the rest. Keep it before: docker save {image} | gzip > image.tar.gz
# HAProxy's own image (any of 2.4 or newer) reads haproxy.cfg beside this file. .env names the service: take it along.
# Addresses are of {subnet}; where that meets another network, write another one here and in haproxy.cfg.
"""
TLS_HEAD = """# tls.pem beside this file is the certificate and its key in one file: owner 65532, mode 0400.
"""
SECRETS_HEAD = """# secrets/ beside this file holds one file for each secret, with the value and nothing else: owner 65532, mode 0400.
"""
FRONT_IMAGE = "haproxy:2.8"
TLS = "tls.pem"
FOLDER = Path("/usr/local/etc/haproxy")


def compose_files(
    deployment: Deployment, scope: Scope, replicas: Mapping[str, Mapping[str, Any]], front: Mapping[str, Any], subnet: str
) -> dict[str, bytes]:
    """replicas: server's name -> create body of bodies.replica_body; every field of it has its place here.

    front: the front's document, whose addresses are in the subnet.
    """
    document = compose_document(deployment, scope, replicas, front, subnet)
    head = HEAD.format(image=next(iter(replicas.values()))["Image"], subnet=subnet)
    head += TLS_HEAD if front["tls"] else ""
    head += SECRETS_HEAD if deployment.release.served.secrets else ""
    text = head + "\n".join(_block(document, "")) + "\n"
    return {
        "eject/.env": f"COMPOSE_PROJECT_NAME={project_name(scope)}\n".encode(),
        "eject/compose.yaml": text.encode(),
        "eject/haproxy.cfg": _haproxy(front).encode(),
    }


def project_name(scope: Scope) -> str:
    """Beside the file and not in it: older composes refuse `name`. Without one every service would be called by its folder,

    `eject`, and the second one at an engine would take the place of the first. No project has an underscore in its name.
    """
    return f"mlship-{scope.name}".replace(".", "_")


def compose_document(
    deployment: Deployment, scope: Scope, replicas: Mapping[str, Mapping[str, Any]], traffic: Mapping[str, Any], subnet: str
) -> dict[str, Any]:
    """As compose_files; traffic: the front's document. Only what docker-compose 1.29 and the Compose Specification both take."""
    published = address(deployment.settings)
    body = front_body(scope, published, FRONT_IMAGE, "")
    front = {
        "image": FRONT_IMAGE,
        "ports": [_port(published)],
        **_confined(body),
        "volumes": [
            _file("haproxy.cfg", f"{FOLDER}/haproxy.cfg"),
            *([_file(TLS, f"{FOLDER}/{TLS}")] if traffic["tls"] else []),
        ],
        # A fixed address, too: after a reboot the front may come first, and would be given that of a replica.
        "networks": {"outside": {}, "replicas": {"ipv4_address": front_address(subnet)}},
        "depends_on": list(replicas),
    }
    addresses = {server["name"]: server["address"] for server in traffic["servers"]}
    secrets = sorted(deployment.release.served.secrets)
    services = {name: _replica(body, addresses[name], secrets) for name, body in replicas.items()}
    inside = {"ipam": {"config": [{"subnet": subnet}]}}
    closed = {**inside, "internal": True, "driver_opts": NO_WAY_TO_THE_HOST}
    egress = bool(deployment.settings.get("egress", False))
    return {
        "services": {"front": front, **services},
        "networks": {"outside": {}, "replicas": inside if egress else closed},
    }


def _replica(body: Mapping[str, Any], address: str, secrets: Sequence[str]) -> dict[str, Any]:
    return {
        "image": body["Image"],
        "pull_policy": "never",
        "environment": dict(entry.split("=", 1) for entry in body["Env"]),
        "labels": {name: text for name, text in body["Labels"].items() if not name.startswith("mlship.")},
        **_confined(body),
        **reserved(body["HostConfig"].get("DeviceRequests", [])),
        **({"volumes": [_file(f"secrets/{name}", f"{SECRETS}/{name}") for name in secrets]} if secrets else {}),
        "networks": {"replicas": {"ipv4_address": address}},
    }


def _confined(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a container may do and take, how it ends and comes back: of the body that is sent to an engine."""
    host = body["HostConfig"]
    return {
        "user": body["User"],
        "healthcheck": {"test": body["Healthcheck"]["Test"]},
        "stop_signal": body["StopSignal"],
        "stop_grace_period": f"{body['StopTimeout']}s",
        "read_only": host["ReadonlyRootfs"],
        "cap_drop": host["CapDrop"],
        "security_opt": host["SecurityOpt"],
        "mem_limit": host["Memory"],
        "memswap_limit": host["MemorySwap"],
        "cpus": host["NanoCpus"] / 1e9,
        "pids_limit": host["PidsLimit"],
        "tmpfs": [f"{path}:{options}" for path, options in host["Tmpfs"].items()],
        "restart": host["RestartPolicy"]["Name"],
        "logging": {"driver": host["LogConfig"]["Type"], "options": host["LogConfig"]["Config"]},
    }


def _port(published: Address) -> str:
    host = f"[{published.host}]" if ":" in published.host else published.host
    return f"{host}:{published.port}:{INNER_PORT}/tcp"


def _haproxy(front: Mapping[str, Any]) -> str:
    """mlship names a certificate by its content; to one's own HAProxy it is one file, which changes."""
    text = ejected(front, FOLDER)
    return text.replace(f"{FOLDER}/tls/{front['tls']['certificate']}.pem", str(FOLDER / TLS)) if front["tls"] else text


def _file(beside: str, inside: str) -> dict[str, Any]:
    """In the long form, because the short one makes a folder of a file that is missing."""
    return {"type": "bind", "source": f"./{beside}", "target": inside, "read_only": True}


def _block(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, entry in value.items():
        name = _scalar(key)
        if isinstance(entry, Mapping) and entry:
            yield f"{indent}{name}:"
            yield from _block(entry, indent + "  ")
        elif isinstance(entry, Sequence) and not isinstance(entry, str) and entry:
            yield f"{indent}{name}:"
            yield from (f"{indent}  - {_flow(item)}" for item in entry)
        else:
            yield f"{indent}{name}: {_flow(entry)}"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(entry)}" for key, entry in value.items()) + "}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """Plain for words that mean themselves in every YAML, JSON for all else."""
    if isinstance(value, str):
        if value.replace("_", "").isalpha() and value.isascii() and value.lower() not in _NOT_TEXT:
            return value
        return json.dumps(value.replace("$", "$$"))
    return json.dumps(value)


_NOT_TEXT = ("true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf")
