"""How long work is shown: one live line on a terminal, plain lines elsewhere; nothing for work under a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from mlship.cli.terminal import Terminal, clean
from mlship.progress import Progress
from mlship.units import size_text

SHOW_AFTER_S = 1.0
AMOUNT_EVERY_S = 10.0
AGAIN_EVERY_S = 60.0
FRAMES = "|/-\\"


def start_progress(terminal: Terminal) -> Progress:
    """A display that steps aside whenever the terminal prints something else."""
    display = LiveProgress(terminal) if terminal.is_live else PlainProgress(terminal.note)
    terminal.before_each_text(display.pause)
    return display


class PlainProgress:
    """A line for each step that has lasted a second; while amounts grow, one more every ten seconds, else every minute."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._began = clock()
        self._lock = threading.RLock()
        self._pending = self._lasting = ""
        self._name = ""
        self._timer: threading.Timer | None = None
        self._told_amount = self._began

    def step(self, name: str, detail: str = "") -> None:
        with self._lock:
            self._cancel()
            self._name = name
            self._pending = f"{name}  {detail}".rstrip()
            self._told_amount = self._clock()
            self._after(SHOW_AFTER_S, self.tell)

    def amount(self, name: str, done: int, total: int | None = None, unit: str = "B") -> None:
        with self._lock:
            if self._clock() - self._told_amount >= AMOUNT_EVERY_S:
                self._told_amount = self._clock()
                self._line(f"{name}  {amount_text(done, total, unit)}")

    def tell(self) -> None:
        """Prints the step that is waiting to be worth a line."""
        with self._lock:
            if self._pending:
                self._line(self._pending)
                self._lasting, self._pending = self._pending, ""
                self._after(AGAIN_EVERY_S, self.remind)

    def remind(self) -> None:
        """Prints the step that goes on and on: CI systems end jobs that say nothing for minutes."""
        with self._lock:
            if self._lasting:
                self._line(f"{self._lasting}, still")
                self._after(AGAIN_EVERY_S, self.remind)

    def pause(self) -> None:
        with self._lock:
            self._cancel()

    def _line(self, text: str) -> None:
        self._write(f"  {time_text(self._clock() - self._began)}  {text}")

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._pending = self._lasting = ""

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        self._timer = threading.Timer(seconds, act)
        self._timer.daemon = True
        self._timer.start()


class LiveProgress:
    """One line that is drawn again and again, and gone at the end."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._began = time.monotonic()
        self._lock = threading.RLock()
        self._name = ""
        self._text = ""
        self._amount = ""
        self._live: Any = None
        self._timer: threading.Timer | None = None

    def step(self, name: str, detail: str = "") -> None:
        with self._lock:
            self._name, self._text, self._amount = name, f"{name}  {detail}".rstrip(), ""
            if self._live is None and self._timer is None:
                self._timer = threading.Timer(SHOW_AFTER_S, self._start)
                self._timer.daemon = True
                self._timer.start()

    def amount(self, name: str, done: int, total: int | None = None, unit: str = "B") -> None:
        more, told = more_than(self._name, name), amount_text(done, total, unit)
        # the line has room for the step's detail, or for a blob with its speed
        self._text, self._amount = (self._name, f"{more}  {told}") if more else (self._text, told)

    def pause(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _start(self) -> None:
        from rich.console import Console
        from rich.live import Live

        with self._lock:
            if self._timer is None:  # paused while this thread was starting
                return
            self._timer = None
            self._live = Live(
                get_renderable=self._line,
                console=Console(file=self._terminal.stderr),
                refresh_per_second=8,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def _line(self) -> Any:
        from rich.text import Text

        elapsed = time.monotonic() - self._began
        frame = FRAMES[int(elapsed * 8) % len(FRAMES)]
        words = clean(f"{frame} {time_text(elapsed)}  {self._text}  {self._amount}".rstrip())
        return Text(words, no_wrap=True, overflow="ellipsis")


def more_than(step: str, name: str) -> str:
    """What an amount's name says besides the step's: `model churn, 12 MB/s` of `push model churn, 12 MB/s`."""
    return name.removeprefix(step).lstrip(" ,")


def amount_text(done: int, total: int | None, unit: str) -> str:
    """`31 MB of 120 MB`, `3 of 31 wheels`, `12 MB`."""
    if unit == "B":
        return size_text(done) if total is None else f"{size_text(done)} of {size_text(total)}"
    return f"{done} {unit}" if total is None else f"{done} of {total} {unit}"


def time_text(seconds: float) -> str:
    """`00:14`."""
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
