"""run: serves in the foreground until it is interrupted, from the image's own files or from the user's environment."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import mlship
from mlship.disk import scratch_folder
from mlship.errors import MlshipError
from mlship.flows.build import built_records
from mlship.flows.building.images import workplace_of
from mlship.flows.context import Context, Where
from mlship.flows.fitting import fitting, refuse_unbuilt
from mlship.flows.gather import Gathered, gather, own_platform, refuse_errors
from mlship.flows.opening import project_of
from mlship.flows.secrets import read_here
from mlship.flows.told_python import told_python
from mlship.flows.training import load_in_training, staged
from mlship.frameworks.child import child_python
from mlship.image.manifest import manifest
from mlship.image.packages.wheels import server_keys, server_wheels
from mlship.image.plan import entrypoint
from mlship.oci.driver import with_driver
from mlship.oci.rootfs import assemble, command
from mlship.runner import Command, Process
from mlship.server.manifest import to_json


def run(context: Context, where: Where, *, source: bool = False, port: int | None = None, python: str = "") -> int:
    """The server's exit code. port: 8080 when left out. source: the training environment's Python runs the server (macOS too)."""
    project = project_of(context, where)
    given = read_here(context, project)
    for finding in given.findings:  # a model may do without one; a deployment may not
        context.progress.step("secrets", str(finding))
    release = "r0-source" if source else "r0-image"
    settings = {"MLSHIP_HOST": "127.0.0.1", "MLSHIP_RELEASE": release, **project.env, **given.values}
    settings["PORT"] = str(port or 8080)
    _refuse_taken(settings["MLSHIP_HOST"], int(settings["PORT"]))
    if source:
        gathered = refuse_errors(gather(context, project, python or told_python(context, project)))
        with _from_source(context, gathered, settings) as started:
            return serve(context, started)
    here = own_platform()
    refuse_unbuilt(project, here, "this machine")
    record = fitting(built_records(context, project, python), here)
    with from_image(context, record.content, settings) as started:
        return serve(context, started)


@contextmanager
def from_image(context: Context, content: str, settings: dict[str, str]) -> Iterator[Command]:
    """How the image's server is started on this machine; its files lie unpacked until the end. settings: environment, PORT too."""
    workplace = workplace_of(context)
    image = workplace.layout.find(content)
    with scratch_folder(context.home.cache / "work") as folder:
        root = assemble(workplace.layout, image, folder / "rootfs", context.home)
        config = image.config["config"]
        environ = with_driver(root, {**dict(line.split("=", 1) for line in config["Env"]), **settings})
        yield command(root, (*config["Entrypoint"], "serve"), environ)


@contextmanager
def _from_source(context: Context, gathered: Gathered, settings: dict[str, str]) -> Iterator[Command]:
    """The training environment's interpreter with the server beside the user's own packages."""
    python = gathered.environment.trained_by
    if python is None:
        raise MlshipError(
            f"{gathered.environment.source} names packages, not an interpreter",
            fix="mlship run --source --python PATH, or mlship run without --source",
            code="no-interpreter",
        )
    spec = gathered.specs[0]
    loaded = load_in_training(context, python, spec)
    own = server_wheels(
        context.home,
        python_minor=gathered.environment.minor,
        indexes=gathered.indexes,
        runner=context.runner,
        progress=context.progress,
        project_root=gathered.project.root,
        python=python,
        keys=server_keys(gathered.project),
    )
    with staged(spec) as root:
        described = manifest(gathered.project, gathered.specs, {spec.name: loaded.signature}, mlship.__version__)
        (root / "manifest.json").write_bytes(to_json(described))
        child = child_python(python, context.home, context.environ, (own, root / "code"))
        environ = {**child.environ, **settings, "MLSHIP_MANIFEST": str(root / "manifest.json")}
        start = entrypoint(str(python)).argv
        yield Command((*child.argv, *start[1:], "serve"), environ=environ)


def _refuse_taken(host: str, port: int) -> None:
    """Before anything is built for it. Raises MlshipError where the port cannot be listened on."""
    import socket

    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise MlshipError(
            f"port {port} of {host} cannot be listened on: {error.strerror}",
            fix="mlship run --port N takes another one",
            code="port-taken",
        ) from None


def serve(context: Context, start: Command) -> int:
    """Hands an interrupt on and waits for requests under way."""
    process: Process | None = None
    try:
        with _interrupts_held():
            process = context.runner.start(start, attached=True)
        context.progress.step("serve", f"http://127.0.0.1:{start.whole_environ()['PORT']}  (docs at /docs, Ctrl-C ends it)")
        return process.wait()
    except KeyboardInterrupt:
        if process is None:
            raise
        return drained(process)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """An interrupt meanwhile is raised at the end: a server that was being started would be nobody's."""
    came: list[int] = []
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if callable(signal.getsignal(number))]
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def drained(process: Process) -> int:
    """The exit code of a server that is told to end; a second interrupt ends the requests under way, too, and a third one all."""
    code = _ended(process, signal.SIGTERM, signal.SIGTERM, signal.SIGKILL)
    return code if code >= 0 else 128 - code  # of a signal that came before it listened for one


def _ended(process: Process, first: int, *then: int) -> int:
    """then: what it is told by each interrupt more. It has a process group of its own, so that nobody else would end it."""
    try:
        process.send_signal(first)
        return process.wait()
    except KeyboardInterrupt:
        if not then:
            raise
        return _ended(process, *then)
