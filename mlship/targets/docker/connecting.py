"""Which engine is meant, and the client library's connection to it: a Unix socket, TCP with or without TLS, or ssh."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlship.errors import Exit, MlshipError, need
from mlship.runner import Runner
from mlship.targets.docker import ssh
from mlship.targets.docker.failures import Unreachable, translated

DEFAULT = "unix:///var/run/docker.sock"


def dialled(environ: Mapping[str, str], runner: Runner, timeout_s: int) -> tuple[Any, str]:
    """docker-py's client and the address as the user named it: DOCKER_HOST, else the context, else the default socket.

    Raises Unreachable, and MlshipError with exit 8 where this user is not let in.
    """
    need("docker")
    address, tls = _meant(environ)
    options: dict[str, Any] = {"version": "auto", "timeout": timeout_s, "tls": tls or False}
    try:
        with translated(address):
            if address.startswith("ssh://"):
                return ssh.client(address, runner, environ, timeout_s), address
            import docker

            return docker.APIClient(base_url=address, **options), address
    except Unreachable:
        if address.startswith("ssh://"):
            raise ssh.diagnosis(address, runner, environ) from None
        raise


def _meant(environ: Mapping[str, str]) -> tuple[str, Any]:
    """Address, and the TLS settings of DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, or the context's."""
    from docker.utils import kwargs_from_env

    host = environ.get("DOCKER_HOST", "")
    context = None if host else _context(environ)
    if context is not None:
        return context.Host, context.TLSConfig
    address = host or DEFAULT
    if not address.startswith(("tcp://", "https://")):
        return address, None
    _check_certificates(environ)
    return address, kwargs_from_env({**environ, "DOCKER_HOST": address}).get("tls")


def _context(environ: Mapping[str, str]) -> Any:
    """The context that DOCKER_CONTEXT or `docker context use` names, None for the default one."""
    from docker.context import ContextAPI
    from docker.context.config import get_current_context_name

    named = environ.get("DOCKER_CONTEXT") or get_current_context_name()
    if named in ("", "default"):
        return None
    context = ContextAPI.get_context(named)
    if context is None:
        raise MlshipError(f"there is no docker context {named!r}", fix="docker context ls", code="no-context")
    return context


def _check_certificates(environ: Mapping[str, str]) -> None:
    folder = environ.get("DOCKER_CERT_PATH", "")
    missing = [name for name in ("ca.pem", "cert.pem", "key.pem") if folder and not (Path(folder) / name).is_file()]
    if missing:
        raise MlshipError(
            f"there is no {' and no '.join(missing)} in {folder}",
            where="DOCKER_CERT_PATH",
            fix="put the engine's authority (ca.pem) and this user's certificate and key (cert.pem, key.pem) there",
            exit=Exit.DENIED,
            code="engine-tls",
        )
