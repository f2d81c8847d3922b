"""How an engine fails, as errors that say what to do. The client library's are told apart by type and status, never by text."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlship.errors import Exit, MlshipError, need


class EngineRefused(MlshipError):
    """The engine answered, and said no. status: its HTTP status."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what, fix="docker info, docker ps -a", exit=Exit.DENIED, code="engine-refused")
        self.status = status


class NotThere(EngineRefused):
    """What was asked for does not exist at the engine (any more)."""


class Unreachable(MlshipError):
    """No engine answers, or the connection broke. was_cut: a connection that stood was cut; another try may well succeed."""

    def __init__(self, address: str, why: str, *, fix: str = "", was_cut: bool = False, details: tuple[str, ...] = ()) -> None:
        super().__init__(
            f"no Docker engine answers at {address}: {why}",
            fix=fix or "start it (systemctl start docker), or name another one with DOCKER_HOST or docker context use",
            exit=Exit.UNREACHABLE,
            details=details,
        )
        self.was_cut = was_cut


@contextmanager
def translated(address: str) -> Iterator[None]:
    """Turns what the client library raises into NotThere, EngineRefused, Unreachable, or a question of permission."""
    docker, urllib3 = need("docker"), need("urllib3")
    try:
        yield
    except docker.errors.NotFound as error:
        raise NotThere(_explanation(error), 404) from None
    except docker.errors.APIError as error:
        status = int(error.response.status_code) if error.response is not None else 0
        raise EngineRefused(f"the engine refused: {_explanation(error)}", status) from None
    except (docker.errors.DockerException, urllib3.exceptions.HTTPError, OSError) as error:
        raise no_connection(address, error) from None


def no_connection(address: str, error: BaseException) -> MlshipError:
    causes = _causes(error)
    if any(isinstance(cause, PermissionError) for cause in causes):
        return MlshipError(
            f"this user may not open {address}",
            fix="sudo usermod -aG docker $USER, then log in again",
            exit=Exit.DENIED,
            code="engine-denied",
        )
    distrust = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if distrust is not None:
        return _no_trust(address, distrust)
    said = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    if any(isinstance(cause, json.JSONDecodeError) for cause in causes):
        said = ["the connection was cut in the middle of an answer"]
    return Unreachable(address, said[-1] if said else str(error), was_cut=_was_cut(causes))


def _was_cut(causes: list[BaseException]) -> bool:
    """A refused connection, a missing socket and a silent engine were not cut: they are as they are for a while."""
    urllib3 = need("urllib3")
    reset = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)
    cut = (*reset, urllib3.exceptions.ProtocolError, json.JSONDecodeError)
    silent = (TimeoutError, urllib3.exceptions.TimeoutError, ConnectionRefusedError, FileNotFoundError)
    return any(isinstance(cause, cut) for cause in causes) and not any(isinstance(cause, silent) for cause in causes)


def _no_trust(address: str, error: ssl.SSLError) -> MlshipError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return MlshipError(
            f"the certificate of the engine at {address} is not trusted: {error.verify_message}",
            where="DOCKER_CERT_PATH",
            fix="put the authority that signed it into ca.pem there",
            exit=Exit.DENIED,
            code="engine-tls",
        )
    return MlshipError(
        f"the engine at {address} refuses the TLS connection: {error.reason or error}",
        where="DOCKER_CERT_PATH",
        fix="it wants a client's certificate that its own authority signed: cert.pem and key.pem there",
        exit=Exit.DENIED,
        code="engine-tls",
    )


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all that led to it: client libraries keep the first one as cause, context or argument."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop()
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            waiting += [cause.__cause__, cause.__context__, *cause.args]
        elif isinstance(cause, tuple):
            waiting += cause
    return found


def _explanation(error: Any) -> str:
    return str(error.explanation or error).strip()
