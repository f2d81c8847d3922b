"""Which engine is meant, and the client library's connection to it: a Unix socket, TCP with or without TLS, or ssh."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlship.errors import Exit, MlshipError, need
from mlship.runner import Runner
from mlship.targets.docker import ssh
from mlship.targets.docker.failures import Unreachable, translated

OLDEST_API = "1.41"  # of engine 20.10
DEFAULT = "unix:///var/run/docker.sock"


def dialled(environ: Mapping[str, str], runner: Runner, timeout_s: int) -> tuple[Any, str]:
    """docker-py's client and the address as the user named it: DOCKER_HOST, else the context, else the default socket.

    Raises Unreachable, and MlshipError with exit 8 where this user is not let in.
    """
    need("docker")
    address, tls = _meant(environ)
    try:
        with translated(address):
            if address.startswith("ssh://"):
                over_ssh = ssh.transport(address, runner, environ, timeout_s)
                return _client(lambda api: api.mount("http+docker://", over_ssh), ssh.PLACEHOLDER, False, timeout_s), address
            return _client(lambda api: _without_surroundings(api, address) if tls else None, address, tls, timeout_s), address
    except MlshipError as error:
        if address.startswith("ssh://") and (isinstance(error, Unreachable) or error.code == "missing-program"):
            raise ssh.diagnosis(address, runner, environ) from None
        raise


def _client(prepare: Callable[[Any], None], address: str, tls: Any, timeout_s: int) -> Any:
    """docker-py's client, prepared before its first call. The library asks for the version while it makes a client, so one

    of a version that all engines know asks, and another one of theirs is made.
    """
    import docker

    asking = docker.APIClient(base_url=address, version=OLDEST_API, timeout=timeout_s, tls=tls or False)
    prepare(asking)
    version = asking.version(api_version=False)["ApiVersion"]
    speaking = docker.APIClient(base_url=address, version=version, timeout=timeout_s, tls=tls or False)
    prepare(speaking)
    return speaking


def _without_surroundings(api: Any, address: str) -> None:
    """REQUESTS_CA_BUNDLE would be believed before the engine's own authority; proxies are taken as they are everywhere."""
    from requests.utils import get_environ_proxies

    api.trust_env = False
    api.proxies = get_environ_proxies(address.replace("tcp://", "https://"))


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
