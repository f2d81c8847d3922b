"""What `deploy` starts, and the same service for systemd without mlship. Pure.

Where MLSHIP_HOME is, only the machine knows: it stands in the texts as a variable of the shell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from mlship.errors import MlshipError
from mlship.targets.base import Deployment
from mlship.targets.local import launching
from mlship.targets.local.folder import DEFAULT
from mlship.targets.local.listening import BACKLOG, FIRST_PORT

# Inside every image; image/plan.py lays it out, and a test holds both together.
LAID_OUT = "/opt/mlship"
PYTHONPATH = ("lib", "env", "code")
SECRETS = "MLSHIP_SECRETS"
_PLAIN = re.compile(r"[^\x00-\x1f\x7f]*")


def render(deployment: Deployment) -> dict[str, bytes]:
    """Raises MlshipError for text that no unit file can hold."""
    name = unit_name(deployment)
    return {
        "apply/service.json": json.dumps(service(deployment), indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n",
        f"eject/{name}.socket": _text(socket_unit(deployment)),
        f"eject/{name}.service": _text(service_unit(deployment)),
        "eject/serve": _text(serve_script(deployment)),
        "eject/README": _text(readme(deployment)),
    }


def unit_name(deployment: Deployment) -> str:
    return "-".join(("mlship", deployment.project, *filter(None, [deployment.environment])))


def service(deployment: Deployment) -> Mapping[str, object]:
    """The service as the holder runs it."""
    release = deployment.release
    return {
        "schema": 1,
        "project": deployment.project,
        "environment": deployment.environment,
        "release": release.id,
        "content": release.served.content,
        "labels": dict(deployment.labels),
        "root": _root_folder(deployment),
        "command": "the image's entry point, through the image's own dynamic loader",
        "environ": {**launching.server_environ(deployment), **_secrets(deployment, _run_folder(deployment))},
        "sockets": {"public": f"{_host(deployment)}:{_port(deployment) or 'first free from ' + str(FIRST_PORT)}"},
        "limits": _limits(deployment),
        "startup_timeout_s": deployment.startup_timeout_s,
        "drain_timeout_s": launching.drain_timeout_s(deployment),
    }


def socket_unit(deployment: Deployment) -> tuple[str, ...]:
    """systemd owns the listening socket, as the holder does: callers wait while the service starts again."""
    host = _host(deployment)
    address = f"{f'[{host}]' if ':' in host else host}:{_port(deployment) or FIRST_PORT}"
    return (
        "[Unit]",
        f"Description=Callers of {deployment.project}",
        "",
        "[Socket]",
        f"ListenStream={_plain(address)}",
        "FileDescriptorName=public",
        f"Backlog={BACKLOG}",
        "",
        "[Install]",
        "WantedBy=sockets.target",
    )


def service_unit(deployment: Deployment) -> tuple[str, ...]:
    name = unit_name(deployment)
    environ = {**launching.server_environ(deployment), **_secrets(deployment, f"%h/{name}/secrets")}
    limits = deployment.release.served.resources
    return (
        "[Unit]",
        f"Description={deployment.project}, release {deployment.release.id}",
        f"Requires={name}.socket",
        f"After={name}.socket",
        "",
        "[Service]",
        f"ExecStart=/bin/sh %h/{name}/serve",
        f"WorkingDirectory=%h/{name}",
        *(f"Environment={_assigned(key, text)}" for key, text in sorted(environ.items())),
        *([f"LimitDATA={limits['memory']}"] if limits.get("memory") else []),
        *([f"CPUQuota={limits['cpu'] / 10:g}%"] if limits.get("cpu") else []),
        "LimitCORE=0",
        "Restart=always",
        "RestartSec=1",
        # SIGTERM to the server alone, which drains its workers; SIGKILL to whatever is left.
        "KillMode=mixed",
        f"TimeoutStopSec={launching.drain_timeout_s(deployment) + launching.DRAIN_SPARE_S:g}",
        "",
        "[Install]",
        "WantedBy=default.target",
    )


def serve_script(deployment: Deployment) -> tuple[str, ...]:
    """Starts the image's own interpreter from the files beside the script."""
    path = ":".join(f"$root{LAID_OUT}/{folder}" for folder in PYTHONPATH)
    return (
        "#!/bin/sh",
        f"# Serves {deployment.project} {deployment.release.id} from ./root, the unpacked image; systemd hands the socket over.",
        "set -eu",
        'root="$(cd "$(dirname "$0")" && pwd)/root"',
        'export PYTHONHOME="$root/usr" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1',
        f'export PYTHONPATH="{path}"',
        f'export MLSHIP_MANIFEST="$root{LAID_OUT}/manifest.json"',
        'export PYTHONTZPATH="$root/usr/share/zoneinfo" SSL_CERT_FILE="$root/etc/ssl/certs/ca-certificates.crt"',
        'export OPENSSL_CONF="$root/etc/ssl/openssl.cnf"',
        'for python in "$root"/.mlship/python3.*; do',
        '    exec "$python" -s -P -m mlship.server',
        "done",
    )


