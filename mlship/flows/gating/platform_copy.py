"""One copy of the built image at a Docker engine, as a platform runs it: made, watched, stopped with its grace, and gone."""

from __future__ import annotations

import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from mlship.bench.question import Address
from mlship.config.project import Project
from mlship.errors import Exit, MlshipError
from mlship.flows.benching.server import HOST, free_port
from mlship.flows.context import Context
from mlship.flows.gating.platform_words import Listener, last_words, listeners
from mlship.image.record import BuildRecord
from mlship.image.variants import derived
from mlship.image.workplace import Workplace
from mlship.oci.image import Image
from mlship.targets.caller import Caller
from mlship.targets.docker.delivery import deliver, present
from mlship.targets.docker.engine import Engine, connect
from mlship.targets.docker.gpus import device_requests
from mlship.targets.docker.loading import Sendings
from mlship.targets.docker.spec import image_tag
from mlship.targets.docker.stream import Broken

LABEL = "mlship.test"  # on every container that is made here: name of the project
LEFT_S = 1800.0  # older ones are of a test that was killed
LOG_LINES = 12
LOOK_S = 15.0  # for the program that reads the sockets
TMP = "rw,nosuid,nodev,mode=1777"
HERE = ("127.0.0.1", "localhost")
# Written as the engine's conversations are: a length, then JSON (targets/docker/stream.py)
_SOCKETS = (
    "import json, os; at = '/proc/net/';"
    "raw = json.dumps({name: open(at + name).read() for name in ('tcp', 'tcp6') if os.path.exists(at + name)});"
    "print(len(raw), raw, sep='\\n', end='')"
)


@dataclass
class Copy:
    """A container that runs. address: where it is asked from here. grace_s: from SIGTERM to SIGKILL."""

    engine: Engine
    id: str
    address: Address
    grace_s: float
    interpreter: str
    began: float
    _stopping: list[threading.Thread] = field(default_factory=list)

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        seen = self.engine.container(self.id)
        return None if seen is not None and seen.is_running else seen.exit_code if seen else 0

    def send_signal(self, signal_: int) -> None:
        """SIGTERM, and SIGKILL when the grace is over: the engine's own stop, as every platform has it."""
        if signal_ != signal.SIGTERM:
            raise ValueError(f"a platform ends a container with SIGTERM, not {signal_}")
        thread = threading.Thread(target=self.engine.stop, args=(self.id, int(self.grace_s)), daemon=True)
        self._stopping.append(thread)
        thread.start()

    @property
    def is_out_of_memory(self) -> bool:
        seen = self.engine.container(self.id)
        return seen is not None and seen.out_of_memory

    def last_words(self) -> tuple[str, tuple[str, ...]]:
        """Why it failed, in its own words, and the end of its log."""
        lines = tuple(text for _, text in self.engine.logs(self.id, LOG_LINES))
        return last_words(lines), lines

    def listeners(self) -> tuple[Listener, ...]:
        """Where its processes listen; nothing where that cannot be seen."""
        with suppress(Broken, MlshipError):
            talk = self.engine.execute(self.id, [self.interpreter, "-S", "-c", _SOCKETS], {}, LOOK_S)
            try:
                return listeners(talk.ask({}))
            finally:
                talk.close()
        return ()

    def is_open(self, timeout_s: float) -> bool:
        """Whether somebody listens. A published port is the engine's: behind a closed one the connection ends at once."""
        try:
            with socket.create_connection((self.address.host, self.address.port), timeout=timeout_s) as connection:
                connection.settimeout(0.2)
                return bool(connection.recv(1))
        except TimeoutError:
            return True
        except OSError:
            return False


