"""What a flow is handed to reach the world with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlship.home import Home
from mlship.progress import Progress
from mlship.runner import Runner

if TYPE_CHECKING:  # few commands begin so early
    from mlship.frameworks.primed import Primed


@dataclass(frozen=True)
class Context:
    """clock: seconds since the epoch. who: `user@host pid 1234`, for lease and history. cwd: where relative paths start.

    primed: what a build started before everything else.
    """

    home: Home
    runner: Runner
    progress: Progress
    environ: Mapping[str, str]
    cwd: Path
    clock: Callable[[], float]
    who: str
    primed: Primed | None = None


@dataclass(frozen=True)
class Where:
    """Which project is meant, as the command line says it; empty strings were not said.

    file: mlship.yaml (-f), None: looked for in cwd and its parents. name: a project without a YAML. host: one of
    `targets.docker.hosts`, where a command goes to one after the other. text: what stands in `file`, where that is not on the
    disk but came in an archive. git: the commit of the build, where the project's folder does not tell it.
    region: of a cloud.
    """

    file: Path | None = None
    name: str = ""
    environment: str = ""
    target: str = ""
    host: str = ""
    text: str | None = None
    git: str | None = None
    region: str = ""
