"""The door to one Docker engine: its calls, its answers as values, its failures as errors that say what to do."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlship.errors import Exit, MlshipError, need
from mlship.oci.image import CONTENT_LABEL
from mlship.targets.docker.spec import INNER_PORT, Address
from mlship.targets.docker.stream import Conversation

CALL_TIMEOUT_S = 60.0
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv8l": "arm64"}


class EngineRefused(MlshipError):
    """The engine answered, and said no. status: its HTTP status."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what, fix="docker info, docker ps -a", exit=Exit.DENIED, code="engine-refused")
        self.status = status


class NotThere(EngineRefused):
    """What was asked for does not exist at the engine (any more)."""


class Unreachable(MlshipError):
    """No engine answers; nothing was changed by this call."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(
            f"no Docker engine answers at {address}: {why}",
            fix="start it (systemctl start docker), or name another one with DOCKER_HOST or docker context use",
            exit=Exit.UNREACHABLE,
        )


@dataclass(frozen=True)
class Container:
    """A container as the engine sees it.

    state: created, running, restarting, paused, exited, dead. started: seconds since the epoch, 0 when never.
    published: where callers reach it, as configured, also while it is stopped. python: the interpreter of its image.
    addresses: network -> its fixed address there, as configured, also while it is stopped. pid: on the engine's machine.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    state: str
    exit_code: int = 0
    out_of_memory: bool = False
    restarts: int = 0
    started: float = 0.0
    created: float = 0.0
    complaint: str = ""
    image: str = ""
    memory: int = 0
    published: Address | None = None
    python: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict)
    pid: int = 0

    @property
    def is_running(self) -> bool:
        return self.state == "running"


@dataclass(frozen=True)
class EngineImage:
    """An image at the engine. python: its interpreter, the first word of its entrypoint."""

    id: str
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    created: float = 0.0
    python: str = ""

    @property
    def content(self) -> str:
        return self.labels.get(CONTENT_LABEL, "")


@dataclass(frozen=True)
class Network:
    """A network at the engine. taken: addresses of the containers that run on it now, whoever they are."""

    name: str
    labels: Mapping[str, str]
    subnet: str
    internal: bool
    taken: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineFacts:
    """What the engine says about itself and its machine. memory: bytes; taken: port -> name of the container that has it."""

    version: str
    system: str
    architecture: str
    cpus: int
    memory: int
    taken: Mapping[int, str] = field(default_factory=dict)

    @property
    def platform(self) -> str:
        """`linux/amd64`, as images name it."""
        return f"{self.system}/{ARCHITECTURES.get(self.architecture, self.architecture)}"


def connect(environ: Mapping[str, str]) -> Engine:
    """The engine that `docker` would talk to: DOCKER_HOST, else the context. Raises Unreachable, and with exit 8 when the

    socket may not be opened.
    """
    docker = need("docker")
    host = environ.get("DOCKER_HOST", "")
    options: dict[str, Any] = {"version": "auto", "timeout": CALL_TIMEOUT_S}
    address = host or "unix:///var/run/docker.sock"
    try:
        if host or not (context := _context(docker, environ)):
            client = docker.DockerClient.from_env(environment=dict(environ), **options)
        else:
            address = context.Host
            client = docker.DockerClient(base_url=context.Host, tls=context.TLSConfig, **options)
    except docker.errors.DockerException as error:
        raise _no_connection(address, error) from None
    return Engine(client, address)


def _context(docker: Any, environ: Mapping[str, str]) -> Any:
    """The context that DOCKER_CONTEXT or `docker context use` names, None for the default one."""
    from docker.context import ContextAPI

    named = environ.get("DOCKER_CONTEXT") or docker.context.config.get_current_context_name()
    if named in ("", "default"):
        return None
    context = ContextAPI.get_context(named)
    if context is None:
        raise MlshipError(f"there is no docker context {named!r}", fix="docker context ls", code="no-context")
    return context


def _no_connection(address: str, error: BaseException) -> MlshipError:
    causes = [cause for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror]
    if any(isinstance(cause, PermissionError) for cause in causes):
        return MlshipError(
            f"this user may not open {address}",
            fix="sudo usermod -aG docker $USER, then log in again",
            exit=Exit.DENIED,
            code="engine-denied",
        )
    return Unreachable(address, (causes[-1].strerror or "") if causes else str(error))


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all that led to it: client libraries keep the first one as cause, context or argument."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop()
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            waiting += [cause.__cause__, cause.__context__, *cause.args]
        elif isinstance(cause, tuple):
            waiting += cause
    return found


