"""The same container for `docker compose up`, for those who go on without mlship. Built as data; pure.

Every scalar is written as JSON, which YAML reads as the same text, with `$` doubled because compose expands it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HEAD = """# The same service without mlship: docker compose up -d
# The image is at the engine; docker save takes it along: docker save {image} | gzip > image.tar.gz
"""


def compose_document(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """name: of the container. body: a create body of spec.replica_body; every field of it has its place here."""
    host = body["HostConfig"]
    inner, bound = next(iter(host["PortBindings"].items()))
    service = {
        "image": body["Image"],
        "pull_policy": "never",
        "container_name": name,
        "user": body["User"],
        "environment": dict(entry.split("=", 1) for entry in body["Env"]),
        "labels": body["Labels"],
        "ports": [
            {
                "host_ip": bound[0]["HostIp"],
                "published": bound[0]["HostPort"],
                "target": int(inner.partition("/")[0]),
                "protocol": inner.partition("/")[2],
            }
        ],
        "expose": [port.partition("/")[0] for port in body["ExposedPorts"]],
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
        "network_mode": host["NetworkMode"],
        "restart": host["RestartPolicy"]["Name"],
        "logging": {"driver": host["LogConfig"]["Type"], "options": host["LogConfig"]["Config"]},
    }
    return {"services": {"model": service}}


def compose_text(name: str, body: Mapping[str, Any]) -> bytes:
    lines = _block(compose_document(name, body), "")
    return (HEAD.format(image=body["Image"]) + "\n".join(lines) + "\n").encode()


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
