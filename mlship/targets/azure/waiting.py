"""The clock of a command, and the pause between two looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Found = TypeVar("Found")
POLL_S = 3.0


@dataclass(frozen=True)
class Waiting:
    """clock: seconds since the epoch."""

    clock: Callable[[], float]
    sleep: Callable[[float], object]
    every_s: float = POLL_S

    def until(self, look: Callable[[], Found | None], seconds: float) -> Found | None:
        """The first answer that is not None; None when the time is over."""
        ends = self.clock() + seconds
        while (found := look()) is None:
            if self.clock() >= ends:
                return None
            self.sleep(self.every_s)
        return found
