"""mlship.lock: exactly what an image is made of. Values; how it is resolved stands in resolve.py."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from mlship.image.plan import BaseImage, SystemPackage, Wheel
from mlship.oci.image import Descriptor

SCHEMA = 2  # 1 had no server's wheels, no models, and nothing that says what a lock was asked for


@dataclass(frozen=True)
class Asked:
    """What a lock was resolved from, to say later what has changed; whether it still fits is decided by Lock.inputs.

    source: of the requirements, for people. base: as mlship.yaml says it. packages: build.packages. requirements: lines such as
    `numpy==2.1.0`, without credentials.
    """

    source: str
    base: str
    packages: tuple[str, ...]
    requirements: tuple[str, ...]


@dataclass(frozen=True)
class Lock:
    """What was resolved for one platform. inputs: digest over everything that the resolution depended on.

    base: where build.base names an image; suite and system are empty then. server: the server's own wheels, empty in a lock of
    schema 1. asked: None in a lock of schema 1. made: the day on which the packages were the newest ones, `2026-11-22`.
    diff_id, blob, compressor: of the base layer as it was made when this was locked, facts that no build is held to.
    """

    python: str
    platform: str
    suite: str
    system: tuple[SystemPackage, ...]
    wheels: tuple[Wheel, ...]
    inputs: str
    schema: int = SCHEMA
    base: BaseImage | None = None
    server: tuple[Wheel, ...] = ()
    asked: Asked | None = None
    made: str = ""
    diff_id: str = ""
    blob: Descriptor | None = None
    compressor: str = ""


@dataclass(frozen=True)
class LockedModel:
    """path: as mlship.yaml says it. sha256: of the file, or of a folder's sorted `sha256  name` lines.

    version: what pins it at its source, for people and for the source. fetched: sha256 of the names and bytes of all that came from
    there (sources/store.py), of which the served file may be a part. Both empty for a file of this machine.
    """

    name: str
    path: str
    sha256: str
    version: str = ""
    fetched: str = ""


@dataclass(frozen=True)
class LockFile:
    """The whole file. models: the same for all platforms; None where nobody has locked them."""

    locks: tuple[Lock, ...] = ()
    models: tuple[LockedModel, ...] | None = None


def models_digest(models: Iterable[LockedModel]) -> str:
    """Hex sha256 over the models' sorted `sha256  path` lines."""
    lines = sorted(f"{model.sha256}  {model.path}\n" for model in models)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
