"""Asks a model server: through its published port as callers do, or from inside its container."""

from __future__ import annotations

import base64
import http.client

from mlship.targets.base import Answer, Request
from mlship.targets.docker.engine import Container, Engine, EngineRefused
from mlship.targets.docker.spec import INNER_PORT, LIBRARY, Address
from mlship.targets.docker.stream import Broken

READY = Request("GET", "/readyz", timeout_s=2.0)
# What an exec itself may take beside the request, on a busy machine.
EXEC_MARGIN_S = 20.0


def ask_published(address: Address, request: Request) -> Answer:
    """From this machine to the published port. Never through a proxy."""
    connection = http.client.HTTPConnection(address.reachable, address.port, timeout=request.timeout_s)
    headers = {"Accept": request.accept} | ({"Content-Type": request.content_type} if request.body else {})
    try:
        connection.request(request.method, request.path, request.body or None, headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, f"{request.method} {address.url}{request.path}: {error or type(error).__name__}".encode())
    finally:
        connection.close()
    return Answer(response.status, body, {name.lower(): value for name, value in response.getheaders()})


def ask_inside(engine: Engine, container: Container, request: Request, wait_s: float = 0.0) -> Answer:
    """By the keeper's probe in the container itself, so that it works at 0 % and on a remote engine.

    wait_s: asked again until the answer is 200 or this many seconds are over.
    """
    argv = [container.python, "-s", "-S", "-P", "-m", "mlship.keeper", "probe"]
    question = {
        "method": request.method,
        "path": request.path,
        "body": base64.b64encode(request.body).decode(),
        "content_type": request.content_type,
        "accept": request.accept,
        "port": INNER_PORT,
        "timeout_s": request.timeout_s,
        "wait_s": wait_s,
    }
    try:
        talk = engine.execute(container.id, argv, {"PYTHONPATH": LIBRARY}, request.timeout_s + wait_s + EXEC_MARGIN_S)
    except EngineRefused as refused:
        return Answer(0, f"{container.name}: {refused.what}".encode())
    try:
        said = talk.ask(question)
    except Broken as broken:
        return Answer(0, f"{container.name}: {broken}".encode())
    finally:
        talk.close()
    if not said["status"]:
        return Answer(0, str(said["error"]).encode())
    return Answer(said["status"], base64.b64decode(said["body"]), said["headers"])
