"""mlship's own server as entries of a layer, and the digest that an image changes with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import mlship
from mlship.image.plan import SERVER
from mlship.oci.layer import Entry, entries_of_folder, without_bytecode


def server_sources() -> Iterator[Entry]:
    """mlship/__init__.py and the closed part `mlship/server`, at their place below /opt/mlship/lib."""
    package = Path(mlship.__file__).parent
    yield Entry(f"{SERVER[1:]}/mlship/__init__.py", source=package / "__init__.py")
    yield from without_bytecode(entries_of_folder(package / "server", f"{SERVER}/mlship/server"))


def server_digest() -> str:
    """Hex sha256 over its files: an image changes when they do. As `digest_of(server_sources())`, without asking about each."""
    package = str(Path(mlship.__file__).parent)
    lines = [_line(f"{package}/__init__.py", f"{SERVER[1:]}/mlship/__init__.py")]
    for folder, folders, names in os.walk(f"{package}/server"):
        folders[:] = [name for name in folders if name != "__pycache__"]
        inside = f"{SERVER[1:]}/mlship{folder[len(package) :]}"
        lines += [_line(f"{folder}/{name}", f"{inside}/{name}") for name in names]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def digest_of(sources: tuple[Entry, ...]) -> str:
    lines = [_line(str(entry.source), entry.path) for entry in sources if entry.source is not None]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _line(file: str, path: str) -> str:
    with open(file, "rb") as opened:  # noqa: PTH123 -- a hundred files at each build
        return f"{hashlib.sha256(opened.read()).hexdigest()}  {path}"
