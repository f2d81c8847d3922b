"""The CLI's end of the control socket: asks the holder, starts it where it is needed, finds out when it is gone."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mlship.errors import Exit, MlshipError
from mlship.runner import Command, Runner
from mlship.targets.local import processes
from mlship.targets.local.protocol import SOCKET, HolderView, Launch, Question, Reply, read_state

SCRIPT = Path(__file__).with_name("holder.py")
START_TIMEOUT_S = 15.0
SHIFT_TIMEOUT_S = 15.0
ANSWER_TIMEOUT_S = 10.0
CHANGE_TIMEOUT_S = 120.0  # a drain is part of a change; its own limit is the launch's drain_s
PAUSE_S = 0.02
LOG = "holder.log"


class Refused(MlshipError):
    """The holder did not do what it was asked for; code says why, for machines."""


class Control:
    """Talks to the holder of one service. folder: the service's, absolute and free of links. token: of the lease held now."""

    def __init__(self, folder: Path, runner: Runner, token: Callable[[], str] = str) -> None:
        self.folder = folder
        self._runner = runner
        self._token = token

    def status(self) -> HolderView | None:
        """None where no holder answers."""
        reply = self._say(Question("status"), ANSWER_TIMEOUT_S)
        return reply.view if reply else None

    def settled(self) -> HolderView | None:
        """As status, after a change that is still going on, such as one that a killed command began."""
        reply = self._say(Question("settle"), ANSWER_TIMEOUT_S)
        return reply.view if reply else None

    def last_state(self) -> HolderView | None:
        """What the last holder wrote before it went."""
        return read_state(self.folder)

    def start(self, launch: Launch) -> HolderView:
        return self._change(Question("start", launch.release, launch=launch))

    def shift(self, release: str, timeout_s: float = SHIFT_TIMEOUT_S) -> HolderView:
        return self._change(Question("shift", release, timeout_s=timeout_s))

    def stop(self, release: str) -> HolderView:
        return self._change(Question("stop", release))

    def unstage(self, release: str) -> HolderView:
        return self._change(Question("unstage", release))

    def ensure(self) -> HolderView:
        """The holder's view; it is started where none answers. Raises MlshipError when it does not come up."""
        present = self.status()
        if present is not None:
            return present
        process = self._runner.start(self._command(), log=self.folder / LOG, detached=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            present = self.status()
            if present is not None:
                return present
            if process.poll() not in (None, 75):  # 75: another one has just come up
                break
            time.sleep(PAUSE_S)
        raise MlshipError(
            "the supervisor of the service did not come up",
            str(self.folder / LOG),
            self._remedy(),
            exit=Exit.TIMED_OUT,
            code="no-supervisor",
            details=_last_lines(self.folder / LOG),
        )

    def quit(self) -> None:
        """Ends the holder and every server of this service; whoever does not listen is ended anyway."""
        with suppress(MlshipError):
            if self._say(Question("quit", token=self._token()), ANSWER_TIMEOUT_S) is not None:
                _wait_until_gone(self._processes(), CHANGE_TIMEOUT_S)
        for number, whom in self._by_force():
            processes.send(whom, number)
            _wait_until_gone(whom, ANSWER_TIMEOUT_S)

    def _by_force(self) -> Iterator[tuple[signal.Signals, dict[int, int]]]:
        """The holder first, or it would start its servers again; then servers by their leaders; then all that is left."""
        holder = processes.marked(str(self.folder), (processes.HOLDER_MARK,))
        yield signal.SIGKILL, {pid: processes.start_ticks(pid) for pid in holder}
        yield signal.SIGTERM, processes.leaders(self._processes())
        yield signal.SIGKILL, self._processes()

    def strangers(self) -> list[int]:
        """Servers of this service that run, whether a holder knows them or not."""
        return processes.marked(str(self.folder))

    def _processes(self) -> dict[int, int]:
        marks = (processes.SERVER_MARK, processes.HOLDER_MARK)
        return {pid: processes.start_ticks(pid) for pid in processes.marked(str(self.folder), marks)}

    def _change(self, question: Question) -> HolderView:
        reply = self._say(replace(question, token=self._token()), CHANGE_TIMEOUT_S)
        if reply is None:
            raise Refused("the supervisor of the service went away", str(self.folder / LOG), code="no-supervisor")
        if not reply.ok:
            raise Refused(reply.error, code=reply.code)
        return reply.view

    def _say(self, question: Question, timeout_s: float) -> Reply | None:
        """None where nobody listens. The path goes through a descriptor: the kernel takes 108 bytes at most."""
        try:
            folder = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
                wire.settimeout(timeout_s)
                wire.connect(f"/proc/self/fd/{folder}/{SOCKET}")
                wire.sendall(question.to_line())
                line = _read_line(wire)
        except (FileNotFoundError, ConnectionError):
            return None
        except TimeoutError:
            raise Refused(
                f"the supervisor of the service did not answer within {timeout_s:g} s",
                str(self.folder / LOG),
                self._remedy(),
                exit=Exit.TIMED_OUT,
                code="no-supervisor",
            ) from None
        finally:
            os.close(folder)
        return Reply.from_line(line) if line else None

    def _command(self) -> Command:
        environ = {processes.HOLDER_MARK: str(self.folder), "PATH": os.defpath, "LANG": "C.UTF-8"}
        return Command((sys.executable, "-I", str(SCRIPT), str(self.folder)), cwd=self.folder, environ=environ)

    def _remedy(self) -> str:
        last = self.last_state()
        return f"kill -9 {last.pid}, then run the same command again" if last and processes.start_ticks(last.pid) else ""


def _wait_until_gone(known: Mapping[int, int], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while processes.alive(known) and time.monotonic() < deadline:
        time.sleep(PAUSE_S)


def _read_line(wire: socket.socket) -> bytes:
    parts: list[bytes] = []
    while not parts or not parts[-1].endswith(b"\n"):
        part = wire.recv(65536)
        if not part:
            return b""
        parts.append(part)
    return b"".join(parts)


def _last_lines(path: Path, count: int = 8) -> tuple[str, ...]:
    try:
        return tuple(path.read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ()
