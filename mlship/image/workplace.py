"""What building an image reaches the world with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlship.disk import scratch_folder, sweep, temporary_folder
from mlship.home import Home
from mlship.image.plan import BasePlan
from mlship.oci.image import Layer
from mlship.oci.layer import Compression
from mlship.oci.layout import Layout
from mlship.progress import Progress
from mlship.runner import Runner


@dataclass(frozen=True)
class Native:
    """What was made for the platform that runs here, while another one's image is made. base: its base's layers, bottom first.

    layers: of its packages and its server, empty before they are made.
    """

    plan: BasePlan
    base: tuple[Layer, ...]
    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Workplace:
    """The doors that a build goes through; a flow makes it from its Context. compression: of the layers that it makes.

    elsewhere: references of images in registries where a locked base may be found whose packages are gone.
    native: only while what does not run here is made, and something that does run was made before.
    """

    home: Home
    runner: Runner
    progress: Progress
    environ: Mapping[str, str]
    compression: Compression = "gzip"
    native: Native | None = None
    elsewhere: tuple[str, ...] = ()

    @property
    def layout(self) -> Layout:
        """The layout that holds every image built here."""
        return Layout(self.home.images)


def clear_leftovers(workplace: Workplace) -> None:
    """Removes what builds that were killed left behind."""
    cache, images = workplace.home.cache, workplace.home.images
    caches = cache.iterdir() if cache.is_dir() else ()
    for folder in (cache, *caches, images, images / "records", images / "inputs", workplace.layout.blobs, temporary_folder()):
        if folder.is_dir():
            sweep(folder)


@contextmanager
def scratch(workplace: Workplace) -> Iterator[Path]:
    """An empty folder in the cache that is gone afterwards."""
    with scratch_folder(workplace.home.cache / "work") as folder:
        yield folder
