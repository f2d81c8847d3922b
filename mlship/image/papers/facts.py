"""What an image consists of, as values that SPDX and CycloneDX are written from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["system", "python", "server", "model", "code"]


@dataclass(frozen=True)
class Licence:
    """What a component's own files declare, never a guess.

    expression: SPDX, empty where nothing that a machine can read is declared. texts: LicenseRef of the expression -> its text.
    said: what was declared in words that are no SPDX, in one line.
    """

    expression: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    said: str = ""


@dataclass(frozen=True)
class Component:
    """One thing in the image.

    ref: unique in the image; the purl where there is one. sha256: hex; of the package file of system and python, of the file
    or folder in the image for the others; empty where the image and its lock do not tell. of_folder: over the sorted
    `sha256  path` lines. places: absolute paths in the image. needs: refs of installed components. supplier: as the package
    names its maintainer. size: bytes in the image, 0 where it was not counted. notes: more, by name.
    """

    kind: Kind
    ref: str
    name: str
    version: str = ""
    purl: str = ""
    sha256: str = ""
    of_folder: bool = False
    licence: Licence = Licence()
    places: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    supplier: str = ""
    size: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OperatingSystem:
    """As /usr/lib/os-release says: id `debian`, version `12`, title `Debian GNU/Linux 12 (bookworm)`."""

    id: str
    version: str
    title: str


@dataclass(frozen=True)
class Facts:
    """project: its name; content: the content id. components: sorted by kind, name and version.

    base: an image that it was built upon, `registry.example.com/python:3.11@sha256:...`; empty where mlship assembled the base.
    unknown: what the components leave out, in one sentence; empty where they are all.
    """

    project: str
    content: str
    platform: str
    components: tuple[Component, ...]
    system: OperatingSystem | None = None
    base: str = ""
    unknown: str = ""
