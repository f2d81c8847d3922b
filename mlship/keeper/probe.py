"""Asks a model server, in the same container or in the same network, for callers that cannot reach it otherwise."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import time
from collections.abc import Mapping
from typing import Any

from mlship.keeper.records import Refused, Reply

PAUSE_S = 0.05
LOOPBACK = "127.0.0.1"


def probe(request: Mapping[str, Any]) -> dict[str, Any]:
    """{"method", "path", "port", "timeout_s"} with "body" (base64), "content_type", "accept", "wait_s", "tls", "key" where wanted.

    wait_s: ask again until the answer is 200 or this many seconds are over. Gives {"status", "headers", "body" (base64)};
    status 0: nothing answered, and "error" says why.
    """
    deadline = time.monotonic() + float(request.get("wait_s", 0.0))
    while True:
        answer = _ask(request)
        if answer["status"] == 200 or time.monotonic() >= deadline:
            return answer
        time.sleep(PAUSE_S)


def ask(
    address: str,
    port: int,
    method: str,
    path: str,
    timeout_s: float,
    body: str = "",
    content_type: str = "application/json",
    accept: str = "application/json",
    wait_s: float = 0.0,
    tls: bool = False,
    key: str = "",
) -> Reply:
    """The same of the server at an IPv4 address. Raises Refused.

    tls: of the front itself, whose certificate is not judged on the loopback: nobody else can listen there.
    """
    try:
        if str(ipaddress.IPv4Address(address)) != address:
            raise ValueError(address)
    except ValueError:
        raise Refused("invalid", f"{address!r} is no IPv4 address") from None
    if tls and address != LOOPBACK:
        raise Refused("invalid", f"{address} is not the front's loopback")
    return probe(
        {
            "address": address, "port": port, "method": method, "path": path, "timeout_s": timeout_s, "body": body,
            "content_type": content_type, "accept": accept, "wait_s": wait_s, "tls": tls,
            "key": key,
        }
    )  # fmt: skip


def _ask(request: Mapping[str, Any]) -> dict[str, Any]:
    connection = _connection(request)
    body = base64.b64decode(request.get("body", ""))
    kind = request.get("content_type", "application/json")
    headers = {"Accept": request.get("accept", "application/json")} | ({"Content-Type": kind} if body else {})
    if request.get("key"):
        headers["Authorization"] = f"Bearer {request['key']}"
    try:
        connection.request(request["method"], request["path"], body or None, headers)
        response = connection.getresponse()
        said = response.read()
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "headers": {}, "body": "", "error": _reason(error)}
    finally:
        connection.close()
    return {
        "status": response.status,
        "headers": {name.lower(): value for name, value in response.getheaders()},
        "body": base64.b64encode(said).decode(),
    }


def _connection(request: Mapping[str, Any]) -> http.client.HTTPConnection:
    address, port, timeout_s = request.get("address", LOOPBACK), int(request["port"]), float(request["timeout_s"])
    if not request.get("tls"):
        return http.client.HTTPConnection(address, port, timeout=timeout_s)
    import ssl  # it takes longer to import than all else here, and few fronts have certificates

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(address, port, timeout=timeout_s, context=context)


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"
