"""The same service for `docker compose up`, for those who go on without mlship. Built as data; pure.

Every scalar is written as JSON, which YAML reads as the same text, with `$` doubled because compose expands it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
HAPROXY_CFG = "./haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"
TLS = "/usr/local/etc/haproxy/tls.pem"


def compose_files(deployment: Deployment, scope: Scope, replicas: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """replicas: server's name -> create body of bodies.replica_body; every field of it has its place here."""
    document = compose_document(deployment, scope, replicas)
    image = next(iter(replicas.values()))["Image"]
    head = HEAD.format(image=image)
    head += TLS_HEAD if deployment.settings.get("tls") else ""
    head += SECRETS_HEAD if deployment.release.served.secrets else ""
    text = head + "\n".join(_block(document, "")) + "\n"
    return {"eject/compose.yaml": text.encode(), "eject/haproxy.cfg": haproxy_text(deployment, tuple(replicas)).encode()}


def compose_document(deployment: Deployment, scope: Scope, replicas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
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
    if deployment.settings.get("tls"):
        front["volumes"] = [HAPROXY_CFG, f"./tls.pem:{TLS}:ro"]
    services = {name: _replica(body) for name, body in replicas.items()}
    volumes = {mount["Source"]: {"external": True} for body in replicas.values() for mount in body["HostConfig"]["Mounts"]}
    return {
        "name": f"mlship-{scope.name}".replace(".", "-"),
        "services": {"front": front, **services},
        "networks": {"outside": {}, "replicas": {} if egress else {"internal": True, "driver_opts": NO_WAY_TO_THE_HOST}},
        **({"volumes": volumes} if volumes else {}),
    }


def _replica(body: Mapping[str, Any]) -> dict[str, Any]:
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
        "networks": ["replicas"],
        "restart": host["RestartPolicy"]["Name"],
        "logging": {"driver": host["LogConfig"]["Type"], "options": host["LogConfig"]["Config"]},
    }


def _mount(mount: Mapping[str, Any]) -> str:
    return f"{mount['Source']}:{mount['Target']}:{'ro' if mount['ReadOnly'] else 'rw'}"


def haproxy_text(deployment: Deployment, names: Sequence[str]) -> str:
    """By names that compose's own resolver knows, asked again when a replica comes back elsewhere."""
    answer_s = deployment.request_timeout_s + 2
    secure = f" ssl crt {TLS} ssl-min-ver TLSv1.2 alpn http/1.1" if deployment.settings.get("tls") else ""
    limits = "".join(f"    {line}\n" for line in _limits(deployment.settings.get("limits") or {}))
    servers = "\n".join(f"    server {name} {name}:{INNER_PORT}" for name in names)
    return f"""global
    log stdout format raw daemon notice
    tune.bufsize 65536

defaults
    mode http
    log global
    timeout connect 1s
    timeout client 30s
    timeout server {answer_s:g}s
    timeout http-request 10s
    timeout http-keep-alive 5s
    timeout queue {answer_s:g}s
    option redispatch 1
    option idle-close-on-response
    retries 1
    retry-on conn-failure empty-response

resolvers engine
    nameserver dns 127.0.0.11:53
    hold valid 1s

frontend callers
    bind :{INNER_PORT}{secure}
    option forwardfor
{limits}    default_backend model

backend model
    balance roundrobin
    option httpchk GET /readyz
    default-server check inter 1s fall 3 rise 1 resolvers engine init-addr last,libc,none
    timeout check 2s
{servers}
"""


def _limits(limits: Mapping[str, Any]) -> Iterator[str]:
    """Of one caller's address."""
    if any(limits.values()):
        yield "stick-table type ip size 100k expire 10s store conn_cur,http_req_rate(1s)"
        yield "tcp-request connection track-sc0 src"
    if limits.get("connections"):
        yield f"http-request deny deny_status 429 hdr Retry-After 1 if {{ sc0_conn_cur gt {limits['connections']} }}"
    if limits.get("rate"):
        rate = str(limits["rate"]).removesuffix("/s")
        yield f"http-request deny deny_status 429 hdr Retry-After 1 if {{ sc0_http_req_rate gt {rate} }}"


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
