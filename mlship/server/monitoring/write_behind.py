"""Lines that are written by a thread of their own: a reader that stopped reading must not stop the server.

A pipe cannot simply be made non-blocking here: the setting belongs to everybody who has it, the caller's terminal too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

WAITING = 512  # writes that wait for the reader; what comes beyond is lost, and said so
WHOLE = 4096  # bytes that a pipe takes in one piece, so that lines of several processes do not mix (PIPE_BUF, pipe(7))


class Behind:
    """Writes to one descriptor. lost: makes the line that says how many were lost."""

    def __init__(self, descriptor: int, lost: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._lost_line = lost
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._lost = 0
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def put(self, lines: bytes) -> None:
        """Whole lines, each with its end. Never waits."""
        if self._queue.qsize() >= WAITING:
            self._lost += lines.count(b"\n")
            return
        if self._lost:
            lines, self._lost = self._lost_line(self._lost) + lines, 0
        self._queue.put(lines)

    def close(self, timeout_s: float) -> None:
        """Writes what is left, as far as the reader takes it in that time."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (lines := self._queue.get()) is not None:
            for piece in pieces(lines):
                if not self._write(piece):
                    break

    def _write(self, piece: bytes) -> bool:
        """False when nobody reads any more, or the disk is full: a log must not end the service."""
        try:
            while piece:
                piece = piece[os.write(self._descriptor, piece) :]
        except OSError:
            return False
        return True


def pieces(lines: bytes) -> Iterator[bytes]:
    """Whole lines in pieces of at most WHOLE bytes; a longer line is a piece of its own. Pure."""
    start = 0
    while start < len(lines):
        end = lines.rfind(b"\n", start, start + WHOLE) + 1 or lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:end]
        start = end
