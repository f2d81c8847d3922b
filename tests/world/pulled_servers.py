"""Servers of images that a registry has, as a platform starts them: pulled by digest, unpacked, a process for each image and environment.

with pulled_servers(folder, port) as servers:       # port: of a docker-registry
    servers.ask(image, {"MLSHIP_RELEASE": "r1-7f3a9c"}, "POST", "/predict", body)
"""

from __future__ import annotations

import http.client
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from free_ports import free_port
from inspecting_proxy import Told

from mlship.home import Home
from mlship.oci.image import Image
from mlship.oci.layer import MEDIA_TYPES
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.pull import pull
from mlship.oci.registry.push_variant import compression_of
from mlship.oci.registry.reference import parse_reference
from mlship.runner import LocalRunner, Process
from mlship.targets.local.rootfs import UnpackedImages

START_S = 120.0
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "host", "accept-encoding")


class PulledServers:
    """registry: port of it on this machine."""

    def __init__(self, folder: Path, registry: int) -> None:
        self._home, self._registry = Home(folder), f"127.0.0.1:{registry}"
        self._home.cache.mkdir(parents=True, exist_ok=True)
        self._running: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[Process, int]] = {}

    def start(self, image: str, environ: Mapping[str, str], ready: str) -> bool:
        """Whether it says that it is ready. image: by digest, of whatever host. ready: the path of its health."""
        port = self._port(image, environ)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._asked(port, "GET", ready, b"", {}).status == 200:
                return True
            time.sleep(0.05)
        return False

    def ask(
        self, image: str, environ: Mapping[str, str], method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Told:
        return self._asked(self._port(image, environ), method, path, body, headers)

    def close(self) -> None:
        for process, _ in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process, _ in self._running.values():
            process.wait(30)

    def _port(self, image: str, environ: Mapping[str, str]) -> int:
        key = (image, tuple(sorted(environ.items())))
        if key not in self._running:
            port, name = free_port(), image.partition("/")[2]
            reference = parse_reference(f"{self._registry}/{name}")
            layout = Layout(self._home.images)
            with Registry(self._registry, {}, lambda _: None) as registry:
                pulled = pull(registry, reference, layout, platform="linux/amd64")
            layout.tag("pulled", _in_words_of_oci(layout, pulled))
            images = UnpackedImages(self._home)
            images.prepare(pulled.content)
            command = images.command(pulled.content, {**environ, "PORT": str(port), "MLSHIP_HOST": "127.0.0.1"})
            self._running[key] = LocalRunner().start(command, log=self._home.cache / f"server-{port}.log"), port
        return self._running[key][1]

    def _asked(self, port: int, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Told:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            sent = {name: text for name, text in headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(method, path, body or None, sent)
            answer = connection.getresponse()
            told = {name: text for name, text in answer.getheaders() if name.lower() not in HOP_BY_HOP}
            return Told(answer.status, told, answer.read())
        except OSError as error:
            return Told(503, {}, str(error).encode())
        finally:
            connection.close()


def _in_words_of_oci(layout: Layout, image: Image) -> Image:
    """The same bytes: what is unpacked here goes by OCI's media types, whatever the registry calls them."""
    layers = [
        replace(one, blob=replace(one.blob, media_type=MEDIA_TYPES[compression_of(one.blob.media_type)]))
        for one in image.layers
    ]
    return layout.put_image(image.content, image.platform, layers, image.config)


@contextmanager
def pulled_servers(folder: Path, registry: int) -> Iterator[PulledServers]:
    made = PulledServers(folder, registry)
    try:
        yield made
    finally:
        made.close()
