"""What the environment tells the server. Read once; a value that cannot be read stops the start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlship.server.auth.gate import Gate
from mlship.server.life.cards import Card
from mlship.server.problems import SettingsError as SettingsError

PORTS = ("PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT")  # Cloud Run and others, Vertex AI, SageMaker
PATH = re.compile(r"/[A-Za-z0-9._~:@!$&'()*+,;=%/-]{0,500}\Z")  # RFC 3986, 3.3
RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


@dataclass(frozen=True)
class Settings:
    """How one server process runs. Times in seconds.

    hold: public connections are accepted only after SIGUSR1. access_log: share of requests that are logged, 0 to 1.
    drain_delay_s: how long new connections are still accepted after SIGTERM. drain_timeout_s: from SIGTERM to the end at most.
    gate: who may call, None where everybody may; the manifest says so, and secrets are needed for it.
    metrics: False counts nothing, and /metrics is not there.
    vertex_health, vertex_predict: the paths that Vertex AI calls, empty where it does not say.
    cards: the GPUs, one a worker, as they were found at the start; none where models are on the CPU.
    stuck_s: a worker without a sign of life for so long is killed and replaced; 0 derives it from the request timeout.
    """

    manifest: Path
    host: str = "0.0.0.0"  # noqa: S104  inside a container only this address can be reached
    port: int = 8080
    release: str = "unreleased"
    content: str = ""
    hold: bool = False
    drain_delay_s: float = 1.0
    drain_timeout_s: float = 10.0
    stuck_s: float = 0.0
    access_log: float = 0.0
    metrics: bool = True
    gate: Gate | None = None
    vertex_health: str = ""
    vertex_predict: str = ""
    cards: tuple[Card, ...] = ()


def settings_from(environ: Mapping[str, str]) -> Settings:
    """The settings that the environment gives. Raises SettingsError."""
    if not environ.get("MLSHIP_MANIFEST"):
        raise SettingsError("MLSHIP_MANIFEST is not set; give the path of manifest.json")
    return Settings(
        manifest=Path(environ["MLSHIP_MANIFEST"]).absolute(),
        host=environ.get("MLSHIP_HOST") or "0.0.0.0",  # noqa: S104
        port=port_from(environ),
        release=_release(environ.get("MLSHIP_RELEASE", "")),
        content=environ.get("MLSHIP_CONTENT", ""),
        hold=environ.get("MLSHIP_HOLD", "") not in ("", "0"),
        drain_delay_s=_seconds(environ, "MLSHIP_DRAIN_DELAY_S", 1.0),
        drain_timeout_s=_seconds(environ, "MLSHIP_DRAIN_TIMEOUT_S", 10.0),
        stuck_s=_seconds(environ, "MLSHIP_STUCK_S", 0.0),
        access_log=_share(environ.get("MLSHIP_ACCESS_LOG", "")),
        metrics=_switch(environ, "MLSHIP_METRICS"),
        vertex_health=_path(environ, "AIP_HEALTH_ROUTE"),
        vertex_predict=_path(environ, "AIP_PREDICT_ROUTE"),
    )


def port_from(environ: Mapping[str, str]) -> int:
    """The port to listen on: the first of PORTS that is set, else 8080; 0 lets the kernel choose. Raises SettingsError."""
    for name in PORTS:
        given = environ.get(name, "")
        if given:
            if not given.isascii() or not given.isdigit() or int(given) > 65535:
                raise SettingsError(f"{name} is {given!r}; write a port between 0 and 65535")
            return int(given)
    return 8080


def _release(given: str) -> str:
    if given and not RELEASE.match(given):
        raise SettingsError(f"MLSHIP_RELEASE is {given!r}; a release has letters, digits, dot, dash and underscore only")
    return given or "unreleased"


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    given = environ.get(name, "")
    if not given:
        return default
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise SettingsError(f"{name} is {given!r}; write seconds between 0 and 86400")
    return seconds


def _path(environ: Mapping[str, str], name: str) -> str:
    given = environ.get(name, "")
    if given and not PATH.match(given):
        raise SettingsError(f"{name} is {given[:80]!r}; write a path such as /predict")
    return given


def _switch(environ: Mapping[str, str], name: str) -> bool:
    """On unless it is turned off."""
    given = environ.get(name, "")
    if given not in ("", "0", "1"):
        raise SettingsError(f"{name} is {given!r}; write 0 (off) or 1 (on)")
    return given != "0"


def _share(given: str) -> float:
    try:
        share = float(given or "0")
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(f"MLSHIP_ACCESS_LOG is {given!r}; write 0 (off), 1 (all) or a share such as 0.01")
    return share
