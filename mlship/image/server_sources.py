"""mlship's own server as entries of a layer, and the digest that an image changes with."""

from __future__ import annotations

import hashlib
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
    """Hex sha256 over its files: an image changes when they do."""
    return digest_of(tuple(server_sources()))


def digest_of(sources: tuple[Entry, ...]) -> str:
    lines = [
        f"{hashlib.sha256(entry.source.read_bytes()).hexdigest()}  {entry.path}"
        for entry in sources
        if entry.source is not None
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