def engine_here(context: Context) -> Engine:
    """Raises MlshipError (exit 13) where no engine answers, or one whose ports are another machine's."""
    try:
        engine = connect(context.environ, context.runner)
    except MlshipError as error:
        error.what = f"--as runs the image at a Docker engine: {error.what}"
        raise
    if engine.host not in HERE:
        raise MlshipError(
            f"the engine at {engine.address} is another machine: its containers cannot be called from here",
            fix="run mlship test --as on that machine, or name an engine of this one with DOCKER_HOST or docker context use",
            exit=Exit.UNREACHABLE,
            code="engine-elsewhere",
        )
    return engine


@contextmanager
def delivered(context: Context, engine: Engine, project: Project, record: BuildRecord) -> Iterator[str]:
    """Its tag at the engine; an image that was not there before is gone afterwards. Raises MlshipError."""
    layout = workplace_of(context).layout
    found = engine.facts().platform
    if found != record.platform:
        raise MlshipError(
            f"the image {record.content} is for {record.platform}, the engine at {engine.address} runs {found}",
            fix=f"mlship build, with build: {{platforms: [{found}]}}",
            code="wrong-platform",
        )
    was_there = present(engine, record.content) is not None
    deliver(engine, layout, project.name, record.content, Sendings(context.progress))
    tag = image_tag(project.name, record.content)
    try:
        yield tag
    finally:
        if not was_there:
            engine.remove_image(tag)


def workplace_of(context: Context) -> Workplace:
    return Workplace(context.home, context.runner, context.progress, context.environ)


def variant_of(context: Context, record: BuildRecord, caller: Caller) -> Image:
    """The image as the platform gets it from a registry. The same content: other media types, compression and user."""
    workplace = workplace_of(context)
    return derived(workplace, workplace.layout.find(record.content), caller.push)


@contextmanager
def running(
    context: Context, engine: Engine, caller: Caller, body: Mapping[str, Any], project: Project, port: int
) -> Iterator[Copy]:
    """body: of POST /containers/create. The container is gone afterwards, whatever happened."""
    _clear(context, engine, project.name)
    name = f"mlship-test-{project.name}-{caller.name}-{secrets.token_hex(3)}"
    made = engine.create(name, body)
    try:
        began = time.monotonic()
        engine.start(made)
        seen = engine.container(made)
        yield Copy(engine, made, Address(HOST, port), caller.grace_s, seen.python if seen else "", began)
    finally:
        engine.remove(made)


def body_of(
    caller: Caller, tag: str, variant: Image, project: Project, given: Mapping[str, str], cpus: int, gpus: int
) -> tuple[dict[str, Any], int]:
    """Of POST /containers/create, and the port on this machine. given: the project's variables. cpus: that the engine has.

    gpus: that the image is made for.
    """
    config, inner, port = variant.config["config"], f"{caller.port}/tcp", free_port()
    cpu, memory = project.resources.cpu, project.resources.memory
    host: dict[str, Any] = {
        "Memory": memory.bytes,
        "MemorySwap": memory.bytes,
        "NanoCpus": min(cpu.milli, cpus * 1000) * 1_000_000,
        "PortBindings": {inner: [{"HostIp": HOST, "HostPort": str(port)}]},
        "ReadonlyRootfs": caller.read_only,
        "Tmpfs": dict.fromkeys(caller.writable if caller.read_only else caller.in_memory, TMP),
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
        **({"DeviceRequests": device_requests(gpus, 1)} if gpus else {}),
    }
    body: dict[str, Any] = {
        "Image": tag,
        "User": caller.user or config.get("User", ""),
        "Env": [f"{name}={text}" for name, text in sorted({**given, **caller.environ}.items())],
        "ExposedPorts": {inner: {}},
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "Labels": {LABEL: project.name},
        "HostConfig": host,
        **({"Cmd": list(caller.arguments)} if caller.arguments else {}),
    }
    return body, port


def _clear(context: Context, engine: Engine, project: str) -> None:
    """What a test that was killed left."""
    for found in engine.containers([f"{LABEL}={project}"]):
        if context.clock() - found.created > LEFT_S:
            engine.remove(found.id)
