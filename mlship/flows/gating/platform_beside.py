"""A platform that its containers ask: played by a second container from the same image, whose network the first one shares.

So nothing of this machine has to be reached from inside a container, wherever the engine is.
"""

from __future__ import annotations

import importlib.util
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlship.flows.benching.server import HOST
from mlship.targets.caller import Caller
from mlship.targets.docker.engine import Engine

API_PORT = 9001
MIB = 2**20


@contextmanager
def played(engine: Engine, caller: Caller, body: Mapping[str, Any], interpreter: str, port: int) -> Iterator[Mapping[str, Any]]:
    """The container's body with all that leads it to its platform; unchanged for a platform that asks the container.

    body: of POST /containers/create. port: of this machine, where the platform is asked. Gone afterwards, whatever happened.
    """
    if not caller.beside:
        yield body
        return
    name = f"mlship-test-{caller.name}-{secrets.token_hex(4)}"
    made = engine.create(name, beside_body(caller, body, interpreter, port))
    try:
        engine.start(made)
        yield joined(body, made)
    finally:
        engine.remove(made)


def beside_body(caller: Caller, body: Mapping[str, Any], interpreter: str, port: int) -> dict[str, Any]:
    """Of the second container: the image's own interpreter runs the platform's program."""
    inner = f"{caller.port}/tcp"
    told = {
        "MLSHIP_PLAYED_TIMEOUT_S": f"{caller.answer_s:g}",
        "MLSHIP_PLAYED_API": str(API_PORT),
        "MLSHIP_PLAYED_FRONT": str(caller.port),
    }
    return {
        "Image": body["Image"],
        "Entrypoint": [interpreter, "-S", "-c", program(caller.beside)],
        "Cmd": [],
        "Env": [f"{key}={text}" for key, text in sorted(told.items())],
        "ExposedPorts": {inner: {}},
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": body["Labels"],
        "HostConfig": {
            "Memory": 256 * MIB,
            "PortBindings": {inner: [{"HostIp": HOST, "HostPort": str(port)}]},
            "ReadonlyRootfs": True,
        },
    }


def joined(body: Mapping[str, Any], beside: str) -> dict[str, Any]:
    """The container in the other one's network; its own variables say where the platform is there."""
    host = {key: value for key, value in body["HostConfig"].items() if key != "PortBindings"}
    memory = str(int(host["Memory"]) // MIB)
    led = [f"AWS_LAMBDA_RUNTIME_API=127.0.0.1:{API_PORT}", f"AWS_LAMBDA_FUNCTION_MEMORY_SIZE={memory}"]
    kept = {key: value for key, value in body.items() if key != "ExposedPorts"}
    # Lambda has none: nothing that is shared between processes can be made there
    host["Tmpfs"] = {**host.get("Tmpfs", {}), "/dev/shm": "ro,size=4k"}  # noqa: S108 -- inside the container
    return {**kept, "Env": [*body["Env"], *led], "HostConfig": {**host, "NetworkMode": f"container:{beside}"}}


def program(module: str) -> str:
    """The source of a module that needs nothing but the standard library."""
    found = importlib.util.find_spec(module)
    assert found is not None and found.origin is not None, module
    return Path(found.origin).read_text()
