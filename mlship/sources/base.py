"""What a source of models gives: what an address means now, and the bytes of each file of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mlship.errors import Exit, MlshipError
from mlship.runner import Runner

PIECE = 1 << 20
MAX_FILES = 10_000  # of one model; a whole bucket named by mistake has more
NETWORK = "check the network, the proxy (https_proxy) and SSL_CERT_FILE, then run it again; nothing was changed"
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_LONGEST = 1024


@dataclass(frozen=True)
class Opening:
    """What a source is opened with. address: as mlship.yaml says it. root: the project's folder. where: the key that names it.

    is_brief: the answer is only nice to have: one try, and a short wait.
    """

    address: str
    root: Path
    environ: Mapping[str, str]
    runner: Runner
    where: str = ""
    is_brief: bool = False


@dataclass(frozen=True)
class Item:
    """One file of a model. name: inside the model's folder, `/` between parts. key: how the source calls it. size: in bytes.

    state: changes whenever its bytes do, such as an entity tag. digests: what the source says of its bytes, hex by algorithm:
    `sha256`, `md5`, or `git` (of a git blob).
    """

    name: str
    key: str
    size: int
    state: str
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """What an address means now. title: name of the file, or of the folder, on this machine. version: what pins it.

    is_file: one file and no folder.
    """

    title: str
    version: str
    items: tuple[Item, ...]
    is_file: bool = False

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items)


@dataclass(frozen=True)
class Body:
    """Bytes of an item from `start` on, in pieces; 0 where the source cannot begin in the middle."""

    start: int
    pieces: Iterator[bytes]


class Source(Protocol):
    """One address of one scheme. Safe for several threads once `snapshot` has answered."""

    def snapshot(self, version: str = "") -> Snapshot:
        """What the address means. version: of an earlier snapshot, for sources that still know it; others tell what is there now.

        Raises MlshipError: exit 2 (nothing there), 8 (no permission), 13 (nobody answers).
        """

    def read(self, item: Item, start: int) -> AbstractContextManager[Body]:
        """Raises Cut where the line broke, also while the pieces are read, and MlshipError as `snapshot` does."""


class Cut(Exception):
    """The line broke, or nobody answered: to be tried again."""


def missing(what: str, where: str, fix: str = "correct model.uri") -> MlshipError:
    return MlshipError(what, where, fix, code="missing-model")


def denied(what: str, where: str, fix: str) -> MlshipError:
    return MlshipError(what, where, fix, exit=Exit.DENIED, code="source-denied")


def unreachable(what: str, where: str, fix: str = NETWORK) -> MlshipError:
    return MlshipError(what, where, fix, exit=Exit.UNREACHABLE, code="source-unreachable")


def changed(what: str, where: str, fix: str = "run it again") -> MlshipError:
    """What is there is not what was asked for."""
    return MlshipError(what, where, fix, exit=Exit.BUILD_FAILED, code="source-changed")


def too_many(address: str, where: str) -> MlshipError:
    fix = "name the model's own file or folder"
    return MlshipError(f"{address} holds more than {MAX_FILES:,} files", where, fix, code="too-many-files")


def is_inside(name: str) -> bool:
    """Whether a file of this name, laid into a folder, stays in it, on every system. Pure."""
    parts = name.split("/")
    is_usable = not _UNSAFE.search(name) and len(name) <= _LONGEST and all(0 < len(part.encode()) <= 255 for part in parts)
    return is_usable and not {"", ".", ".."} & {*parts} and not re.match(r"[A-Za-z]:", name)


def is_hidden(name: str) -> bool:
    """Hidden files are no part of a model, wherever it comes from (frameworks/digest.py)."""
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))


def base_name(path: str) -> str:
    """Last part of a path of the source's: the name on this machine."""
    return path.rstrip("/").rpartition("/")[2]
