"""The door to the person: standard output for answers, standard error for everything on the way."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from typing import IO

from mlship.masks import learned, masked

# everything that could move the cursor, change colours or the window's title; tab and newline stay
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Terminal:
    """json: standard output carries one object only, text for people goes to standard error."""

    def __init__(self, stdin: IO[str], stdout: IO[str], stderr: IO[str], environ: Mapping[str, str], *, json: bool) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._stderr = stderr
        self._environ = environ
        self._json = json
        self._before: Callable[[], None] = lambda: None
        self._announced = 0
        self.reader_is_gone = False

    @classmethod
    def of_this_process(cls, *, json: bool) -> Terminal:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a name outside the terminal's character set must not end a deployment
                stream.reconfigure(errors="backslashreplace")
        return cls(sys.stdin, sys.stdout, sys.stderr, os.environ, json=json)

    @property
    def can_ask(self) -> bool:
        return self._stdin is not None and self._stdin.isatty() and self._stderr.isatty()

    @property
    def is_live(self) -> bool:
        """Standard error is a terminal on which lines can be drawn again."""
        return self._stderr.isatty() and self._environ.get("TERM") != "dumb" and not self._environ.get("CI")

    @property
    def stderr(self) -> IO[str]:
        return self._stderr

    def before_each_text(self, act: Callable[[], None]) -> None:
        """What has to happen before anything is printed: a live display steps aside."""
        self._before = act

    def step_aside(self) -> None:
        """Ends a live display; it comes back with the next step."""
        self._before()

    def say(self, text: str) -> None:
        """Text for people: on standard output, or on standard error beside --json."""
        self._before()
        self._print(self._stderr if self._json else self._stdout, text)

    def answer(self, text: str) -> None:
        """For machines: on standard output, as it is but for secrets."""
        self._before()
        self._announce()
        self._write(self._stdout, masked(text) + "\n")

    def document(self, text: str) -> None:
        """One JSON object for machines, whose values were covered before they became text."""
        self._before()
        self._announce()
        self._write(self._stdout, text + "\n")

    def complain(self, text: str) -> None:
        """An error, on standard error."""
        self._before()
        self._print(self._stderr, text)

    def note(self, text: str) -> None:
        """A line about work that goes on, on standard error."""
        self._print(self._stderr, text)

    def ask(self, question: str) -> str:
        """One line from the person. Empty at the end of input."""
        self._before()
        self._write(self._stderr, masked(question))
        return self._stdin.readline()

    def _print(self, stream: IO[str], text: str) -> None:
        text = clean(text)
        if not text:
            return
        self._announce()
        if self._is_coloured(stream):
            from mlship.cli.colour import coloured

            text = coloured(text)
        self._write(stream, text + "\n")

    def _announce(self) -> None:
        """GitHub covers what it is told of in the whole log, other programs' lines too. Never where a file would keep it."""
        if self._environ.get("GITHUB_ACTIONS") != "true" or _is_file(self._stderr):
            return
        known = learned()
        for value in known[self._announced :]:
            if len(value.splitlines()) == 1:  # lines of a longer one were learned each
                self._write(self._stderr, f"::add-mask::{value.replace('%', '%25')}\n")
        self._announced = len(known)

    def _is_coloured(self, stream: IO[str]) -> bool:
        return stream.isatty() and not self._environ.get("NO_COLOR") and self._environ.get("TERM") != "dumb"

    def _write(self, stream: IO[str], text: str) -> None:
        """Whoever read our output may leave; the work and its exit code go on."""
        try:
            stream.write(text)
            stream.flush()
        except BrokenPipeError:
            self.reader_is_gone = self.reader_is_gone or stream is self._stdout
            _forget(stream)


def clean(text: str) -> str:
    """Without secrets and without control characters: names, logs and answers of a server are not ours."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", masked(text).replace("\r\n", "\n")).rstrip("\n")


def _is_file(stream: IO[str]) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _forget(stream: IO[str]) -> None:
    """Lets Python's own last flush go nowhere instead of failing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
