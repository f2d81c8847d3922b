"""When memory goes back to the system: not while large bodies come, because they take it again at once."""

from __future__ import annotations

MUCH = 1_000_000  # bytes of bodies; what they took for a while is several times as much


class Lull:
    """Asked at each tick of a worker."""

    def __init__(self) -> None:
        self._last = self._given_back = 0

    def is_now(self, large: int) -> bool:
        """True in the tick after the last of many large bodies. large: bytes of all that have come until now."""
        is_over = large == self._last and large - self._given_back > MUCH
        self._last = large
        if is_over:
            self._given_back = large
        return is_over
