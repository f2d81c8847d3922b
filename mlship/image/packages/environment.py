"""The environment that the model was trained in: values; how it is found stands in the files beside this one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlship.frameworks.base import Pinned


def normalised(name: str) -> str:
    """A distribution's name as indexes compare it (PyPA, "Names and normalization"): `Scikit_Learn` -> `scikit-learn`."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Distribution:
    """One installed package. modules: its top-level import names.

    requires: its Requires-Dist lines, markers and all; a bare name is such a line, too.
    origin: empty for a package of an index, else `git+<url>@<commit>` or `file:<path>` (credentials removed).
    editable: installed from a folder that is still being worked on.
    """

    name: str
    version: str
    modules: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    origin: str = ""
    editable: bool = False


@dataclass(frozen=True)
class TrainingEnvironment:
    """A Python with the packages that trained the model, or a file that names them.

    python: the interpreter, None when only a file is known. version: `3.11.7` or `3.11`. source: for people, `.venv` or
    `requirements.txt`. distributions: normalised name -> Distribution, of an interpreter. file: the requirements file.
    prefix: the folder of the interpreter's environment, whose own pip.conf counts. pinned: what counts of the file, where it came
    with a model. passed_over: an environment that was found, and lacks what trained the model.
    """

    source: str
    version: str
    python: Path | None = None
    file: Path | None = None
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    prefix: Path | None = None
    pinned: Pinned | None = None
    passed_over: str = ""

    @property
    def trained_by(self) -> Path | None:
        """The interpreter that has what trained the model. One beside a file only tells its version and builds packages."""
        return self.python if self.file is None else None

    @property
    def minor(self) -> str:
        """`3.11`."""
        return ".".join(self.version.split(".")[:2])

    @property
    def versions(self) -> Mapping[str, str]:
        """Normalised name -> version, of everything that is installed."""
        return {name: distribution.version for name, distribution in self.distributions.items()}
