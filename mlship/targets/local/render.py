"""What `deploy` would start, and the same service for systemd without mlship. Pure.

Paths on the machine are not known to a pure function: `apply/` says them relative to MLSHIP_HOME, and `eject/` keeps the whole
service below its own folder, where `install.sh` puts the image's files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from mlship.errors import MlshipError
from mlship.image.plan import MANIFEST
from mlship.targets.base import Deployment
from mlship.targets.local import launching
from mlship.targets.local.listening import FIRST_PORT

_SAFE = re.compile(r"[^\x00-\x1f\x7f]*")


def render(deployment: Deployment) -> dict[str, bytes]:
    """Raises MlshipError for text that no unit file can hold."""
    name = unit_name(deployment)
    return {
        "apply/service.json": _json(service(deployment)),
        f"eject/{name}.socket": socket_unit(deployment).encode(),
        f"eject/{name}.service": service_unit(deployment).encode(),
        "eject/README": readme(deployment).encode(),
    }


def unit_name(deployment: Deployment) -> str:
    return "-".join(("mlship", deployment.project, *filter(None, [deployment.environment])))


def service(deployment: Deployment) -> dict[str, object]:
    """The service as the holder runs it; what only the machine knows stands as ${MLSHIP_HOME} and ${PORT}."""
    release = deployment.release
    content = release.served.content.removeprefix("sha256:")
    host = deployment.settings.get("host") or launching.HOST
    return {
        "schema": 1,
        "project": deployment.project,
        "environment": deployment.environment,
        "release": release.id,
        "content": release.served.content,
        "labels": dict(deployment.labels),
        "rootfs": f"${{MLSHIP_HOME}}/local/rootfs/{content}/root",
        "entrypoint": "the image's own, through the image's own dynamic loader",
        "environ": launching.server_environ(deployment),
        "sockets": {"public": f"{host}:{launching.port(deployment.settings) or '${PORT}'}", "probe": "127.0.0.1:0"},
        "limits": {
            "cores": launching.cores(release.served.resources),
            "data_bytes_per_process": release.served.resources.get("memory", 0),
        },
        "startup_timeout_s": deployment.startup_timeout_s,
        "drain_timeout_s": launching.drain_timeout_s(deployment),
    }


def socket_unit(deployment: Deployment) -> str:
    host = deployment.settings.get("host") or launching.HOST
    port = launching.port(deployment.settings) or FIRST_PORT
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return "\n".join(
        (
            "[Unit]",
            f"Description=Callers of {deployment.project}",
            "",
            "[Socket]",
            f"ListenStream={_line(address)}",
            "FileDescriptorName=public",
            "Backlog=4096",
            "",
            "[Install]",
            "WantedBy=sockets.target",
            "",
        )
    )


def service_unit(deployment: Deployment) -> str:
    """ExecStart runs run.sh-less: the unpacked image's loader and interpreter, as `deploy` does."""
    limits = deployment.release.served.resources
    name = unit_name(deployment)
    environ = {**launching.server_environ(deployment), "MLSHIP_MANIFEST": f"%h/{name}/root{MANIFEST}"}
    lines = [
        "[Unit]",
        f"Description={deployment.project}, release {deployment.release.id}",
        f"Requires={name}.socket",
        f"After={name}.socket",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart=/bin/sh %h/{name}/serve",
        *(f"Environment={_quoted(f'{key}={text}')}" for key, text in sorted(environ.items())),
        f"WorkingDirectory=%h/{name}",
        "Restart=always",
        "RestartSec=1",
        f"TimeoutStopSec={launching.drain_timeout_s(deployment) + launching.DRAIN_SPARE_S:g}",
    ]
    if limits.get("memory"):
        lines.append(f"MemoryMax={limits['memory']}")
    if limits.get("cpu"):
        lines.append(f"CPUQuota={limits['cpu'] / 10:g}%")
    return "\n".join((*lines, "", "[Install]", "WantedBy=default.target", ""))


def readme(deployment: Deployment) -> str:
    name = unit_name(deployment)
    return "\n".join((name, ""))


def _quoted(text: str) -> str:
    """A word for a unit file: in double quotes, with backslash, quote, percent and dollar doubled or escaped."""
    return '"' + _line(text).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") + '"'


def _line(text: str) -> str:
    if not _SAFE.fullmatch(text):
        raise MlshipError(
            f"{text[:60]!r} has control characters, which a unit file cannot hold", fix="take them out of mlship.yaml"
        )
    return text


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
