"""Where mlship keeps its own files on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The folder of mlship's own files; everything in it but `local` can be made again."""

    root: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Home:
        """`MLSHIP_HOME`, else `~/.mlship`."""
        named = environ.get("MLSHIP_HOME")
        return cls(Path(named).expanduser().absolute() if named else Path.home() / ".mlship")

    @property
    def images(self) -> Path:
        """One OCI image layout for all images that were built here."""
        return self.root / "images"

    @property
    def cache(self) -> Path:
        """Downloads, wheels, unpacked layers: safe to delete at any time."""
        return self.root / "cache"

    @property
    def registries(self) -> Path:
        """What this machine knows of registries that it pushed to: hints, and uploads that were cut; safe to delete."""
        return self.root / "registries"

    @property
    def prices(self) -> Path:
        """Prices that go before the shipped ones."""
        return self.root / "prices.book"

    @property
    def memo(self) -> Path:
        """What need not be found out again (mlship/memo.py)."""
        return self.cache / "memo"

    @property
    def in_use(self) -> Path:
        """Locked together by all who build, and alone by who removes what no build needs."""
        return self.root / ".in-use.lock"

    @property
    def local(self) -> Path:
        """Records and running services of the target `local`."""
        return self.root / "local"
