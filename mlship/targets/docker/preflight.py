"""Everything that would make a deployment fail at this engine and can be known before. Pure, over gathered facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mlship.errors import Finding
from mlship.releases.history import History
from mlship.targets.base import Deployment, FrontFacts
from mlship.targets.docker import autoscaler, gpus
from mlship.targets.docker.bodies import FRONT_MEMORY
from mlship.targets.docker.engine import EngineFacts
from mlship.targets.docker.spec import Address
from mlship.targets.variables import OWN_VARIABLES
from mlship.units import Cpu, Memory

OLDEST = (20, 10)
ZSTD = (23, 0)  # the oldest engine that reads layers packed with zstd
# In two months some package of a front nearly always gets a security update.
OLD_FRONT_DAYS, DAY_S = 60, 86_400
LOOPBACK = ("127.0.0.1", "::1", "localhost")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv8l": "arm64"}


@dataclass(frozen=True)
class Surroundings:
    """What was seen. platform: of the release's image where it is known, `linux/amd64`. ours: names of our own containers.

    listening: why the address cannot be had on this machine, for programs outside the engine. free: bytes of memory, 0 when
    unknown. contents: what could be served. serving: id of the release that callers reach. lost: release id -> why it could
    not be served again. running: replicas of the wanted release that run already. egress: whether the project's network leads
    out, None where there is no network yet. sends_zstd: the image has to be sent, with layers that are packed so. front: the
    one that runs. now: seconds since the epoch.
    """

    engine: EngineFacts
    published: Address
    ours: frozenset[str]
    listening: str
    free: int
    platform: str
    contents: frozenset[str]
    history: History | None
    sequences: tuple[int, ...]
    serving: str
    lost: Mapping[str, str] = field(default_factory=dict)
    running: int = 0
    egress: bool | None = None
    sends_zstd: bool = False
    front: FrontFacts | None = None
    now: float = 0.0


def findings(deployment: Deployment, seen: Surroundings) -> tuple[Finding, ...]:
    return tuple(_findings(deployment, seen))


def _findings(deployment: Deployment, seen: Surroundings) -> Iterator[Finding]:
    yield from _engine(seen.engine)
    yield from _image(deployment, seen)
    yield from _port(deployment, seen)
    yield from _resources(deployment, seen)
    yield from gpus.findings(deployment, seen.engine)
    yield from _variables(deployment)
    yield from _records(deployment, seen)
    yield from _gap(deployment, seen)
    yield from _limits(deployment, seen)
    yield from _egress(deployment, seen)
    yield from _exposure(deployment, seen.published)
    yield from _front(deployment, seen)
    yield from autoscaler.notes(deployment, seen.engine.memory)


def _engine(engine: EngineFacts) -> Iterator[Finding]:
    if engine.system != "linux":
        yield Finding(f"the engine runs {engine.system} containers", fix="switch it to Linux containers", code="engine-system")
    if _is_older(engine, OLDEST):
        yield Finding(f"the engine is version {engine.version}", fix="20.10 is the oldest that works", code="engine-version")


def _is_older(engine: EngineFacts, than: tuple[int, int]) -> bool:
    """False where the engine's version is not a number."""
    version = tuple(int(part) for part in engine.version.split(".")[:2] if part.isdigit())
    return len(version) == 2 and version < than


def _image(deployment: Deployment, seen: Surroundings) -> Iterator[Finding]:
    content = deployment.release.served.content
    if content not in seen.contents:
        yield Finding(
            f"the image of {deployment.release.id} is neither at the engine nor on this machine",
            fix="mlship build",
            code="no-image",
        )
    if seen.sends_zstd and _is_older(seen.engine, ZSTD):
        yield Finding(
            f"the engine is version {seen.engine.version}, which does not read layers packed with zstd",
            deployment.places.get("build.compression", ""),
            "build.compression: gzip, then mlship build: the content stays the same; where the image of build.base is packed so, "
            "take one in gzip, or an engine from 23.0 on",
            code="zstd-layers",
        )
    architecture = ARCHITECTURES.get(seen.engine.architecture, seen.engine.architecture)
    if seen.platform and seen.platform != f"linux/{architecture}":
        yield Finding(
            f"the image is for {seen.platform}, the engine's machine is linux/{architecture}",
            deployment.places.get("build.platforms", ""),
            f"build.platforms: [linux/{architecture}], then mlship build",
            code="architecture",
        )


def _port(deployment: Deployment, seen: Surroundings) -> Iterator[Finding]:
    place = deployment.places.get("targets.docker.port", "")
    holder = seen.engine.taken.get(seen.published.port, "")
    fix = "stop it, or choose another targets.docker.port"
    if holder and holder not in seen.ours:
        yield Finding(f"port {seen.published.port} is taken by the container {holder}", place, fix, code="port-taken")
    elif not holder and seen.listening:
        yield Finding(f"{seen.published} cannot be published: {seen.listening}", place, fix, code="port-taken")


def _gap(deployment: Deployment, seen: Surroundings) -> Iterator[Finding]:
    if deployment.strategy.name == "recreate" and seen.serving and deployment.release.id != seen.serving:
        yield Finding(
            f"rollout.strategy is recreate: callers get 503 from the end of {seen.serving} until {deployment.release.id} is ready",
            deployment.places.get("rollout.strategy", ""),
            "rollout.strategy: rolling has no gap, where the memory for both is there",
            "warning",
            "gap",
        )


