"""Looking again until something is so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mlship.errors import Exit, MlshipError

Found = TypeVar("Found")
POLL_S = 2.0


@dataclass(frozen=True)
class Waiting:
    """The clock, in seconds since the epoch, and the pause between two looks."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    every_s: float = POLL_S

    def until(self, look: Callable[[], Found | None], seconds: float) -> Found | None:
        """The first answer that is not None; None when the time is over.

        In minutes of waiting a cloud may be busy or away for a moment: that ends nothing. Raises what the last look raised.
        """
        ends = self.clock() + seconds
        while True:
            away = None
            try:
                if (found := look()) is not None:
                    return found
            except MlshipError as error:
                if error.exit is not Exit.UNREACHABLE:
                    raise
                away = error
            if self.clock() >= ends:
                if away is not None:
                    raise away
                return None
            self.sleep(self.every_s)
