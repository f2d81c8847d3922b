"""mlship.lock: exactly what an image is made of. Values; how it is resolved stands in resolve.py."""

from __future__ import annotations

from dataclasses import dataclass

from mlship.image.plan import BaseImage, SystemPackage, Wheel

SCHEMA = 1


@dataclass(frozen=True)
class Lock:
    """What was resolved for one platform. inputs: digest over everything that the resolution depended on.

    base: where build.base names an image; suite and system are empty then.
    """

    python: str
    platform: str
    suite: str
    system: tuple[SystemPackage, ...]
    wheels: tuple[Wheel, ...]
    inputs: str
    schema: int = SCHEMA
    base: BaseImage | None = None
