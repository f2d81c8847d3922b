"""A server of bench's own: started from the built image on this machine, and ended again."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlship.bench.machine import allowed_cores, memory_of
from mlship.bench.question import Address
from mlship.disk import scratch_folder
from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context
from mlship.flows.run import from_image
from mlship.runner import Command, Process

HOST = "127.0.0.1"
PAUSE_S = 0.005
ANSWER_S = 30.0  # for one answer while it starts
DRAIN_S = 30.0  # how long requests under way may take at its end
LINES = 8


@dataclass(frozen=True)
class Started:
    """cold_start_s: from its start to the first right answer, its files unpacked and in the page cache."""

    address: Address
    process: Process
    cold_start_s: float

    def memory(self) -> int | None:
        """Bytes of all its processes now."""
        return memory_of(self.process.pid)


@dataclass(frozen=True)
class Recipe:
    """content: of the image. settings: the server's environment. request: asked until it is answered. startup_s: at most."""

    content: str
    settings: Mapping[str, str]
    request: Callable[[Address], bytes]
    is_right: Callable[[int, bytes], bool]
    startup_s: float


@contextmanager
def served(context: Context, recipe: Recipe, *, one_core: bool = False) -> Iterator[Started]:
    """one_core: the server and all its processes share the last of the cores that this process may use.

    Raises MlshipError with exit 5 when it ends by itself, or never answers rightly.
    """
    address = Address(HOST, free_port())
    settings = {**recipe.settings, "MLSHIP_HOST": HOST, "PORT": str(address.port)}
    with from_image(context, recipe.content, settings) as start, scratch_folder(context.home.cache / "work") as folder:
        log = folder / "server.log"
        began = time.perf_counter()
        process = _started(context, start, log, allowed_cores()[-1:] if one_core else ())
        try:
            _wait(process, recipe, address, log)
            yield Started(address, process, time.perf_counter() - began)
        finally:
            _end(process)


def free_port() -> int:
    """One that nobody listens on now."""
    import socket

    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _started(context: Context, start: Command, log: Path, cores: tuple[int, ...]) -> Process:
    """A program inherits the cores of who starts it."""
    if not cores:
        return context.runner.start(start, log=log)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        return context.runner.start(start, log=log)
    finally:
        os.sched_setaffinity(0, before)


def _wait(process: Process, recipe: Recipe, address: Address, log: Path) -> None:
    """Until the first right answer."""
    deadline = time.monotonic() + recipe.startup_s
    said = b""
    while process.poll() is None and time.monotonic() < deadline:
        status, said = _asked(recipe.request(address), address)
        if recipe.is_right(status, said):
            return
        time.sleep(PAUSE_S)
    code = process.poll()
    what = f"the server ended by itself (exit {code})" if code is not None else f"no right answer in {recipe.startup_s:g} s"
    raise MlshipError(
        f"{what}; nothing was measured",
        fix="mlship run shows it at work",
        exit=Exit.BUILD_FAILED,
        code="not-served",
        details=(*([said.decode(errors="replace")[:400]] if said else []), *_last_lines(log)),
    )


def _asked(request: bytes, address: Address) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own; status 0 where nothing answers."""
    import socket

    try:
        with socket.create_connection((address.host, address.port), timeout=ANSWER_S) as connection:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection, method="POST")
            answer.begin()
            return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""


def _last_lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-LINES:] if log.exists() else []


def _end(process: Process) -> None:
    """Politely, and for certain."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + DRAIN_S
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()
