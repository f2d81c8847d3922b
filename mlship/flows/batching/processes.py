"""The processes that answer: the image's own interpreter and files, a chunk each at a time, and what came of them in order.

A process that a row kills is replaced, and its chunk is halved until that row stands alone: it is rejected like any other.
"""

from __future__ import annotations

import json
import signal
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedIOBase
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.runner import Command, Process, Runner
from mlship.server.batch_records import LONGEST, Chunk, cut
from mlship.server.batch_wire import WIRE, receive, send

ENDS_S = 2.0  # for a process whose socket is closed; it may be within a call of the model, and has nothing to lose
NO_SUCH_PROGRAM = 2  # exit status of a server that does not know what it is asked for
SHOWN = 10_000  # bytes of a row in the file of rejects
DEATHS = 100  # processes that are replaced, at a second or more each; then it is not a row


@dataclass(frozen=True)
class Opening:
    """What each process is told first: see batch_wire.py. first: the first record of a CSV file."""

    told: Mapping[str, Any]
    first: bytes


@dataclass(frozen=True)
class Done:
    """A chunk with what came of it. told: counts, as batch_wire.py says."""

    chunk: Chunk
    told: Mapping[str, Any]
    answers: bytes = b""
    rejects: bytes = b""


class Ended(Exception):
    """A process is gone. code: its exit status, negative for a signal."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"was killed by signal {-code}" if code < 0 else f"ended with exit {code}")


class Answerer:
    """One process in the image."""

    def __init__(self, runner: Runner, command: Command, opening: Opening) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._process: Process = runner.start(command, channel=theirs.fileno())
            self._stream: BufferedIOBase = ours.makefile("rwb")
        self.asked: Chunk | None = None
        self._send(opening.told, opening.first)

    def opened(self) -> Mapping[str, Any]:
        """What the model is. Raises MlshipError where it cannot be loaded, or does not take this data."""
        try:
            told, _ = self._received()
        except Ended as ended:
            raise _unopened(ended) from None
        if "opened" not in told:
            raise _refusal(told)
        opened: Mapping[str, Any] = told["opened"]
        if opened.get("wire") != WIRE:
            raise _other_wire("another one")
        return opened

    def ask(self, chunk: Chunk) -> None:
        self.asked = chunk
        self._send({"first": chunk.first, "count": chunk.count, "form": chunk.form}, chunk.body)

    def done(self) -> Done:
        """What came of the chunk that was asked. Raises Ended."""
        chunk, self.asked = self.asked, None
        assert chunk is not None
        told, body = self._received()
        return Done(chunk, told, body[: told["size"]], body[told["size"] :])

    def leave(self) -> None:
        """It ends when nobody is there any more."""
        try:
            self._stream.close()
        except OSError:  # what was not sent yet has nobody to go to
            pass

    def close(self) -> int:
        """Its exit status."""
        self.leave()
        deadline = time.monotonic() + ENDS_S
        while (code := self._process.poll()) is None:
            if time.monotonic() > deadline:
                self._process.send_signal(signal.SIGKILL)
                return self._process.wait()
            time.sleep(0.005)
        return code

    def _send(self, told: Mapping[str, Any], body: bytes) -> None:
        try:
            send(self._stream, told, body)
        except OSError:  # it is gone: what is received next says so
            return

    def _received(self) -> tuple[dict[str, Any], bytes]:
        try:
            found = receive(self._stream)
        except OSError:
            found = None
        if found is None:
            raise Ended(self.close())
        return found


class Answerers:
    """All processes of a run. model: what they say of it."""

    def __init__(self, runner: Runner, command: Command, opening: Opening, count: int) -> None:
        self._runner = runner
        self._command = command
        self._opening = opening
        self._processes = [self._started(place) for place in range(count)]
        self._deaths = 0

    def opened(self) -> Mapping[str, Any]:
        """What the model is, when all have loaded it. Raises MlshipError."""
        first, *_ = [process.opened() for process in self._processes]
        return first

    def answered(self, chunks: Iterable[Chunk]) -> Iterator[Done]:
        """What came of each chunk, in their order. One is read ahead while the processes work. Raises MlshipError."""
        waiting: deque[int | Done] = deque()  # the place of the process that was asked
        turn = 0
        for chunk in chunks:
            if chunk.too_long is not None:
                waiting.append(rejected(chunk, f"it has {chunk.too_long.size} bytes; the longest that is read has {LONGEST}"))
                continue
            place, turn = turn % len(self._processes), turn + 1
            ready = []
            while self._processes[place].asked is not None:
                ready.append(self._settled(waiting.popleft()))
            self._processes[place].ask(chunk)
            waiting.append(place)
            yield from ready
        while waiting:
            yield self._settled(waiting.popleft())

    def close(self) -> None:
        for process in self._processes:
            process.leave()
        for process in self._processes:
            process.close()

    def _started(self, place: int) -> Answerer:
        opening = replace(self._opening, told={**self._opening.told, "place": place})
        return Answerer(self._runner, self._command, opening)

    def _settled(self, waiting: int | Done) -> Done:
        if isinstance(waiting, Done):
            return waiting
        chunk = self._processes[waiting].asked
        assert chunk is not None
        try:
            return self._processes[waiting].done()
        except Ended as ended:
            return joined(chunk, self._apart(waiting, chunk, ended))

    def _apart(self, place: int, chunk: Chunk, ended: Ended) -> list[Done]:
        """What comes of the halves of a chunk that a process ended with."""
        self._replace(place, chunk, ended)
        if chunk.count == 1:
            return [rejected(chunk, f"the model's process {ended}")]
        return [done for half in halves(chunk) for done in self._tried(place, half)]

    def _tried(self, place: int, chunk: Chunk) -> list[Done]:
        self._processes[place].ask(chunk)
        try:
            return [self._processes[place].done()]
        except Ended as ended:
            return self._apart(place, chunk, ended)

    def _replace(self, place: int, chunk: Chunk, ended: Ended) -> None:
        self._deaths += 1
        if self._deaths > DEATHS:
            raise MlshipError(
                f"the model's process {ended} at rows {chunk.first} to {chunk.first + chunk.count - 1}; {DEATHS} ended before",
                fix="mlship check; what was reached is kept",
                exit=Exit.VERIFY_FAILED,
                code="process-ended",
            )
        self._processes[place] = self._started(place)
        self._processes[place].opened()


@contextmanager
def answerers(runner: Runner, command: Command, opening: Opening, count: int) -> Iterator[Answerers]:
    """So many processes, which end with this."""
    started = Answerers(runner, command, opening, count)
    try:
        yield started
    finally:
        started.close()


def rejected(chunk: Chunk, why: str) -> Done:
    """A chunk of one record that no process answers: too long to be read, or the end of whoever does. Pure."""
    reason = f"row {chunk.first}: {why}"
    body = chunk.too_long.begins if chunk.too_long else chunk.body
    data = body[:SHOWN].decode(errors="replace").rstrip("\r\n")
    line: dict[str, Any] = {"row": chunk.first, "feature": None, "reason": reason, "data": data, "problems": []}
    told = {"answered": 0, "rejected": 1, "failed": int(chunk.too_long is None), "heads": [], "reason": reason}
    return Done(chunk, told, b"", json.dumps(line, ensure_ascii=False).encode() + b"\n")


def halves(chunk: Chunk) -> tuple[Chunk, Chunk]:
    """The chunk in two; it has several records. Where each ends in the file is not known. Pure."""
    records = cut(chunk.body, chunk.form)
    middle = len(records) // 2
    first = replace(chunk, count=middle, body=b"".join(records[:middle]))
    return first, replace(chunk, first=chunk.first + middle, count=len(records) - middle, body=b"".join(records[middle:]))


def joined(chunk: Chunk, parts: Sequence[Done]) -> Done:
    """What came of the parts of a chunk as what came of it. Pure."""
    counts = {name: sum(part.told[name] for part in parts) for name in ("answered", "rejected", "failed")}
    heads = list(dict.fromkeys(head for part in parts for head in part.told["heads"]))
    reason = next((part.told["reason"] for part in parts if part.told["reason"]), "")
    answers, rejects = (b"".join(getattr(part, name) for part in parts) for name in ("answers", "rejects"))
    return Done(chunk, {**counts, "heads": heads, "reason": reason}, answers, rejects)


def _unopened(ended: Ended) -> MlshipError:
    if ended.code == NO_SUCH_PROGRAM:
        return _other_wire("none")
    memory = "; 9 is what the system sends when memory runs out" if ended.code == -9 else ""
    return MlshipError(
        f"the model's process {ended} before it had loaded the model{memory}",
        fix="mlship check; with --processes 1 the model is loaded once",
        exit=Exit.VERIFY_FAILED,
        code="process-ended",
    )


def _other_wire(has: str) -> MlshipError:
    return MlshipError(
        f"the image was built by an mlship of another version, whose way to predict a file is {has}",
        fix="mlship build, and leave --image out or name the new one",
        code="old-image",
    )


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
        fix = "correct it, or say --header yes, or --header no"
        return MlshipError(str(refused["message"]), fix=fix, code="header", details=said)
    column = "leave the column out, or set serve.extra: ignore, or serve.passthrough to have it beside the answers"
    return MlshipError(
        f"the model does not take this file: {refused['message']}",
        fix=column if said else "write it as CSV in UTF-8",
        code="invalid-input",
        details=said,
    )
