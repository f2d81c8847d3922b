"""The runtime API of Lambda: what it hands over, and what it is told. Standard library only.

Source: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes" (read 2026-11), version 2018-06-01.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

BASE = "/2018-06-01/runtime"
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
TOLD_S = 30.0  # for what is told; the next event may be days away
TOO_LARGE = 413


class Lost(Exception):
    """The runtime API is not what it was: this process has to end, and Lambda makes another."""


@dataclass(frozen=True)
class Invocation:
    """One event. deadline_s: seconds since the epoch, when Lambda gives the answer up. trace: for X-Ray, mostly empty."""

    id: str
    deadline_s: float
    body: bytes
    trace: str = ""


class RuntimeApi:
    """One process's conversation. address: AWS_LAMBDA_RUNTIME_API, `127.0.0.1:9001`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: http.client.HTTPConnection | None = None

    def next(self) -> Invocation:
        """Waits for it. Raises Lost."""
        status, headers, body = self._ask("GET", "/invocation/next", b"", {}, None)
        given = headers.get("lambda-runtime-deadline-ms", "")
        if status != 200 or not given.isdigit():
            raise Lost(f"the runtime API answers {status} to a request for the next event: {body[:200]!r}")
        invocation = headers.get("lambda-runtime-aws-request-id", "")
        return Invocation(invocation, int(given) / 1000, body, headers.get("lambda-runtime-trace-id", ""))

    def respond(self, invocation: str, answer: bytes) -> bool:
        """False for an answer that is too large. Raises Lost."""
        status = self._tell(f"/invocation/{invocation}/response", answer, {})
        return status != TOO_LARGE

    def fail(self, invocation: str, error: dict[str, Any]) -> None:
        """Raises Lost."""
        self._tell(f"/invocation/{invocation}/error", json.dumps(error).encode(), {ERROR_TYPE: str(error["errorType"])})

    def fail_start(self, error: dict[str, Any]) -> None:
        """There will be no loop. Raises Lost."""
        self._tell("/init/error", json.dumps(error).encode(), {ERROR_TYPE: str(error["errorType"])})

    def _tell(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        status, _, said = self._ask("POST", path, body, {"Content-Type": "application/json", **headers}, TOLD_S)
        if status >= 500 or status == 403:  # "container error, non-recoverable state: the runtime should exit promptly"
            raise Lost(f"the runtime API answers {status} to {path}: {said[:200]!r}")
        return status

    def _ask(
        self, method: str, path: str, body: bytes, headers: dict[str, str], timeout_s: float | None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = self._connection = self._connection or http.client.HTTPConnection(self._address)
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        try:
            connection.request(method, BASE + path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection = None
            raise Lost(f"the runtime API at {self._address} does not answer: {type(error).__name__}: {error}") from error