def readme(deployment: Deployment) -> tuple[str, ...]:
    name = unit_name(deployment)
    return (
        f"{deployment.project} {deployment.release.id} without mlship, as a systemd service of your own user:",
        "",
        f"    mkdir -p ~/{name} ~/.config/systemd/user",
        f'    cp -a "{_root_folder(deployment)}" serve ~/{name}/',
        *_secret_lines(deployment, name),
        f"    cp {name}.socket {name}.service ~/.config/systemd/user/",
        "    systemctl --user daemon-reload",
        f"    systemctl --user enable --now {name}.socket {name}.service",
        "    loginctl enable-linger        # so that it runs without a login",
        "",
        "End the copy that mlship runs first, they want the same port: mlship destroy " + deployment.project,
        "(copy root before that: destroy removes it).",
    )


def _root_folder(deployment: Deployment) -> str:
    content = deployment.release.served.content.removeprefix("sha256:")
    return f"${{MLSHIP_HOME:-$HOME/.mlship}}/local/rootfs/{content}/root"


def _run_folder(deployment: Deployment) -> str:
    environment = deployment.environment or DEFAULT
    return f"${{MLSHIP_HOME:-$HOME/.mlship}}/local/{deployment.project}/{environment}/run/{deployment.release.id}/secrets"


def _secrets(deployment: Deployment, folder: str) -> dict[str, str]:
    return {SECRETS: folder} if deployment.release.served.secrets else {}


def _secret_lines(deployment: Deployment, name: str) -> tuple[str, ...]:
    """Where the values go that are in none of the files."""
    names = sorted(deployment.release.served.secrets)
    if not names:
        return ()
    return (f"    mkdir -m 700 ~/{name}/secrets   # and in it a file for each of: {', '.join(names)}",)


def _assigned(key: str, text: str) -> str:
    """%h is meant in a path of ours, and nothing is in what users wrote."""
    return f'"{key}={text}"' if key == SECRETS else _quoted(f"{key}={text}")


def _limits(deployment: Deployment) -> Mapping[str, int]:
    limits = deployment.release.served.resources
    return {"cores": launching.cores(limits), "data_bytes_per_process": limits.get("memory", 0)}


def _host(deployment: Deployment) -> str:
    return str(deployment.settings.get("host") or launching.HOST)


def _port(deployment: Deployment) -> int:
    return launching.port(deployment.settings)


def _quoted(text: str) -> str:
    """One word in a unit file: escapes as in C, and a percent sign is a specifier unless doubled."""
    return '"' + _plain(text).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _plain(text: str) -> str:
    if not _PLAIN.fullmatch(text):
        raise MlshipError(
            f"{text[:60]!r} has control characters, which a unit file cannot hold", fix="take them out of mlship.yaml"
        )
    return text


def _text(lines: tuple[str, ...]) -> bytes:
    return "\n".join((*lines, "")).encode()
