"""Where one service keeps its files: `<home>/local/<project>/<environment>/`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.targets.local.protocol import LEASE

DEFAULT = "default"  # stands for: no environment
ROOTFS = "rootfs"  # beside the projects; no project's name, see _checked
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class ServiceFolder:
    """The files of one project in one environment. Nothing outside `path` belongs to it."""

    path: Path

    @classmethod
    def of(cls, home: Home, project: str, environment: str) -> ServiceFolder:
        """Raises MlshipError for names that are not plain names, so that no path leads out of the home folder."""
        if environment == DEFAULT:
            raise MlshipError(
                "an environment cannot be called default on the target local: that is the name of having none",
                fix="give the environment another name",
            )
        if project == ROOTFS:
            raise MlshipError("a project cannot be called rootfs on the target local", fix="give the project another name")
        return cls(home.local / _checked(project) / _checked(environment or DEFAULT))

    @property
    def history(self) -> Path:
        return self.path / "history.json"

    @property
    def lease(self) -> Path:
        return self.path / LEASE

    @property
    def lock(self) -> Path:
        """Held for the instant in which history or lease are compared and replaced."""
        return self.path / "records.lock"

    @property
    def runs(self) -> Path:
        return self.path / "run"

    def run(self, release: str) -> ReleaseFolder:
        if not re.fullmatch(r"r[0-9]+-[0-9a-f]{6}", release):
            raise MlshipError(f"{release!r} is not a release id", fix="mlship history")
        return ReleaseFolder(self.runs / release)

    def kept_runs(self) -> list[ReleaseFolder]:
        """Every release that left something here, oldest first."""
        found = self.runs.iterdir() if self.runs.is_dir() else ()
        return [ReleaseFolder(path) for path in sorted(found, key=_sequence)]


@dataclass(frozen=True)
class ReleaseFolder:
    """What one release left: its log, how it is started, and the content that its files come from."""

    path: Path

    @property
    def release(self) -> str:
        return self.path.name

    @property
    def log(self) -> Path:
        return self.path / "server.log"

    @property
    def launch(self) -> Path:
        """How it was started last; a restore starts it from here."""
        return self.path / "launch.json"

    @property
    def secrets(self) -> Path:
        """One file a secret, for this user alone."""
        return self.path / "secrets"

    @property
    def content(self) -> Path:
        """The content id: as long as this file is here, the unpacked image is in use."""
        return self.path / "content"

    def content_id(self) -> str:
        try:
            return self.content.read_text().strip()
        except FileNotFoundError:
            return ""


def _sequence(path: Path) -> tuple[int, str]:
    found = re.match(r"r([0-9]+)-", path.name)
    return (int(found[1]) if found else 0, path.name)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise MlshipError(
            f"{name!r} is not a name", fix="use lower case letters, digits and dashes, at most 40", code="bad-name"
        )
    return name