def _egress(deployment: Deployment, seen: Surroundings) -> Iterator[Finding]:
    """A network cannot be opened or closed while it is used, and everything of the project is on it."""
    wanted = bool(deployment.settings.get("egress", False))
    if seen.egress is not None and seen.egress != wanted:
        is_made = "leads out of the machine" if seen.egress else "leads nowhere"
        yield Finding(
            f"targets.docker.egress is {str(wanted).lower()}, but the network of the running service {is_made}",
            deployment.places.get("targets.docker.egress", ""),
            f"leave it as it is, or mlship destroy {deployment.project} and deploy again: callers get no answer in between",
            code="egress-changed",
        )


def _front(deployment: Deployment, seen: Surroundings) -> Iterator[Finding]:
    """Of one that tells when its packages were chosen; a deploy never replaces a front for this."""
    if seen.front is None or not seen.front.made:
        return
    days = int((seen.now - datetime.fromisoformat(seen.front.made).replace(tzinfo=UTC).timestamp()) / DAY_S)
    if days > OLD_FRONT_DAYS:
        what = f"the front's packages are those of {days} days ago: {seen.front.has}"
        fix = "mlship renew takes newer ones where there are any; a deploy leaves the front alone"
        yield Finding(what, deployment.places.get("target", ""), fix, "warning", "old-front")


def _exposure(deployment: Deployment, published: Address) -> Iterator[Finding]:
    if published.host in LOOPBACK or deployment.release.served.serving.get("auth"):
        return
    what = f"the service is published on {published.host} without authentication: whoever reaches that machine can call it"
    place = deployment.places.get("targets.docker.host", "")
    fix = "say who may call (serve.auth), or write targets.docker.host: 127.0.0.1, with a proxy that authenticates before it"
    yield Finding(what, place, fix, "warning", "open-to-all")


def _limits(deployment: Deployment, seen: Surroundings) -> Iterator[Finding]:
    """The engine's own proxy takes what comes over loopback, and hands it on under its bridge's address."""
    if any((deployment.settings.get("limits") or {}).values()) and seen.published.reachable in (
        "127.0.0.1",
        "::1",
        "localhost",
    ):
        yield Finding(
            f"limits count all callers of {seen.published} as one: the engine hands them on under one address",
            deployment.places.get("targets.docker.limits", ""),
            "publish on an address that callers reach from elsewhere, or limit in the proxy that stands before it",
            "warning",
            "limits-shared",
        )


def _resources(deployment: Deployment, seen: Surroundings) -> Iterator[Finding]:
    wanted = deployment.release.served.resources
    cpu, memory = wanted.get("cpu", 1000), wanted.get("memory", 0)
    if cpu > seen.engine.cpus * 1000:
        yield Finding(
            f"resources.cpu is {Cpu(cpu)}, the engine's machine has {seen.engine.cpus}",
            deployment.places.get("resources.cpu", ""),
            f"at most {seen.engine.cpus}",
            code="too-much-cpu",
        )
    place = deployment.places.get("resources.memory", "")
    count = deployment.replicas[0]
    fresh = memory * max(count - seen.running, 0)
    if memory * count + FRONT_MEMORY > seen.engine.memory > memory and count > 1:
        yield Finding(
            f"{count} replicas of {Memory(memory)} are {_mib(memory * count)}, the engine's machine has {_mib(seen.engine.memory)}",
            deployment.places.get("scale.replicas", place),
            "write fewer replicas, or less resources.memory",
            code="too-much-memory",
        )
    elif memory > seen.engine.memory:
        yield Finding(
            f"resources.memory is {Memory(memory)}, the engine's machine has {_mib(seen.engine.memory)}",
            place,
            "write less",
            code="too-much-memory",
        )
    elif seen.free and fresh > seen.free:
        yield Finding(
            f"{_replicas(count)} of {Memory(memory)} may take {_mib(fresh)}, and {_mib(seen.free)} are free: "
            "where it does not suffice for old and new together, they take over in batches",
            place,
            "write less resources.memory, or free memory first",
            "warning",
            "little-memory",
        )


def _variables(deployment: Deployment) -> Iterator[Finding]:
    for name in sorted(set(OWN_VARIABLES) & set(deployment.release.served.env)):
        yield Finding(
            f"env.{name} has no effect: the target docker sets it itself",
            deployment.places.get(f"env.{name}", ""),
            "leave it out; targets.docker.port chooses the port" if "PORT" in name else "leave it out",
            "warning",
            "own-variable",
        )


def _records(deployment: Deployment, seen: Surroundings) -> Iterator[Finding]:
    if seen.history is None:
        if any(sequence > 1 for sequence in seen.sequences):
            yield Finding(
                f"there are containers of {deployment.project} at the engine, but their records are gone",
                fix=f"restore the volume from a backup, or mlship destroy {deployment.project} --target docker",
                code="records-gone",
            )
        return
    live = seen.history.live_release
    if live is not None and live.id != deployment.release.id and live.id in seen.lost:
        yield Finding(
            f"{live.id} could not be restored: {seen.lost[live.id]}",
            fix="deploy it as it was before you deploy this, if you may need it",
            severity="warning",
            code="not-restorable",
        )


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"


def _mib(count: int) -> str:
    return f"{count // 2**20}MiB"
