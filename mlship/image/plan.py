"""BuildPlan: everything that an image will consist of, as plain values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mlship.oci.image import Descriptor

# Part of every key. Raise it when the same inputs shall give other bytes.
BUILDER = 10

DEBIAN = "debian"  # build.base: assembled from signed packages, of Debian or Ubuntu

LayerRole = Literal["base", "packages", "server", "model", "code", "configuration"]

# Paths inside every image; disjoint by role, so that a layer can be replaced without the ones above it.
ROOT = "/opt/mlship"
SERVER = f"{ROOT}/lib"  # mlship/server and the server's own packages; in the front's image mlship/keeper
PACKAGES = f"{ROOT}/env"  # what the model needs, as `uv pip install --target` lays it out
CODE = f"{ROOT}/code"  # the user's own packages
MODELS = f"{ROOT}/models"  # models/<name>/...
MANIFEST = f"{ROOT}/manifest.json"
USER = "65532:65532"  # numeric, so that runAsNonRoot can be checked; the number that distroless images use
PORT = 8080


@dataclass(frozen=True)
class SystemPackage:
    """One operating-system package. sha256 of the .deb file; url where it was listed, without credentials."""

    name: str
    version: str
    sha256: str
    size: int
    url: str


@dataclass(frozen=True)
class BasePlan:
    """The operating system and the interpreter. python: full path inside the image, such as /usr/bin/python3.11.

    requested: names of build.packages; only their programs are kept. security: of the packages those whose version the
    distribution published as a security update; only known where they were resolved, and no part of the base's identity.
    image: instead of packages, one that somebody else made; suite is its reference then. diff_id, blob: of the layer as it was
    when this was locked, to find it again where its packages are gone.
    """

    suite: str
    platform: str
    python: str
    packages: tuple[SystemPackage, ...]
    requested: tuple[str, ...] = ()
    security: tuple[str, ...] = field(default=(), compare=False)
    image: BaseImage | None = None
    diff_id: str = field(default="", compare=False)
    blob: Descriptor | None = field(default=None, compare=False)


@dataclass(frozen=True)
class BaseImage:
    """An image of somebody else that is built upon, as it is locked.

    reference: as mlship.yaml says it. digest: of its manifest for the platform. diff_ids: of its layers, bottom first.
    python: path of the interpreter in it. glibc: version of its C library, `2.36`.
    """

    reference: str
    digest: str
    diff_ids: tuple[str, ...]
    python: str
    glibc: str


@dataclass(frozen=True)
class Wheel:
    """One locked Python package. sha256: of the wheel that is installed, hex. built: made here from git or source, path then."""

    name: str
    version: str
    sha256: str
    built: Path | None = None
    origin: str = ""
    """for built ones: `git+<url without credentials>@<commit>` or the source archive's name"""


@dataclass(frozen=True)
class LayerFile:
    """A file for a layer. target: absolute path inside the image. source: on this machine; else content.

    sha256: hex of what the source held when it was planned; empty where nobody has read it.
    """

    target: str
    source: Path | None = None
    content: bytes = b""
    mode: int = 0o644
    sha256: str = ""


@dataclass(frozen=True)
class LayerPlan:
    """A layer that is made of files. sha256s of its sources are in the files' specs; key: what the cache is keyed on."""

    role: LayerRole
    name: str
    files: tuple[LayerFile, ...]
    key: str


@dataclass(frozen=True)
class ImageConfig:
    """The OCI configuration's `config` section."""

    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str = USER
    port: int = PORT
    working_dir: str = "/"
    stop_signal: str = "SIGTERM"


@dataclass(frozen=True)
class Interpreter:
    """How the server is started inside an image, and by targets that start it themselves.

    environ values and argv use absolute paths inside the image.
    """

    argv: tuple[str, ...]
    environ: Mapping[str, str]


def entrypoint(python: str) -> Interpreter:
    """The server's command line. python: absolute path of the interpreter inside the image."""
    return Interpreter(
        argv=(python, "-s", "-P", "-m", "mlship.server"),
        environ={
            "PYTHONPATH": f"{SERVER}:{PACKAGES}:{CODE}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "MLSHIP_MANIFEST": MANIFEST,
        },
    )
