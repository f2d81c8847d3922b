"""Asks a model server: through the published port as callers do, or from inside, over the project's own network."""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from mlship.errors import MlshipError
from mlship.targets.base import Answer, Request
from mlship.targets.docker.certificate import is_pinned, pinned
from mlship.targets.docker.spec import INNER_PORT, Address

READY = Request("GET", "/readyz", timeout_s=2.0)
LOOPBACK = "127.0.0.1"  # of the front, for a keeper that runs in it

AskKeeper = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def ask_published(address: Address, request: Request, chain: str | None = None) -> Answer:
    """From this machine to the published port. Never through a proxy.

    chain: of the front's certificate, where it has one. It is made out to the name that callers use, which this command does
    not know; so this very certificate is taken, and no other one.
    """
    if chain == "":
        return Answer(0, b"the front's certificate is not on its volume: nobody could tell who answers")
    connection = _connection(address, request.timeout_s, chain)
    headers = request.headers | ({"Content-Type": request.content_type} if request.body else {})
    try:
        connection.connect()
        if isinstance(connection.sock, ssl.SSLSocket) and not is_pinned(chain or "", connection.sock.getpeercert(True)):
            return Answer(0, b"another certificate than the front's answers")
        connection.request(request.method, request.path, request.body or None, headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, f"{request.method} {address.url}{request.path}: {error or type(error).__name__}".encode())
    finally:
        connection.close()
    return Answer(response.status, body, {name.lower(): value for name, value in response.getheaders()})


def ask_inside(keeper: AskKeeper, address: str, request: Request, wait_s: float = 0.0, tls: bool = False) -> Answer:
    """By the keeper on the project's network. wait_s: asked again until the answer is 200 or this many seconds are over.

    tls: for the front's own loopback, where nobody else can answer.
    """
    question = {
        "op": "ask",
        "address": address,
        "port": INNER_PORT,
        "method": request.method,
        "path": request.path,
        "body": base64.b64encode(request.body).decode(),
        "content_type": request.content_type,
        "accept": request.accept,
        "timeout_s": request.timeout_s,
        "wait_s": wait_s,
        **({"tls": True} if tls else {}),
        **({"key": request.key} if request.key else {}),
    }
    try:
        said = keeper(question)
    except MlshipError as error:
        return Answer(0, error.what.encode())
    if not said.get("ok"):
        return Answer(0, str(said.get("message", "the keeper did not ask")).encode())
    if not said["status"]:
        return Answer(0, str(said["error"]).encode())
    return Answer(said["status"], base64.b64decode(said["body"]), said["headers"])


def _connection(address: Address, timeout_s: float, chain: str | None) -> http.client.HTTPConnection:
    if chain is None:
        return http.client.HTTPConnection(address.reachable, address.port, timeout=timeout_s)
    return http.client.HTTPSConnection(address.reachable, address.port, timeout=timeout_s, context=pinned(chain))
