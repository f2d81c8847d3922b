"""How far one blob is, and how fast it goes, told to whoever listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mlship.progress import Progress
from mlship.units import size_text

_EVERY_S = 0.2


class BlobProgress:
    """Of one blob. done: bytes that the other side has; they may become fewer after a cut. Speed: moved bytes over time."""

    def __init__(self, progress: Progress, name: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._name = name
        self._total = total
        self._clock = clock
        self._began = clock()
        self._told = self._began
        self._lock = threading.Lock()
        self.moved = 0

    def add(self, done: int, moved: int) -> None:
        """Throttled. done: where it stands now; moved: bytes that went over the line since the last call."""
        with self._lock:
            self.moved += moved
            now = self._clock()
            if now - self._told < _EVERY_S:
                return
            self._told = now
        self._progress.amount(f"{self._name}, {self._speed(now)}", done, self._total)

    def finish(self) -> None:
        now = self._clock()
        self._progress.amount(f"{self._name}, {self._speed(now)}", self._total, self._total)

    def _speed(self, now: float) -> str:
        return f"{size_text(int(self.moved / max(now - self._began, 1e-3)))}/s"
