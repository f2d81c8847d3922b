"""What an engine tells, as values. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlship.oci.image import CONTENT_LABEL
from mlship.targets.docker.spec import INNER_PORT, Address

CDI_GPU = "nvidia.com/gpu="
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv8l": "arm64"}


class Labelled(Protocol):
    """A container, or an image."""

    @property
    def labels(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Container:
    """A container as the engine sees it.

    state: created, running, restarting, paused, exited, dead. started: seconds since the epoch, 0 when never.
    published: where callers reach it, as configured, also while it is stopped. python: the interpreter of its image.
    addresses: network -> its fixed address there, as configured, also while it is stopped. pid: on the engine's machine.
    stop_timeout_s: how long `stop` waits before it kills.
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
    stop_timeout_s: int = 10

    @property
    def is_running(self) -> bool:
        return self.state == "running"


@dataclass(frozen=True)
class EngineImage:
    """An image at the engine. python: its interpreter, the first word of its entrypoint. layers: diff_ids, the lowest first."""

    id: str
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    created: float = 0.0
    python: str = ""
    layers: tuple[str, ...] = ()

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
    """What the engine says about itself and its machine. memory: bytes; taken: port -> name of the container that has it.

    whole_images: it keeps images in containerd, which takes no image that lacks a layer. hands_out_gpus: NVIDIA's toolkit is
    installed there. gpus: how many there are, 0 where the engine does not tell.
    """

    version: str
    system: str
    architecture: str
    cpus: int
    memory: int
    taken: Mapping[int, str] = field(default_factory=dict)
    whole_images: bool = False
    hands_out_gpus: bool = False
    gpus: int = 0

    @property
    def platform(self) -> str:
        """`linux/amd64`, as images name it."""
        return f"{self.system}/{ARCHITECTURES.get(self.architecture, self.architecture)}"


@dataclass(frozen=True)
class Usage:
    """What a running container takes. memory: bytes that cannot be given back at once. cpu_s: of all cores since it started."""

    memory: int
    cpu_s: float


def container_seen(inspected: Mapping[str, Any]) -> Container:
    """Of GET /containers/{id}/json."""
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
        stop_timeout_s=int(config.get("StopTimeout") or 10),
    )


def stopped_seen(listed: Mapping[str, Any]) -> Container | None:
    """Of an entry of GET /containers/json: one that ended well and waits. None for any other, of which a list tells too little.

    Its memory limit, interpreter and times are not told; nobody asks them of a container that only waits.
    """
    if listed.get("State") != "exited" or not str(listed.get("Status", "")).startswith("Exited (0)"):
        return None
    return Container(
        id=listed["Id"],
        name=listed["Names"][0].lstrip("/"),
        labels=listed.get("Labels") or {},
        state="exited",
        created=float(listed.get("Created", 0.0)),
        image=listed.get("ImageID", ""),
        addresses=_addresses((listed.get("NetworkSettings") or {}).get("Networks") or {}),
    )


def image_seen(inspected: Mapping[str, Any]) -> EngineImage:
    """Of GET /images/{name}/json."""
    config = inspected.get("Config") or {}
    return EngineImage(
        id=inspected["Id"],
        tags=tuple(inspected.get("RepoTags") or ()),
        labels=config.get("Labels") or {},
        created=seconds(inspected.get("Created", "")),
        python=_interpreter(config.get("Entrypoint")),
        layers=tuple((inspected.get("RootFS") or {}).get("Layers") or ()),
    )


def network_seen(inspected: Mapping[str, Any]) -> Network:
    """Of GET /networks/{name}."""
    ranges = (inspected.get("IPAM") or {}).get("Config") or [{}]
    running = (inspected.get("Containers") or {}).values()
    return Network(
        name=inspected["Name"],
        labels=inspected.get("Labels") or {},
        subnet=ranges[0].get("Subnet", ""),
        internal=bool(inspected.get("Internal")),
        taken=tuple(str(entry.get("IPv4Address", "")).partition("/")[0] for entry in running),
    )


def facts_seen(info: Mapping[str, Any], running: Iterable[Mapping[str, Any]]) -> EngineFacts:
    """Of GET /info and GET /containers/json."""
    return EngineFacts(
        version=str(info.get("ServerVersion", "")),
        system=str(info.get("OSType", "")),
        architecture=str(info.get("Architecture", "")),
        cpus=int(info.get("NCPU", 0)),
        memory=int(info.get("MemTotal", 0)),
        taken=dict(_taken(running)),
        hands_out_gpus="nvidia" in (info.get("Runtimes") or {}) or bool(_cdi_gpus(info)),
        gpus=sum(name.isdecimal() for name in _cdi_gpus(info)),
        whole_images=["driver-type", "io.containerd.snapshotter.v1"] in (info.get("DriverStatus") or []),
    )


def _cdi_gpus(info: Mapping[str, Any]) -> list[str]:
    """`0`, `1`, `all`: what engines from 28.2 on tell of the devices that CDI files name (API 1.50, DiscoveredDevices)."""
    told = [str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or ()]
    return [name.removeprefix(CDI_GPU) for name in told if name.startswith(CDI_GPU)]


def usage_seen(stats: Mapping[str, Any]) -> Usage:
    """Of GET /containers/{id}/stats. Files in the page cache that nobody used lately are no memory that is taken, as

    `docker stats` counts it; the kernel names them differently in its two versions of control groups.
    """
    memory = stats.get("memory_stats") or {}
    kinds = memory.get("stats") or {}
    idle = kinds.get("total_inactive_file", kinds.get("inactive_file", 0))
    nanoseconds = ((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage", 0)
    return Usage(max(int(memory.get("usage", 0)) - int(idle), 0), int(nanoseconds) / 1e9)


def seconds(text: str) -> float:
    """Seconds since the epoch of the engine's times (`2026-11-21T19:08:43.133645384Z`); 0 for its year 1, which is never."""
    if not text or text.startswith("0001-"):
        return 0.0
    whole, _, _ = text.removesuffix("Z").partition(".")
    return datetime.datetime.fromisoformat(whole[:19]).replace(tzinfo=datetime.UTC).timestamp()


def log_line(raw: bytes) -> tuple[str, str]:
    """(time, text)."""
    when, _, text = raw.decode(errors="replace").rstrip("\r").partition(" ")
    return when, text


def _addresses(networks: Mapping[str, Any]) -> dict[str, str]:
    """What is configured first: an engine forgets the other one while the container is stopped."""
    found = {name: ((end.get("IPAMConfig") or {}).get("IPv4Address") or end.get("IPAddress")) for name, end in networks.items()}
    return {name: address for name, address in found.items() if address}


def _published(bindings: Mapping[str, Any]) -> Address | None:
    bound = bindings.get(f"{INNER_PORT}/tcp") or []
    return Address(bound[0].get("HostIp", ""), int(bound[0]["HostPort"])) if bound else None


def _interpreter(entrypoint: Any) -> str:
    return str(entrypoint[0]) if entrypoint else ""


def _taken(listed: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    for entry in listed:
        for port in entry.get("Ports") or []:
            if port.get("PublicPort"):
                yield int(port["PublicPort"]), str(entry["Names"][0]).lstrip("/")
