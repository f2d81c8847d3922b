"""From the scheme of an address to the module that reads it; nothing is imported until one is chosen."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from mlship.config.addresses import scheme_of
from mlship.sources.base import Opening, Source

POINTER = ".dvc"

# scheme -> module:function, which is given an Opening
SOURCES = {
    "s3": "mlship.sources.s3:open_source",
    "gs": "mlship.sources.gs:open_source",
    "az": "mlship.sources.az:open_source",
    "abfss": "mlship.sources.az:open_source",
    "wasbs": "mlship.sources.az:open_source",
    "models": "mlship.sources.mlflow:open_version",
    "runs": "mlship.sources.mlflow:open_run",
    "dvc": "mlship.sources.dvc:open_source",
    "pointer": "mlship.sources.dvc:open_pointer",
    "hf": "mlship.sources.hf:open_source",
}


def is_remote(uri: str, root: Path) -> bool:
    """Whether the model has to be fetched: an address, or a pointer of DVC where the file itself is not there."""
    return bool(source_name(uri, root))


def source_name(uri: str, root: Path) -> str:
    """A key of SOURCES; empty for a file or folder that is there, and for one that should be. Reads no file."""
    if scheme := scheme_of(uri):
        return scheme
    path = root / uri
    try:
        is_pointer = path.is_file() if path.suffix == POINTER else not path.exists() and _beside(path).is_file()
    except OSError:  # whoever reads the model says why it cannot be
        return ""
    return "pointer" if is_pointer else ""


def _beside(path: Path) -> Path:
    return path.with_name(path.name + POINTER)


def open_source(opening: Opening) -> Source:
    """Of an address, or of a pointer. Raises MlshipError where a package is missing."""
    module, _, name = SOURCES[source_name(opening.address, opening.root)].partition(":")
    made: Callable[[Opening], Source] = getattr(importlib.import_module(module), name)
    return made(opening)
