"""Asks the server in the same container: the health check of an image that has no curl. Standard library only."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mlship.server.settings import SettingsError, port_from

TIMEOUT_S = 5.0
POSTED = ("/predict", "/invocations")


def probe(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """`probe [path] [-]`: prints `{"status", "headers", "body"}`. Returns 0 when the status is below 400.

    Standard input is the body where the path takes one, or where `-` says so.
    """
    path = next((argument for argument in arguments if argument != "-"), "/readyz")
    body = sys.stdin.buffer.read() if "-" in arguments or (path in POSTED and not sys.stdin.isatty()) else None
    try:
        answer = ask(port_from(environ), path, body)
    except (OSError, http.client.HTTPException, SettingsError) as error:
        answer = {"status": 0, "headers": {}, "body": "", "error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if 0 < answer["status"] < 400 else 1


def ask(port: int, path: str, body: bytes | None = None, timeout_s: float = TIMEOUT_S, key: str = "") -> dict[str, Any]:
    """One request to 127.0.0.1. key: sent as a bearer token. Raises OSError, http.client.HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        headers = {"content-type": "application/json"} if body is not None else {}
        if key:
            headers["authorization"] = f"Bearer {key}"
        connection.request("GET" if body is None else "POST", path, body, headers)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        return {
            "status": response.status,
            "headers": {name.lower(): value for name, value in response.getheaders()},
            "body": text,
        }
    finally:
        connection.close()
