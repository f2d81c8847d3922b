"""The one door through which other programs are started."""

from __future__ import annotations

import atexit
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from mlship.errors import Exit, MlshipError


@dataclass(frozen=True)
class Command:
    """A program to start: an argument list, never a shell line.

    environ replaces the whole environment where given; extra_environ is added to it. timeout_s: None waits for ever.
    """

    argv: tuple[str, ...]
    cwd: Path | None = None
    environ: Mapping[str, str] | None = None
    extra_environ: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = None
    timeout_s: float | None = None
    pass_fds: tuple[int, ...] = ()

    def whole_environ(self) -> dict[str, str]:
        base = os.environ if self.environ is None else self.environ
        return {**base, **self.extra_environ}


@dataclass(frozen=True)
class Result:
    """How a program ended. code is negative when a signal ended it, as subprocess tells it."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")

    def last_lines(self, count: int = 8) -> list[str]:
        """The end of what it said, standard error first choice."""
        said = self.stderr if self.stderr.strip() else self.stdout
        return said.decode(errors="replace").strip().splitlines()[-count:]


class Runner(Protocol):
    """Starts programs. A recording double takes its place in tests."""

    def run(self, command: Command) -> Result: ...

    def stream(self, command: Command, line: Callable[[str], None]) -> Result:
        """Like run; each line of standard error goes to `line` as it comes."""

    def start(
        self,
        command: Command,
        *,
        log: Path | None = None,
        detached: bool = False,
        attached: bool = False,
        channel: int | None = None,
    ) -> Process:
        """Starts and does not wait.

        log: takes stdout and stderr; without it they are thrown away, or with `attached` go where this process's standard
        error goes: then a terminal's Ctrl-C is this process's alone, to be handed on. detached: its own session, survives this
        process. channel: a socket that is its standard input and output; what it says on standard error is thrown away then.
        """


class Process(Protocol):
    """A program that was started and not waited for."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, signal: int) -> None: ...


def has_ended(process: Process, timeout_s: float) -> bool:
    """Whether it has, after at most this time."""
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


class LocalRunner:
    """Starts programs on this machine."""

    def run(self, command: Command) -> Result:
        try:
            done = subprocess.run(
                command.argv,
                cwd=command.cwd,
                env=command.whole_environ(),
                input=command.stdin,
                stdin=subprocess.DEVNULL if command.stdin is None else None,
                capture_output=True,
                timeout=command.timeout_s,
                pass_fds=command.pass_fds,
                check=False,
            )
        except FileNotFoundError:
            raise _missing(command) from None
        except subprocess.TimeoutExpired as error:
            raise MlshipError(f"{command.argv[0]} did not end within {error.timeout:g} s", exit=Exit.TIMED_OUT) from None
        return Result(done.returncode, done.stdout, done.stderr)

    def stream(self, command: Command, line: Callable[[str], None]) -> Result:
        try:
            process = subprocess.Popen(
                command.argv,
                cwd=command.cwd,
                env=command.whole_environ(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=command.pass_fds,
            )
        except FileNotFoundError:
            raise _missing(command) from None
        said: list[bytes] = []
        assert process.stdout is not None
        _followed.add(process)
        try:
            for raw in process.stdout:
                said.append(raw)
                line(raw.decode(errors="replace").rstrip())
            return Result(process.wait(), b"".join(said), b"")
        except BaseException:  # an interrupt, or a listener that failed: nothing is left running
            process.kill()
            process.wait()
            raise
        finally:
            _followed.discard(process)

    def start(
        self,
        command: Command,
        *,
        log: Path | None = None,
        detached: bool = False,
        attached: bool = False,
        channel: int | None = None,
    ) -> Process:
        output: int | IO[bytes] = log.open("ab") if log else 2 if attached else subprocess.DEVNULL
        try:
            return subprocess.Popen(
                command.argv,
                cwd=command.cwd,
                env=command.whole_environ(),
                stdin=subprocess.DEVNULL if channel is None else channel,
                stdout=output if channel is None else channel,
                stderr=subprocess.STDOUT if channel is None else subprocess.DEVNULL,
                start_new_session=detached,
                process_group=0 if attached else None,
                pass_fds=command.pass_fds,
            )
        except FileNotFoundError:
            raise _missing(command) from None
        finally:
            if not isinstance(output, int):
                output.close()


_followed: set[subprocess.Popen[bytes]] = set()


def end_followed() -> None:
    """Ends the programs that threads still follow when the command is over: after an error elsewhere, or an interrupt."""
    for process in tuple(_followed):
        process.kill()


atexit.register(end_followed)


def _missing(command: Command) -> MlshipError:
    return MlshipError(f"the program {command.argv[0]} is not installed", fix="mlship doctor", code="missing-program")
