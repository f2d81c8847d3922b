"""The environment that the model was trained in: values; how it is found stands in the files beside this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Distribution:
    """One installed package. modules: its top-level import names. requires: normalised names of what it needs here.

    origin: empty for a package of an index, else `git+<url>@<commit>` or `file:<path>` (credentials removed).
    """

    name: str
    version: str
    modules: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True)
class TrainingEnvironment:
    """A Python with the packages that trained the model, or a file that names them.

    python: the interpreter, None when only a file is known. version: `3.11.7` or `3.11`. source: for people, `.venv` or
    `requirements.txt`. distributions: normalised name -> Distribution, of an interpreter. file: the requirements file.
    """

    source: str
    version: str
    python: Path | None = None
    file: Path | None = None
    distributions: Mapping[str, Distribution] = field(default_factory=dict)

    @property
    def minor(self) -> str:
        """`3.11`."""
        return ".".join(self.version.split(".")[:2])
