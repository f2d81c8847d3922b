"""A real registry on this machine, for as long as the measurement takes."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass(frozen=True)
class Registry:
    """name: `127.0.0.1:5123`. stored: the folder where its blobs lie."""

    name: str
    stored: Path

    def compressed(self, repository: str, tag: str) -> int:
        """Bytes of all layers of an image, as they are pulled."""
        kinds = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
        request = urllib.request.Request(
            f"http://{self.name}/v2/{repository}/manifests/{tag}", headers={"Accept": ", ".join(kinds)}
        )
        with urllib.request.urlopen(request) as answer:
            return sum(int(layer["size"]) for layer in json.load(answer)["layers"])


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """Needs the program of Debian's package docker-registry."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stored, config = folder / "registry", folder / "registry.yml"
    config.write_text(_CONFIG.format(root=stored, port=port))
    with subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait(port)
            yield Registry(f"127.0.0.1:{port}", stored)
        finally:
            server.terminate()


def _wait(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit("docker-registry does not answer; is it installed?")
