"""The files that servers run from: one unpacked image per content id, shared by all services of this machine."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlship.disk import locked, write_atomic
from mlship.errors import MlshipError
from mlship.home import Home
from mlship.oci.driver import with_driver
from mlship.oci.layout import Layout
from mlship.oci.rootfs import assemble, command
from mlship.runner import Command
from mlship.targets.local.folder import ROOTFS

LOCK = ".lock"
CONFIG = "image.json"
ROOT = "root"


@dataclass(frozen=True)
class ImageFacts:
    """What must be known of an image before it is unpacked. size: bytes that it takes unpacked."""

    platform: str
    size: int


class Rootfs(Protocol):
    """Unpacked images by content id (`sha256:<hex>`)."""

    def has(self, content: str) -> bool:
        """Whether it is unpacked here."""

    def find(self, content: str) -> ImageFacts | None:
        """The image that it could be unpacked from, None where it is not on this machine."""

    def prepare(self, content: str) -> None:
        """Unpacks it; nothing when it is here already. Raises MlshipError when image or space is missing."""

    def command(self, content: str, environ: Mapping[str, str]) -> Command:
        """Starts the image's own entry point with the image's environment and, over it, `environ`."""

    def collect(self, used: Callable[[], frozenset[str]]) -> tuple[str, ...]:
        """Removes what is not among `used`; returns the content ids that went.

        used is called while nobody can unpack, so that what another command claimed just now is not removed.
        """


class UnpackedImages:
    """Implements Rootfs in `<home>/local/rootfs/<hex>/`, from the image layout of this machine."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._folder = home.local / ROOTFS

    def has(self, content: str) -> bool:
        return (self._place(content) / CONFIG).is_file()

    def find(self, content: str) -> ImageFacts | None:
        try:
            image = Layout(self._home.images).find(content)
        except MlshipError:
            return None
        return ImageFacts(image.platform, image.size)

    def prepare(self, content: str) -> None:
        with locked(self._folder / LOCK):
            if self.has(content):
                return
            layout = Layout(self._home.images)
            image = layout.find(content)
            place = self._place(content)
            place.mkdir(parents=True, exist_ok=True)
            assemble(layout, image, place / ROOT, self._home)
            # Written last: this file says that the rest is whole.
            write_atomic(place / CONFIG, json.dumps(image.config).encode())

    def command(self, content: str, environ: Mapping[str, str]) -> Command:
        place = self._place(content)
        config: Mapping[str, Any] = json.loads((place / CONFIG).read_bytes()).get("config", {})
        argv = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
        own = dict(entry.split("=", 1) for entry in config.get("Env") or ())
        return command(place / ROOT, argv, with_driver(place / ROOT, {**own, **environ}))

    def collect(self, used: Callable[[], frozenset[str]]) -> tuple[str, ...]:
        if not self._folder.is_dir():
            return ()
        gone = []
        with locked(self._folder / LOCK):
            kept = {content.removeprefix("sha256:") for content in used()}
            for place in sorted(self._folder.iterdir()):
                if place.is_dir() and place.name not in kept:
                    _remove(place)
                    gone.append(f"sha256:{place.name}")
            if not kept:
                (self._folder / LOCK).unlink()
                with suppress(OSError):  # somebody began to unpack just now
                    self._folder.rmdir()
        return tuple(gone)

    def _place(self, content: str) -> Path:
        return self._folder / content.removeprefix("sha256:")


def _remove(place: Path) -> None:
    """The marker first, so that half a removal never looks whole; folders may be read-only, as they are in the image."""
    (place / CONFIG).unlink(missing_ok=True)
    place.chmod(0o700)
    for folder, names, _ in os.walk(place):
        for name in names:
            if not (inner := Path(folder, name)).is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(place)
