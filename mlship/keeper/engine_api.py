"""The Docker Engine API over its Unix socket, as far as the autoscaler needs it. What goes wrong is a value, not an exception.

https://docs.docker.com/engine/api/v1.41/; an engine that no longer speaks 1.41 is asked in the oldest version that it has.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

VERSION = (1, 41)
TIMEOUT_S = 30.0
FRAME = 8  # bytes before each piece of a program's output: which stream, three zeros, length


@dataclass(frozen=True)
class Failure:
    """The engine said no, or nothing. status: its HTTP status, 0 when it did not answer."""

    status: int
    message: str

    @property
    def is_absence(self) -> bool:
        return self.status == 404

    def __str__(self) -> str:
        return self.message if not self.status else f"{self.status} {self.message}"


@dataclass(frozen=True)
class Container:
    """state: created, running, restarting, paused, exited, dead. addresses: network -> its fixed address there."""

    id: str
    name: str
    labels: Mapping[str, str]
    state: str
    addresses: Mapping[str, str]


class Engine:
    """The engine behind one socket. Each call is a connection of its own, so that a restarted engine is just asked again."""

    def __init__(self, socket_path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._path = socket_path
        self._timeout_s = timeout_s
        self._version = ""

    def containers(self, labels: Iterable[str] = ()) -> tuple[Container, ...] | Failure:
        """Every container, stopped ones too, that carries the labels (`name` or `name=value`)."""
        filters = json.dumps({"label": list(labels)})
        found = self._call("GET", "/containers/json", {"all": "1", "filters": filters})
        return found if isinstance(found, Failure) else tuple(_container(entry) for entry in found)

    def inspect(self, container: str) -> Mapping[str, Any] | Failure:
        return self._document("GET", f"/containers/{quote(container)}/json")

    def network(self, name: str) -> Mapping[str, Any] | Failure:
        return self._document("GET", f"/networks/{quote(name)}")

    def create(self, name: str, body: Mapping[str, Any]) -> str | Failure:
        made = self._document("POST", "/containers/create", {"name": name}, body)
        return made if isinstance(made, Failure) else str(made.get("Id", ""))

    def start(self, container: str) -> Failure | None:
        return self._done("POST", f"/containers/{quote(container)}/start")

    def stop(self, container: str, timeout_s: int) -> Failure | None:
        """Asks it to end and waits; it is killed after timeout_s. One that does not run is no error."""
        return self._done("POST", f"/containers/{quote(container)}/stop", {"t": str(timeout_s)}, wait_s=timeout_s)

    def remove(self, container: str) -> Failure | None:
        """Whatever state it is in; one that is gone, or going, is no error."""
        said = self._done("DELETE", f"/containers/{quote(container)}", {"force": "1", "v": "1"})
        return None if said is not None and said.status in (404, 409) else said

    def cpu_s(self, container: str) -> float | Failure:
        """Seconds of CPU that it used since it was started."""
        said = self._document("GET", f"/containers/{quote(container)}/stats", {"stream": "0", "one-shot": "1"})
        if isinstance(said, Failure):
            return said
        used = ((said.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage")
        return (
            used / 1e9 if isinstance(used, int | float) else Failure(0, "the engine does not tell the CPU time of containers")
        )

    def execute(self, container: str, argv: Sequence[str], timeout_s: float) -> bytes | Failure:
        """Runs a program in a running container and gives what it printed on standard output."""
        wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(argv)}
        made = self._document("POST", f"/containers/{quote(container)}/exec", body=wanted)
        if isinstance(made, Failure):
            return made
        started = {"Detach": False, "Tty": False}
        said = self._exchange("POST", self._versioned(f"/exec/{quote(str(made.get('Id')))}/start"), started, timeout_s)
        return said if isinstance(said, Failure) else _printed(said)

    def _document(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> Mapping[str, Any] | Failure:
        said = self._call(method, path, query, body)
        if isinstance(said, Failure | dict):
            return said
        return Failure(0, f"the engine answered {method} {path} with {type(said).__name__}")

    def _done(self, method: str, path: str, query: Mapping[str, str] | None = None, wait_s: float = 0.0) -> Failure | None:
        said = self._call(method, path, query, wait_s=wait_s)
        return said if isinstance(said, Failure) else None

    def _call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, wait_s: float = 0.0
    ) -> Any:
        """The document of the answer, None where it has none, or a Failure."""
        if not self._version and (failure := self._negotiate()):
            return failure
        asked = f"{path}?{urlencode(query)}" if query else path
        said = self._exchange(method, self._versioned(asked), body, self._timeout_s + wait_s)
        return said if isinstance(said, Failure) else _parsed(said)

    def _versioned(self, path: str) -> str:
        return f"/v{self._version}{path}"

    def _negotiate(self) -> Failure | None:
        said = self._exchange("GET", "/version", None, self._timeout_s)
        if isinstance(said, Failure):
            return said
        told = _parsed(said)
        oldest = told.get("MinAPIVersion", "") if isinstance(told, dict) else ""
        self._version = ".".join(map(str, max(VERSION, _numbers(oldest))))
        return None

    def _exchange(self, method: str, path: str, body: Any, timeout_s: float) -> bytes | Failure:
        connection = _Connection(self._path, timeout_s)
        raw = None if body is None else json.dumps(body).encode()
        headers = {"Connection": "close", **({"Content-Type": "application/json"} if raw else {})}
        try:
            connection.request(method, path, raw, headers)
            response = connection.getresponse()
            said = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._version = ""  # another engine may answer next
            return Failure(0, f"the engine does not answer: {_reason(error)}")
        finally:
            connection.close()
        return said if response.status < 400 else Failure(response.status, _message(said))


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("engine", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _container(listed: Mapping[str, Any]) -> Container:
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    # What is configured first: an engine forgets the other one while the container is stopped.
    fixed = {name: ((end.get("IPAMConfig") or {}).get("IPv4Address") or end.get("IPAddress")) for name, end in networks.items()}
    return Container(
        id=listed["Id"],
        name=(listed.get("Names") or [""])[0].lstrip("/"),
        labels=listed.get("Labels") or {},
        state=listed.get("State", ""),
        addresses={name: address for name, address in fixed.items() if address},
    )


def _printed(framed: bytes) -> bytes:
    """Standard output out of what an engine sends of a program without a terminal."""
    parts = []
    while len(framed) >= FRAME:
        stream, size = framed[0], int.from_bytes(framed[4:FRAME])
        parts.append(framed[FRAME : FRAME + size] if stream == 1 else b"")
        framed = framed[FRAME + size :]
    return b"".join(parts)


def _parsed(raw: bytes) -> Any:
    if not raw.strip():
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return Failure(0, "the engine's answer is not JSON")


def _message(raw: bytes) -> str:
    said = _parsed(raw)
    if isinstance(said, dict):
        return str(said.get("message", "")).strip()
    return raw.decode(errors="replace").strip()[:200]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
