"""How long work tells where it stands, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives news of long work. Only `cli` has an implementation that prints."""

    def step(self, name: str, detail: str = "") -> None:
        """A step began or has news: `base`, `debian bookworm, 34 packages`."""

    def amount(self, name: str, done: int, total: int | None = None, unit: str = "B") -> None:
        """How far a step is; total is None where it is not known. unit: `B` for bytes, else a noun."""


class Silent:
    """Nobody listens."""

    def step(self, name: str, detail: str = "") -> None:
        pass

    def amount(self, name: str, done: int, total: int | None = None, unit: str = "B") -> None:
        pass
