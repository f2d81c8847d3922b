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
from mlship.targets.docker.bodies import NO_WAY_TO_THE_HOST
from mlship.targets.docker.spec import INNER_PORT, Scope, address

HEAD = """# The same service without mlship: docker compose up -d
# The model's image is at the engine; docker save takes it along: docker save {image} | gzip > image.tar.gz
# HAProxy's own image (any of 2.4 or newer) reads haproxy.cfg beside this file.
"""
TLS_HEAD = """# tls.pem beside this file is the certificate and its key in one file, for uid 65532 to read.
"""
SECRETS_HEAD = """# The volume with the secrets is the one that mlship wrote; it goes when mlship lets go of the release.
"""
FRONT_IMAGE = "haproxy:2.8"
FOLDER = Path("/usr/local/etc/haproxy")
HAPROXY_CFG = f"./haproxy.cfg:{FOLDER}/haproxy.cfg:ro"


def compose_files(
    deployment: Deployment, scope: Scope, replicas: Mapping[str, Mapping[str, Any]], front: Mapping[str, Any], subnet: str
) -> dict[str, bytes]:
    """replicas: server's name -> create body of bodies.replica_body; every field of it has its place here.

    front: the front's document, whose addresses are in the subnet.
    """
    document = compose_document(deployment, scope, replicas, front, subnet)
    image = next(iter(replicas.values()))["Image"]
    head = HEAD.format(image=image)
    head += TLS_HEAD if front["tls"] else ""
    head += SECRETS_HEAD if deployment.release.served.secrets else ""
    text = head + "\n".join(_block(document, "")) + "\n"
    return {"eject/compose.yaml": text.encode(), "eject/haproxy.cfg": ejected(front, FOLDER).encode()}


def compose_document(
    deployment: Deployment, scope: Scope, replicas: Mapping[str, Mapping[str, Any]], traffic: Mapping[str, Any], subnet: str
) -> dict[str, Any]:
    """As compose_files; traffic: the front's document."""
    egress = bool(deployment.settings.get("egress", False))
    published = address(deployment.settings)
    front = {
        "image": FRONT_IMAGE,
        "user": "65532:65532",
        "ports": [{"host_ip": published.host, "published": str(published.port), "target": INNER_PORT, "protocol": "tcp"}],
        "volumes": [HAPROXY_CFG],
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "networks": ["outside", "replicas"],
        "depends_on": list(replicas),
    }
    if traffic["tls"]:
        front["volumes"] = [HAPROXY_CFG, f"./tls.pem:{FOLDER}/tls/{traffic['tls']['certificate']}.pem:ro"]
    addresses = {server["name"]: server["address"] for server in traffic["servers"]}
    services = {name: _replica(body, addresses[name]) for name, body in replicas.items()}
    inside = {"ipam": {"config": [{"subnet": subnet}]}}
    closed = {**inside, "internal": True, "driver_opts": NO_WAY_TO_THE_HOST}
    volumes = {mount["Source"]: {"external": True} for body in replicas.values() for mount in body["HostConfig"]["Mounts"]}
    return {
        "name": f"mlship-{scope.name}".replace(".", "-"),
        "services": {"front": front, **services},
        "networks": {"outside": {}, "replicas": inside if egress else closed},
        **({"volumes": volumes} if volumes else {}),
    }


def _replica(body: Mapping[str, Any], address: str) -> dict[str, Any]:
    host = body["HostConfig"]
    return {
        "image": body["Image"],
        "pull_policy": "never",
        "user": body["User"],
        "environment": dict(entry.split("=", 1) for entry in body["Env"]),
        "labels": {name: text for name, text in body["Labels"].items() if not name.startswith("mlship.")},
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
        **({"volumes": [_mount(mount) for mount in host["Mounts"]]} if host["Mounts"] else {}),
        "networks": {"replicas": {"ipv4_address": address}},
        "restart": host["RestartPolicy"]["Name"],
        "logging": {"driver": host["LogConfig"]["Type"], "options": host["LogConfig"]["Config"]},
    }


def _mount(mount: Mapping[str, Any]) -> str:
    return f"{mount['Source']}:{mount['Target']}:{'ro' if mount['ReadOnly'] else 'rw'}"


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
