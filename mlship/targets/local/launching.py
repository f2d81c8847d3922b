"""How a release is started on this machine: the launch that a deployment means. Pure but for the image's own facts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mlship.runner import Command
from mlship.targets.base import Deployment
from mlship.targets.local.folder import ReleaseFolder
from mlship.targets.local.protocol import Launch

HOST = "127.0.0.1"
DRAIN_SPARE_S = 3.0  # after the server's own limit, before it is killed
_RESERVED = ("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "PORT", "MLSHIP_HOLD", "MLSHIP_MANIFEST")


def server_environ(deployment: Deployment) -> dict[str, str]:
    """What the server gets besides the image's own environment. What mlship sets cannot be overridden from mlship.yaml."""
    served = deployment.release.served
    own = {name: text for name, text in served.env.items() if name not in _RESERVED}
    return {
        **own,
        "MLSHIP_RELEASE": deployment.release.id,
        "MLSHIP_CONTENT": served.content,
        "MLSHIP_HOST": deployment.settings.get("host") or HOST,
        "MLSHIP_DRAIN_DELAY_S": "0",  # nobody has to be told to go elsewhere: the next release has the same socket
        "MLSHIP_DRAIN_TIMEOUT_S": f"{drain_timeout_s(deployment):g}",
    }


def launch(deployment: Deployment, command: Command, folder: ReleaseFolder, host: str) -> Launch:
    """command: starts the server from the unpacked image. host: where it listens when the settings do not say."""
    limits = deployment.release.served.resources
    return Launch(
        release=deployment.release.id,
        argv=command.argv,
        environ=command.whole_environ() if command.environ is None else {**command.environ, **command.extra_environ},
        cwd=str(folder.path),
        log=str(folder.log),
        host=deployment.settings.get("host") or host,
        port=port(deployment.settings),
        data_limit=limits.get("memory", 0),
        cores=cores(limits),
        drain_s=drain_timeout_s(deployment) + DRAIN_SPARE_S,
        startup_s=deployment.startup_timeout_s,
    )


def port(settings: Mapping[str, Any]) -> int:
    """The port that is asked for; 0 when none is."""
    return int(settings.get("port") or 0)


def cores(limits: Mapping[str, int]) -> int:
    """Whole cores: a process cannot be tied to half of one. 0: no limit was given."""
    return math.ceil(limits.get("cpu", 0) / 1000)


def drain_timeout_s(deployment: Deployment) -> float:
    """A request that was accepted in the last moment may take as long as any other."""
    return deployment.request_timeout_s + 10.0
