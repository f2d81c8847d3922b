"""The processes that answer: the image's own interpreter and files, one chunk each at a time, and their answers in order."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.runner import Command, Process, Runner
from mlship.server.batch_records import LONGEST, Chunk, TooLong
from mlship.server.batch_wire import receive, send

ENDS_S = 10.0  # for a process whose socket is closed; it may be within a call of the model
NO_SUCH_PROGRAM = 2  # exit status of a server that does not know what it is asked for


@dataclass(frozen=True)
class Done:
    """A chunk with what came of it. told: counts, as batch_wire.py says."""

    chunk: Chunk
    told: Mapping[str, Any] = field(default_factory=dict)
    answers: bytes = b""
    rejects: bytes = b""


class Answerer:
    """One process in the image."""

    def __init__(self, runner: Runner, command: Command) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._process: Process = runner.start(command, channel=theirs.fileno())
            self._stream: BufferedIOBase = ours.makefile("rwb")
        self._waiting: Chunk | None = None

    def open(self, told: Mapping[str, Any], first: bytes) -> None:
        self._send(told, first)

    def opened(self) -> Mapping[str, Any]:
        """What the model is. Raises MlshipError where it cannot be loaded, or does not take this data."""
        found = self._received()
        if found is None:
            raise self._ended("before it had loaded the model")
        told, _ = found
        if "opened" in told:
            opened: Mapping[str, Any] = told["opened"]
            return opened
        raise _refusal(told)

    @property
    def is_waited_for(self) -> bool:
        return self._waiting is not None

    def ask(self, chunk: Chunk) -> None:
        self._waiting = chunk
        self._send({"first": chunk.first, "count": chunk.count}, chunk.body)

    def done(self) -> Done:
        """What came of the chunk that was asked. Raises MlshipError when the process ended instead."""
        chunk, self._waiting = self._waiting, None
        assert chunk is not None
        found = self._received()
        if found is None:
            raise self._ended(f"at rows {chunk.first} to {chunk.first + chunk.count - 1}")
        told, body = found
        return Done(chunk, told, body[: told["size"]], body[told["size"] :])

    def close(self) -> None:
        """It ends when nobody is there any more."""
        try:
            self._stream.close()
        except OSError:  # what was not sent yet has nobody to go to
            pass
        if self._process.poll() is None:
            _wait(self._process)

    def _send(self, told: Mapping[str, Any], body: bytes) -> None:
        try:
            send(self._stream, told, body)
        except OSError:  # it is gone: what is received next says so
            return

    def _received(self) -> tuple[dict[str, Any], bytes] | None:
        try:
            return receive(self._stream)
        except OSError:
            return None

    def _ended(self, where: str) -> MlshipError:
        code = _wait(self._process)
        if code == NO_SUCH_PROGRAM:
            return MlshipError(
                "the image was built by an mlship that had no batch prediction",
                fix="mlship build, and leave --image out or name the new one",
                code="old-image",
            )
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit {code}"
        memory = "; 9 is what the system sends when memory runs out" if code == -9 else ""
        return MlshipError(
            f"the model's process {how} {where}{memory}",
            fix="run the same command again: it goes on; with --chunk 100 less is in memory, and the rows are found",
            exit=Exit.VERIFY_FAILED,
            code="process-ended",
        )


@contextmanager
def answerers(runner: Runner, command: Command, count: int) -> Iterator[list[Answerer]]:
    """So many processes, which end with this."""
    started: list[Answerer] = []
    try:
        started += (Answerer(runner, command) for _ in range(count))
        yield started
    finally:
        for each in started:
            each.close()


def answered(processes: list[Answerer], chunks: Iterable[Chunk]) -> Iterator[Done]:
    """What came of each chunk, in their order. One is read ahead while the processes work."""
    asked: deque[Answerer | Done] = deque()
    turn = 0
    for chunk in chunks:
        if chunk.too_long is not None:
            asked.append(unread(chunk, chunk.too_long))
            continue
        process = processes[turn % len(processes)]
        turn += 1
        ready: list[Done] = []
        while process.is_waited_for:
            ready.append(_settled(asked.popleft()))
        process.ask(chunk)
        asked.append(process)
        yield from ready
    while asked:
        yield _settled(asked.popleft())


def unread(chunk: Chunk, record: TooLong) -> Done:
    """A record that is too long for any process is rejected here. Pure."""
    reason = f"row {chunk.first}: it has {record.size} bytes; the longest that is read has {LONGEST}"
    data = record.begins.decode(errors="replace")
    line: dict[str, Any] = {"row": chunk.first, "feature": None, "reason": reason, "data": data, "problems": []}
    told = {"answered": 0, "rejected": 1, "failed": 0, "heads": [], "reason": reason}
    return Done(chunk, told, b"", json.dumps(line, ensure_ascii=False).encode() + b"\n")


def _settled(waiting: Answerer | Done) -> Done:
    return waiting if isinstance(waiting, Done) else waiting.done()


def _refusal(told: Mapping[str, Any]) -> MlshipError:
    if "unknown" in told:
        return MlshipError(
            f"the image has no such model; it has {', '.join(told['unknown']['names'])}",
            fix="name one of them, or leave --model out",
        )
    if "failed" in told:
        trace = str(told["failed"]["trace"])
        return MlshipError(
            str(told["failed"]["message"]), fix="mlship check", exit=Exit.VERIFY_FAILED, details=trace.splitlines()[-8:]
        )
    refused = told["refused"]
    said = [str(problem["message"]) for problem in refused["problems"]]
    if refused["code"] == "header":
        return MlshipError(str(refused["message"]), fix="say --header yes, or --header no", code="header")
    return MlshipError(
        f"the model does not take this file: {refused['message']}",
        fix="leave the column out, or set serve.extra: ignore, or serve.passthrough to have it beside the answers",
        code="invalid-input",
        details=said,
    )


def _wait(process: Process) -> int:
    """Its exit status, when it has ended or was killed for not doing so."""
    deadline = time.monotonic() + ENDS_S
    while (code := process.poll()) is None:
        if time.monotonic() > deadline:
            process.send_signal(signal.SIGKILL)
            return process.wait()
        time.sleep(0.005)
    return code
