"""How a platform runs a container and calls it, as `mlship test --as lambda` plays it; its facts are one file of data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlship.oci.registry.push_variant import PushVariant

HTTP_OK = range(200, 201)
KUBERNETES_OK = range(200, 400)  # kubernetes.io, "Configure Liveness, Readiness and Startup Probes" (read 2026-11)


@dataclass(frozen=True)
class Probe:
    """A health check. path: empty for one that only connects. ok: statuses that say yes. timeout_s: of one check."""

    path: str
    timeout_s: float
    ok: range = HTTP_OK
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`GET /ping`, `TCP connect`."""
        return f"GET {self.path}" if self.path else "TCP connect"


@dataclass(frozen=True)
class Caller:
    """One platform as a container meets it.

    name: as --as says it; title: as people say it. architectures: of the machines that it has. push: the form in which the image
    gets there, its user with it. arguments: what follows the entrypoint, in place of the image's own. environ: what the
    platform sets; it outweighs everybody's. port_from: what tells the container its port, for people.
    health: what decides whether requests come. start_s: from the start until it says yes, at most; start_rule: what says so.
    user: whom the process is run as, where the platform does not ask the image; `993:990`. beside: the module
    that plays the platform in a second container, for a container that asks it and listens nowhere itself.
    direct: path at which rows alone are an event, where the platform has that.
    protocol: the form of its requests, empty where they are passed on as they are. paths: our path of a protocol -> the
    platform's. headers: what it adds to each request. keeps_authorization: a caller's Authorization header reaches the container.
    max_body: bytes of a request that it lets through, 0: it names no limit. answer_s: what it waits for an answer.
    read_only: the root file system is; writable: folders that are not, then. in_memory: folders whose files count as memory, where
    nothing is read-only. grace_s: from SIGTERM to SIGKILL; grace_rule: what says so. sources: document and when it was read.
    not_played: what is not asked -> why.
    """

    name: str
    title: str
    push: PushVariant
    environ: Mapping[str, str]
    health: Probe
    start_s: float
    start_rule: str
    answer_s: float
    grace_s: float
    grace_rule: str
    sources: tuple[str, ...]
    architectures: tuple[str, ...] = ("amd64", "arm64")
    arguments: tuple[str, ...] = ()
    port: int = 8080
    port_from: str = ""
    protocol: str = ""
    paths: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    keeps_authorization: bool = True
    max_body: int = 0
    read_only: bool = False
    writable: tuple[str, ...] = ()
    in_memory: tuple[str, ...] = ()
    user: str = ""
    beside: str = ""
    direct: str = ""
    not_played: Mapping[str, str] = field(default_factory=dict)
