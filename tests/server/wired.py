"""A connection in memory: real routes and engine, a loop whose clock the test turns, a transport that remembers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from served import SIGNATURE, Answer, answers

from mlship.server.app import App, paths
from mlship.server.batching.engine import Engine
from mlship.server.batching.queue import Job
from mlship.server.batching.together import together
from mlship.server.board import READY, STARTED, STATE, Board
from mlship.server.core import ServedModel
from mlship.server.http.connection import Connection
from mlship.server.http.room import Room
from mlship.server.manifest import Manifest, Model, Serving
from mlship.server.service import Service
from mlship.server.settings import Settings


class Loop:
    """Time passes when the test says so; what other threads ask for is run by `turn`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, callback: Callable[..., None], *arguments: Any) -> Timer:
        self.timers.append(Timer(self.now + delay_s, callback, arguments))
        return self.timers[-1]

    def call_soon(self, callback: Callable[..., None], *arguments: Any) -> None:
        self.asked.append((callback, arguments))

    def call_soon_threadsafe(self, callback: Callable[..., None], *arguments: Any) -> None:
        self.asked.append((callback, arguments))

    def turn(self) -> None:
        while self.asked:
            callback, arguments = self.asked.pop(0)
            callback(*arguments)
        for timer in [timer for timer in self.timers if timer.due <= self.now]:
            self.timers.remove(timer)
            if not timer.cancelled:
                timer.callback(*timer.arguments)


class Timer:
    def __init__(self, due: float, callback: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.due, self.callback, self.arguments = due, callback, arguments
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Transport:
    """What was written, and how it ended: `open`, `eof`, `closed` or `aborted`."""

    def __init__(self) -> None:
        self.written = b""
        self.state = "open"
        self.is_reading = True

    def write(self, data: bytes) -> None:
        assert self.state == "open", f"written after {self.state}"
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.state = "eof"

    def close(self) -> None:
        self.state = "closed"

    def abort(self) -> None:
        self.state = "aborted"

    def is_closing(self) -> bool:
        return self.state in ("closed", "aborted")

    def pause_reading(self) -> None:
        assert self.is_reading
        self.is_reading = False

    def resume_reading(self) -> None:
        assert not self.is_reading
        self.is_reading = True


class Doubler:
    """Twice the amount; -1 is refused, -2 fails."""

    title = "Doubler"

    def predict(self, rows: Any) -> dict[str, Any]:
        amounts = [row["amount"] if isinstance(row, dict) else row[0] for row in rows]
        if -1 in amounts:
            raise ValueError("amounts are not negative")
        if -2 in amounts:
            raise RuntimeError("secret internals")
        return {"predictions": [amount * 2 for amount in amounts]}

    def signature(self, sample: tuple[Any, ...]) -> Any:
        return SIGNATURE


class Held(Engine):
    """Keeps each call as a job until the test runs it, as the model's thread would."""

    def submit(self, job: Job) -> None:
        self.jobs = [*getattr(self, "jobs", []), job]

    def finish(self) -> None:
        job = self.jobs.pop(0)
        (response,) = together(job.call.model, [job.call], self.measured) or [None]
        assert response is not None
        job.finish(response)


class AtOnce(Engine):
    """Takes every call for a quick one."""

    def _is_quick(self, seconds: float) -> bool:
        return True


class Wire:
    """One client of a server in memory."""

    def __init__(self, max_body: int = 1000, engine: type[Engine] = AtOnce) -> None:
        entry = Model("demo", "python", "none", "model", "ab", signature=SIGNATURE)
        manifest = Manifest("demo", (entry,), Serving(max_body=max_body))
        settings = Settings(Path("/manifest.json"), release="r1-aaaaaa")
        self.board = Board(1, len(paths(manifest)))
        self.board.cells[STARTED] = 1.0
        self.slot = self.board.slot(0)
        self.slot.cells[STATE] = READY
        service = Service(manifest, settings, {"demo": ServedModel(entry, Doubler())}, self.board, self.slot)
        self.loop = Loop()
        self.engine = engine(self.loop, self.slot, 2.0)  # type: ignore[arg-type]
        self.room = Room(App(service), self.engine, self.loop)  # type: ignore[arg-type]
        self.connect()

    def connect(self) -> None:
        self.transport = Transport()
        self.connection = Connection(self.room)
        self.connection.connection_made(self.transport)

    def send(self, *parts: bytes) -> Wire:
        for part in parts:
            self.connection.data_received(part)
            self.loop.turn()
        return self

    def pass_time(self, seconds: float) -> None:
        self.loop.now += seconds
        self.loop.turn()
        self.room.close_overdue()
        self.room.close_overdue()

    @property
    def answers(self) -> list[Answer]:
        return answers(self.transport.written)

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


def request(method: str = "GET", path: str = "/livez", *lines: str, body: bytes = b"", version: str = "1.1") -> bytes:
    """A request as it stands on the wire; lines: further headers."""
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: test", *lines, *length, "", ""]).encode("latin-1") + body


def prediction(amount: float, *lines: str) -> bytes:
    """A request to /predict with one row."""
    return request("POST", "/predict", *lines, body=b'{"instances": [[%g, null]]}' % amount)
