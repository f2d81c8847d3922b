"""One worker: loads the models that it does not share, answers, and goes when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlship.server.app import App
from mlship.server.batching.aside import aside
from mlship.server.batching.engine import Batching, Engine
from mlship.server.batching.pace import MOST
from mlship.server.board import ACCEPTING, BEAT, CPU, DRAINING, OPEN, PID, READY, RSS, STATE, Board, Slot
from mlship.server.core import ServedModel
from mlship.server.http.connection import Connection
from mlship.server.http.room import Room
from mlship.server.http.surplus import most_connections, newcomer
from mlship.server.life.loading import LoadFailed, collect_cycles, give_back, loaded_models, settle
from mlship.server.life.lull import Lull
from mlship.server.life.sockets import BACKLOG, Sockets
from mlship.server.life.warmup import warm_up
from mlship.server.manifest import Manifest
from mlship.server.monitoring import log
from mlship.server.service import Service
from mlship.server.settings import Settings

if TYPE_CHECKING:
    from mlship.server.monitoring.drift_watch import Watch

TICK_S = 0.25
# The loop takes one connection a turn from each handle that listens (measured with uvloop 0.23), and under load a turn takes 10 ms
# and more: with one handle on a socket, new callers would wait for seconds, unseen by the queue that is to refuse them.
ACCEPTED_A_TURN = 16
IDLE_GRACE_S = 3.0  # idle connections may send one more request after SIGTERM; then they are closed
PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Post:
    """What the supervisor gives a worker. report: pipe for its one JSON line; lifeline: pipe that ends with the supervisor."""

    manifest: Manifest
    settings: Settings
    sockets: Sockets
    board: Board
    index: int
    report: int
    lifeline: int


def run(post: Post, shared: Mapping[str, ServedModel]) -> int:
    """Serves until drained. shared: the models that were loaded before this process was made of another.

    Returns the exit status: 1 when the others cannot be loaded, the reason told to the supervisor.
    """
    slot = post.board.slot(post.index)
    slot.cells[PID] = os.getpid()
    names = [entry.name for entry in post.manifest.models]
    try:
        own = loaded_models(post.manifest, post.settings.manifest.parent, [name for name in names if name not in shared])
    except LoadFailed as failed:
        os.write(post.report, json.dumps(failed.reason).encode() + b"\n")
        return 1
    import uvloop

    settle()
    models = {name: shared.get(name) or own[name] for name in names}
    service = Service(post.manifest, post.settings, models, post.board, slot, index=post.index)
    log.write_behind()
    if post.settings.gate is not None:
        post.settings.gate.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(Worker(post, service, runner.get_loop()).serve())
    finally:
        log.finish()
    return 0


class Worker:
    """The loop's side of a worker: listening, heartbeat, drain."""

    def __init__(self, post: Post, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._post = post
        self._service = service
        self._loop = loop
        self._slot: Slot = service.slot
        serving = post.manifest.serving
        batching = Batching(serving.batch_rows or MOST, serving.batch_delay_s)
        self._engine = Engine(loop, service.slot, serving.request_timeout_s, batching)
        self._room = Room(App(service), self._engine, loop)
        self._most = most_connections()
        self._public: list[asyncio.Server] = []
        self._probe: list[asyncio.Server] = []
        self._leaving = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._watches: list[Watch] = []
        self._lull = Lull()

    async def serve(self) -> None:
        """Until drained."""
        self._loop.set_exception_handler(_loop_failed)
        self._loop.add_signal_handler(signal.SIGTERM, self._leaving.set)
        self._loop.add_signal_handler(signal.SIGUSR1, self._open)
        self._loop.add_reader(self._post.lifeline, self._orphaned)
        for model in self._service.models.values():
            aside(warm_up, model, self._engine.queue(model).pace.learn)
            self._watch(model)
        self._probe = [await self._listening(sock) for sock in self._post.sockets.probe]
        self._beat()
        self._slot.cells[STATE] = READY
        os.write(self._post.report, b"{}\n")
        if self._post.board.cells[OPEN]:
            self._open()
        await self._leaving.wait()
        await self._drain()
        self._room.access.flush()

    def _watch(self, model: ServedModel) -> None:
        """From here on, so that the warm-up's rows are not taken for a caller's."""
        windows = self._post.board.windows
        if windows is not None and model.entry.reference is not None:
            from mlship.server.monitoring.drift_watch import Watch  # numpy: only where it is needed

            model.watch = Watch(model.entry, windows, model.index, self._post.index)
            self._watches.append(model.watch)

    async def _listening(self, sock: socket.socket) -> asyncio.Server:
        """The socket stays the supervisor's; this worker's copy is closed with the server."""
        copy = sock.dup()
        if copy.family == socket.AF_UNIX:
            return await self._loop.create_unix_server(self._newcomer, sock=copy, backlog=BACKLOG)
        return await self._loop.create_server(self._newcomer, sock=copy, backlog=BACKLOG)

    def _newcomer(self) -> Connection:
        return newcomer(self._room, self._most)

    def _open(self) -> None:
        """Takes public connections from now on; safe to be told twice."""
        if self._opening is None and not self._leaving.is_set():
            self._opening = self._loop.create_task(self._accept())

    async def _accept(self) -> None:
        listened = (sock for sock in self._post.sockets.public for _ in range(ACCEPTED_A_TURN))
        self._public = [await self._listening(sock) for sock in listened]
        self._slot.cells[ACCEPTING] = 1.0

    def _orphaned(self) -> None:
        """The supervisor is gone, without a word: nobody would replace or stop this worker."""
        self._loop.remove_reader(self._post.lifeline)
        log.event("error", "supervisor_gone")
        self._leaving.set()

    def _beat(self) -> None:
        """A sign of life, unless the model's thread has been in one call for too long to believe in it."""
        cells = self._slot.cells
        if self._engine.running_s() < stuck_after_s(self._post.settings, self._post.manifest):
            cells[BEAT] = time.monotonic()
        cells[CPU] = time.process_time()
        cells[RSS] = resident_bytes()
        self._room.heads.new_second()
        self._room.close_overdue()
        self._room.access.flush()
        for watch in self._watches:
            watch.count()
        collect_cycles()
        if self._lull.is_now(self._room.large):
            give_back()
        self._loop.call_later(TICK_S, self._beat)

    async def _drain(self) -> None:
        """Readiness ends at once, accepting after the delay, the process when the last answer is written."""
        settings = self._post.settings
        began = self._loop.time()
        self._slot.cells[STATE] = DRAINING
        await asyncio.sleep(settings.drain_delay_s)
        self._slot.cells[ACCEPTING] = 0.0
        await self._stop_accepting()
        while self._room.connections and self._loop.time() < began + settings.drain_timeout_s:
            if self._loop.time() >= began + max(IDLE_GRACE_S, settings.drain_delay_s):
                for connection in [each for each in self._room.connections if each.is_idle]:
                    connection.expire()
            await asyncio.sleep(0.02)
        if self._room.connections:
            log.event("warning", "drain_incomplete", connections=len(self._room.connections))

    async def _stop_accepting(self) -> None:
        """Closes the listeners, and takes what the kernel had already accepted for us."""
        for server in (*self._public, *self._probe):
            server.close()
        await asyncio.sleep(0)
        if self._post.sockets.inherited:
            return  # a successor accepts on the same socket
        for sock in self._post.sockets.public:
            await self._take_leftovers(sock)

    async def _take_leftovers(self, sock: socket.socket) -> None:
        """All at once, and the socket closed before any is answered: callers who are told to close come back at once."""
        clients: list[socket.socket] = []
        with contextlib.suppress(OSError):
            while len(clients) < 2 * BACKLOG:
                clients.append(sock.accept()[0])
        sock.close()
        for client in clients:
            client.setblocking(False)
            await self._loop.connect_accepted_socket(self._newcomer, client)


def _loop_failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What went wrong outside any request: a socket that cannot be accepted, a callback that raised."""
    error = context.get("exception")
    if error is None:
        log.event("error", "loop_failed", message=context["message"])
    else:
        log.failure("loop_failed", error, during=context["message"])


def stuck_after_s(settings: Settings, manifest: Manifest) -> float:
    """Seconds without a sign of life after which a worker is replaced: well beyond any answer that is still waited for."""
    return settings.stuck_s or max(15.0, 3 * manifest.serving.request_timeout_s)


def resident_bytes() -> float:
    """This process's memory; the peak where the system does not tell the present."""
    try:
        with Path("/proc/self/statm").open("rb") as statm:
            return float(int(statm.read().split()[1]) * PAGE)
    except OSError:
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
