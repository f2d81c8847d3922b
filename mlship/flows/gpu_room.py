"""CUDA builds are gigabytes: said, and the disk asked for room, before any of it is fetched."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

from mlship.errors import Exit, MlshipError
from mlship.image.packages.gpu_builds import WEIGHT
from mlship.image.packages.resolve import Resolution
from mlship.image.workplace import Workplace
from mlship.progress import Progress
from mlship.units import size_text

# Of a wheel's size: unpacked by uv, installed, and packed into layers. NVIDIA's libraries pack to between a half and two thirds.
_ON_DISK = 6


def with_room(workplace: Workplace, resolution: Resolution) -> Workplace:
    """The workplace, where steps that fetch say what CUDA builds weigh. Raises MlshipError with exit 5 where the disk cannot hold
    them; nothing is fetched then."""
    if not any(finding.code == WEIGHT for finding in resolution.findings):
        return workplace
    place = workplace.home.root
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    refuse_no_room(resolution.size, shutil.disk_usage(existing).free, str(place))
    return replace(workplace, progress=Weighed(workplace.progress, size_text(resolution.size)))


@dataclass(frozen=True)
class Weighed:
    """Progress whose steps about packages say the size of all."""

    inner: Progress
    size: str

    def step(self, name: str, detail: str = "") -> None:
        self.inner.step(name, f"{detail}  (CUDA builds, {self.size} to fetch)" if name == "packages" else detail)

    def amount(self, name: str, done: int, total: int | None = None, unit: str = "B") -> None:
        self.inner.amount(name, done, total, unit)


def refuse_no_room(fetched: int, free: int, place: str) -> None:
    """Raises MlshipError with exit 5. fetched: bytes of all wheels as they are downloaded. Pure."""
    if free < _ON_DISK * fetched:
        raise MlshipError(
            f"CUDA builds of {size_text(fetched)} take about {size_text(_ON_DISK * fetched)} below {place} while an image is made, "
            f"and {size_text(free)} are free",
            where=place,
            fix="free some space there, or set MLSHIP_HOME to another disk; nothing was fetched",
            exit=Exit.BUILD_FAILED,
            code="disk",
        )
