"""Looking again until something is so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mlship.errors import Exit, MlshipError

Found = TypeVar("Found")
POLL_S = 2.0
AWAY_S = 300.0  # on end: then it is no moment any more, and whoever waits is told


@dataclass(frozen=True)
class Waiting:
    """The clock, in seconds since the epoch, and the pause between two looks."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    every_s: float = POLL_S

    def answered(self, look: Callable[[], Found]) -> Found:
        """What it answers. Raises what no look has got past for AWAY_S."""
        found = self.until(lambda: (look(),), AWAY_S)
        assert found is not None, "an answer is one, whatever it says"
        return found[0]

    def until(self, look: Callable[[], Found | None], seconds: float) -> Found | None:
        """The first answer that is not None; None when the time is over.

        In minutes of waiting a cloud may be busy or away for a moment: that ends nothing. Raises what the last look raised, and what
        no look has got past for AWAY_S.
        """
        answered = self.clock()
        ends = answered + seconds
        while True:
            away = None
            try:
                if (found := look()) is not None:
                    return found
                answered = self.clock()
            except MlshipError as error:
                if error.exit is not Exit.UNREACHABLE:
                    raise
                away = error
            now = self.clock()
            if away is not None and now >= min(ends, answered + AWAY_S):
                raise away
            if now >= ends:
                return None
            self.sleep(self.every_s)
