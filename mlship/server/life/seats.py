"""What the supervisor knows of the processes that it has: who sits where, and what they have said."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass
class Report:
    """The reading end of a pipe on which a process says JSON lines; -1: there is none."""

    descriptor: int = -1
    has_ended: bool = False  # the other end is closed: a poll would return at once for ever
    _said: bytes = b""

    @classmethod
    def opened(cls) -> tuple[Report, int]:
        """With the end that is written to."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        return cls(reading), writing

    def lines(self) -> list[dict[str, Any]]:
        """Whole lines that have come since the last call."""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self.descriptor, 65536):
                self._said += part
            self.has_ended = True
        *whole, self._said = self._said.split(b"\n")
        found = []
        for line in whole:
            with contextlib.suppress(orjson.JSONDecodeError):
                said = orjson.loads(line)
                found += [said] if isinstance(said, dict) else []  # the model's code has the pipe, too
        return found

    def close(self) -> None:
        os.close(self.descriptor)
        self.descriptor = -1


@dataclass
class Seat:
    """A worker's place. pid 0: empty, or the nursery has not told yet who sits there; reason: why the worker says that it goes."""

    index: int
    pid: int = 0
    report: Report | None = None
    reason: dict[str, Any] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0

    @property
    def is_taken(self) -> bool:
        """True from the order for a worker until its death is known."""
        return self.report is not None

    def take(self, pid: int, report: Report, now: float) -> None:
        self.pid, self.report, self.started, self.reason = pid, report, now, None

    def hear(self) -> None:
        """Takes what was said: who sits here, and why it goes."""
        for line in self.report.lines() if self.report else ():
            self.pid = line.get("pid", self.pid)
            self.reason = self.reason or (line if "message" in line else None)

    def leave(self) -> None:
        if self.report:
            self.report.close()
        self.pid, self.report = 0, None


def ending(code: int) -> str:
    """`exit 3`, or the signal's name; SIGKILL from outside is mostly the memory limit."""
    if code >= 0:
        return f"exit {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name}, perhaps out of memory" if code == -signal.SIGKILL else name