class Engine:
    """One engine. address: as the user named it. Every method raises Unreachable, EngineRefused or NotThere."""

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._api = client.api
        self.address = address

    @property
    def is_local(self) -> bool:
        """Whether its published ports are this machine's."""
        return self.address.startswith(("unix://", "npipe://"))

    def facts(self) -> EngineFacts:
        with self._spoken():
            info = self._api.info()
            running = self._api.containers()
        return EngineFacts(
            version=str(info.get("ServerVersion", "")),
            system=str(info.get("OSType", "")),
            architecture=str(info.get("Architecture", "")),
            cpus=int(info.get("NCPU", 0)),
            memory=int(info.get("MemTotal", 0)),
            taken=dict(_taken(running)),
        )

    def containers(self, labels: Iterable[str]) -> list[Container]:
        """Every container, stopped ones too, that carries the labels (`name` or `name=value`)."""
        with self._spoken():
            listed = self._api.containers(all=True, filters={"label": list(labels)})
        found = (self.container(entry["Id"]) for entry in listed)
        return [container for container in found if container is not None]

    def container(self, name: str) -> Container | None:
        try:
            with self._spoken():
                return _container(self._api.inspect_container(name))
        except NotThere:
            return None

    def users_of(self, image: str) -> list[str]:
        """Names of the containers, running or not, that were made from the image."""
        with self._spoken():
            listed = self._api.containers(all=True, filters={"ancestor": image})
        return [entry["Names"][0].lstrip("/") for entry in listed if entry.get("Names")]

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        with self._spoken():
            return str(self._api.create_container_from_config(dict(body), name or None)["Id"])

    def start(self, container: str) -> None:
        with self._spoken():
            self._api.start(container)

    def stop(self, container: str, timeout_s: int | None = None) -> None:
        """Asks it to end and waits; kills it after its own stop timeout, or after timeout_s."""
        with self._spoken():
            self._api.stop(container, timeout=timeout_s)

    def rename(self, container: str, name: str) -> None:
        with self._spoken():
            self._api.rename(container, name)

    def remove(self, container: str) -> None:
        """Whatever state it is in; one that is gone, or going, is no error."""
        try:
            with self._spoken():
                self._api.remove_container(container, force=True, v=True)
        except NotThere:
            return
        except EngineRefused as refused:
            if refused.status != 409:  # its removal is in progress
                raise

    def logs(self, container: str, lines: int, follow: bool = False) -> Iterator[tuple[str, str]]:
        """(time, text) of each line."""
        with self._spoken():
            chunks = self._api.logs(
                container, stdout=True, stderr=True, stream=True, follow=follow, timestamps=True, tail=lines
            )
            pending = b""
            for chunk in chunks:
                *whole, pending = (pending + chunk).split(b"\n")
                for line in whole:
                    yield _log_line(line)
            if pending:
                yield _log_line(pending)

    def execute(
        self, container: str, argv: Sequence[str], environ: Mapping[str, str], timeout_s: float, user: str = ""
    ) -> Conversation:
        """Starts a program in a running container. environ: added to the container's. user: empty for the container's own."""
        channels = {"stdin": True, "stdout": True, "stderr": True}
        with self._spoken():
            made = self._api.exec_create(container, list(argv), **channels, environment=dict(environ), user=user)
            return Conversation(self._api.exec_start(made["Id"], socket=True), timeout_s)

    def converse(self, container: str, timeout_s: float) -> Conversation:
        """Attaches to a container that was created and not started yet, and starts it."""
        with self._spoken():
            channels = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            conversation = Conversation(self._api.attach_socket(container, channels), timeout_s)
            self._api.start(container)
            return conversation

    def images(self, labels: Iterable[str]) -> list[EngineImage]:
        """Images that carry the labels, the newest first."""
        with self._spoken():
            listed = self._api.images(filters={"label": list(labels)})
        found = (self.image(entry["Id"]) for entry in listed)
        return sorted((image for image in found if image is not None), key=lambda image: image.created, reverse=True)

    def image(self, reference: str) -> EngineImage | None:
        try:
            with self._spoken():
                return _image(self._api.inspect_image(reference))
        except NotThere:
            return None

    def load(self, archive: Iterator[bytes]) -> None:
        """An archive as `docker save` writes it."""
        with self._spoken():
            for line in self._api.load_image(archive):
                if "error" in line:
                    raise EngineRefused(f"the engine did not take the image: {line['error']}", 500)

    def tag(self, image: str, reference: str) -> None:
        repository, _, tag = reference.rpartition(":")
        with self._spoken():
            self._api.tag(image, repository, tag)

    def remove_image(self, reference: str) -> bool:
        """False when something still uses it; one that is gone is no error."""
        try:
            with self._spoken():
                self._api.remove_image(reference, noprune=False)
        except NotThere:
            return True
        except EngineRefused as refused:
            if refused.status != 409:
                raise
            return False
        return True

    def volume_labels(self, name: str) -> Mapping[str, str] | None:
        """None where there is no such volume."""
        try:
            with self._spoken():
                return dict(self._api.inspect_volume(name).get("Labels") or {})
        except NotThere:
            return None

    def volumes(self, label: str) -> list[Mapping[str, str]]:
        """The labels of every volume that carries the label."""
        with self._spoken():
            listed = self._api.volumes(filters={"label": [label]})["Volumes"] or []
        return [dict(volume.get("Labels") or {}) for volume in listed]

    def create_volume(self, body: Mapping[str, Any]) -> None:
        with self._spoken():
            self._api.create_volume(body["Name"], labels=dict(body["Labels"]))

    def remove_volume(self, name: str) -> None:
        try:
            with self._spoken():
                self._api.remove_volume(name, force=True)
        except NotThere:
            return

    def network(self, name: str) -> Network | None:
        try:
            with self._spoken():
                return _network(self._api.inspect_network(name))
        except NotThere:
            return None

    def create_network(self, body: Mapping[str, Any]) -> None:
        """body: of POST /networks/create; a network of that name is refused, never made twice."""
        with self._spoken():
            self._api.create_network(
                body["Name"],
                driver=body["Driver"],
                internal=body["Internal"],
                labels=dict(body["Labels"]),
                ipam=body.get("IPAM"),
                options=body.get("Options"),
                check_duplicate=True,
            )

    def remove_network(self, name: str) -> None:
        try:
            with self._spoken():
                self._api.remove_network(name)
        except NotThere:
            return

    def connect(self, network: str, container: str, address: str) -> None:
        """Adds the container to the network under a fixed address."""
        with self._spoken():
            self._api.connect_container_to_network(container, network, ipv4_address=address)

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """Turns the client library's failures into ours, by type and status."""
        docker, urllib3 = need("docker"), need("urllib3")
        try:
            yield
        except docker.errors.NotFound as error:
            raise NotThere(_explanation(error), 404) from None
        except docker.errors.APIError as error:
            status = int(error.response.status_code) if error.response is not None else 0
            raise EngineRefused(f"the engine refused: {_explanation(error)}", status) from None
        except (docker.errors.DockerException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _no_connection(self.address, error) from None


def _explanation(error: Any) -> str:
    return str(error.explanation or error).strip()


def _taken(listed: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    for entry in listed:
        for port in entry.get("Ports") or []:
            if port.get("PublicPort"):
                yield int(port["PublicPort"]), str(entry["Names"][0]).lstrip("/")


def _container(inspected: Mapping[str, Any]) -> Container:
    state, config, host = inspected["State"], inspected["Config"], inspected["HostConfig"]
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        labels=config.get("Labels") or {},
        state=state["Status"],
        exit_code=int(state.get("ExitCode", 0)),
        out_of_memory=bool(state.get("OOMKilled")),
        restarts=int(inspected.get("RestartCount", 0)),
        started=seconds(state.get("StartedAt", "")),
        created=seconds(inspected.get("Created", "")),
        complaint=state.get("Error", ""),
        image=inspected["Image"],
        memory=int(host.get("Memory") or 0),
        published=_published(host.get("PortBindings") or {}),
        python=_interpreter(config.get("Entrypoint")),
        addresses=_addresses((inspected.get("NetworkSettings") or {}).get("Networks") or {}),
        pid=int(state.get("Pid", 0)),
    )


def _addresses(networks: Mapping[str, Any]) -> dict[str, str]:
    """What is configured first: an engine forgets the other one while the container is stopped."""
    found = {name: ((end.get("IPAMConfig") or {}).get("IPv4Address") or end.get("IPAddress")) for name, end in networks.items()}
    return {name: address for name, address in found.items() if address}


def _network(inspected: Mapping[str, Any]) -> Network:
    ranges = (inspected.get("IPAM") or {}).get("Config") or [{}]
    running = (inspected.get("Containers") or {}).values()
    return Network(
        name=inspected["Name"],
        labels=inspected.get("Labels") or {},
        subnet=ranges[0].get("Subnet", ""),
        internal=bool(inspected.get("Internal")),
        taken=tuple(str(entry.get("IPv4Address", "")).partition("/")[0] for entry in running),
    )


def _published(bindings: Mapping[str, Any]) -> Address | None:
    bound = bindings.get(f"{INNER_PORT}/tcp") or []
    return Address(bound[0].get("HostIp", ""), int(bound[0]["HostPort"])) if bound else None


def _image(inspected: Mapping[str, Any]) -> EngineImage:
    config = inspected.get("Config") or {}
    return EngineImage(
        id=inspected["Id"],
        tags=tuple(inspected.get("RepoTags") or ()),
        labels=config.get("Labels") or {},
        created=seconds(inspected.get("Created", "")),
        python=_interpreter(config.get("Entrypoint")),
    )


def _interpreter(entrypoint: Any) -> str:
    return str(entrypoint[0]) if entrypoint else ""


def seconds(text: str) -> float:
    """Seconds since the epoch of the engine's times (`2026-11-21T19:08:43.133645384Z`); 0 for its year 1, which is never."""
    if not text or text.startswith("0001-"):
        return 0.0
    whole, _, _ = text.removesuffix("Z").partition(".")
    return datetime.datetime.fromisoformat(whole[:19]).replace(tzinfo=datetime.UTC).timestamp()


def _log_line(raw: bytes) -> tuple[str, str]:
    when, _, text = raw.decode(errors="replace").rstrip("\r").partition(" ")
    return when, text


Connect = Callable[[], Engine]
"""How a target reaches its engine, on first need."""


def as_document(value: Any) -> bytes:
    """JSON as it is shown to people and sent to the engine."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
