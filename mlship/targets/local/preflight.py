"""What would make a deployment fail and can be known before anything is changed."""

from __future__ import annotations

import ipaddress
import os
import platform
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mlship.errors import Finding
from mlship.targets.base import Deployment
from mlship.targets.local import gpus, launching
from mlship.targets.local.listening import Refused, listen
from mlship.targets.local.protocol import HolderView
from mlship.targets.local.rootfs import Rootfs
from mlship.units import Memory, size_text

MACHINES = {"x86_64": "linux/amd64", "aarch64": "linux/arm64", "arm64": "linux/arm64"}
SPARE = 1.1  # of the image's unpacked size: small files take whole blocks


def findings(deployment: Deployment, rootfs: Rootfs, view: HolderView | None, folder: Path) -> tuple[Finding, ...]:
    """view: what runs now, None when nothing does. folder: where images are unpacked to."""
    return (
        *_image(deployment, rootfs, folder),
        *_port(deployment, view),
        *_exposure(deployment),
        *_size(deployment),
        *gpus.findings(deployment),
        *_copies(deployment),
    )


def own_platform() -> str:
    """`linux/amd64`: what this machine's processor runs."""
    return MACHINES.get(platform.machine(), platform.machine())


def _image(deployment: Deployment, rootfs: Rootfs, folder: Path) -> Iterator[Finding]:
    content = deployment.release.served.content
    if rootfs.has(content):
        return
    image = rootfs.find(content)
    if image is None:
        yield Finding(f"the image {content[:19]} is not on this machine", fix="mlship build", code="missing-image")
        return
    here = own_platform()
    if image.platform != here:
        yield Finding(
            f"the image is for {image.platform}, and this machine is {here}",
            deployment.places.get("build.platforms", ""),
            f"build.platforms: [{here}], then mlship build",
            code="wrong-platform",
        )
    free = shutil.disk_usage(_existing(folder)).free
    if free < image.size * SPARE:
        yield Finding(
            f"{size_text(free)} are free in {folder}, and the image takes {size_text(image.size)} unpacked",
            fix="make room, or set MLSHIP_HOME to a larger disk",
            code="disk-full",
        )


def _port(deployment: Deployment, view: HolderView | None) -> Iterator[Finding]:
    host = deployment.settings.get("host") or launching.HOST
    port = launching.port(deployment.settings) or (view.kept_port if view else 0)
    where = deployment.places.get("targets.local.port", "") or deployment.places.get("targets.local.host", "")
    ours = [copy.host for copy in view.servers if copy.port == port] if view else []
    if not port or host in ours:
        return
    if ours:
        what = f"the service listens on {ours[0]} port {port} now, and {host} would need the same port at the same time"
        yield Finding(what, where, "choose another targets.local.port too, or mlship destroy first", code="port-taken")
        return
    try:
        listen(host, port).close()
    except Refused as refused:
        if refused.code == "port-taken":
            what = f"port {port} on {host} is taken by {_who(port) or 'another program'}"
            yield Finding(what, where, "end that program, or choose another targets.local.port", code="port-taken")
        else:
            yield Finding(str(refused), where, "change targets.local.host or targets.local.port", code="cannot-listen")


def _exposure(deployment: Deployment) -> Iterator[Finding]:
    host = deployment.settings.get("host") or launching.HOST
    if not _is_loopback(host) and not deployment.release.served.serving.get("auth"):
        yield Finding(
            f"the service listens on {host} without authentication: whoever reaches this machine can call it",
            deployment.places.get("targets.local.host", ""),
            "say who may call (serve.auth), or write targets.local.host: 127.0.0.1, with a proxy that authenticates before it",
            severity="warning",
            code="open-to-all",
        )


def _size(deployment: Deployment) -> Iterator[Finding]:
    limits = deployment.release.served.resources
    cores, memory = launching.cores(limits), limits.get("memory", 0)
    allowed = len(os.sched_getaffinity(0))
    if cores > allowed:
        yield Finding(
            f"resources.cpu asks for {cores} cores, and this machine has {allowed}",
            deployment.places.get("resources.cpu", ""),
            f"resources.cpu: {allowed}",
            severity="warning",
            code="few-cores",
        )
    present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory > present:
        yield Finding(
            f"resources.memory is {Memory(memory)}, and this machine has {size_text(present)}",
            deployment.places.get("resources.memory", ""),
            "lower resources.memory",
            severity="warning",
            code="little-memory",
        )


def _copies(deployment: Deployment) -> Iterator[Finding]:
    wanted = deployment.operating.get("replicas", {}).get("max", 1)
    if wanted > 1:
        yield Finding(
            f"scale.replicas asks for {wanted}: this machine runs one copy of a service",
            deployment.places.get("scale.replicas", ""),
            "scale.replicas: 1, with serve.workers for more processes, or --target docker",
            code="absent-feature",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        with suppress(OSError):
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)
        return False


def _who(port: int) -> str:
    """The program that listens on the port, where it can be seen; empty for other users' programs."""
    inodes = {
        f"socket:[{fields[9]}]"
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for fields in (line.split() for line in _lines(Path(table))[1:])
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port  # 0A: listening
    }
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
