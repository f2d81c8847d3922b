"""A bad line to the engine: a socket before the real one that delays every message, or cuts every n-th connection.

    with engine_proxy(tmp_path / "engine.sock", delay_s=0.25) as host: ...     # DOCKER_HOST=host
    with engine_proxy(tmp_path / "engine.sock", cut_every=5) as host: ...

A cut connection ends, in turn: before the engine hears of it; after the engine did what was asked, with no answer; in the
middle of the answer. While connections are cut none is used twice, so that every fifth call is hit and not every fifth client.
"""

from __future__ import annotations

import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ENGINE = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
CUTS = ("before", "unanswered", "midway")
PIECE = 2**16


class EngineProxy:
    """connections, cuts: how many there were until now."""

    def __init__(self, path: Path, *, engine: str = ENGINE, delay_s: float = 0.0, cut_every: int = 0) -> None:
        self.host = f"unix://{path}"
        self.connections = 0
        self.cuts = 0
        self._engine = engine
        self._delay_s = delay_s
        self._cut_every = cut_every
        self._open: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        _in_background(self._accept)

    def cut(self) -> None:
        """Every connection that stands now."""
        for connection in tuple(self._open):
            _shut(connection)

    def close(self) -> None:
        _shut(self._listener)
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                cut = ""
                if self._cut_every and self.connections % self._cut_every == 0:
                    cut = CUTS[self.cuts % len(CUTS)]
                    self.cuts += 1
                _in_background(lambda client=client, cut=cut: self._serve(client, cut))

    def _serve(self, client: socket.socket, cut: str) -> None:
        if cut == "before":
            _shut(client)
            return
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._engine)
        self._open |= {client, server}
        edit = _once if self._cut_every else None
        there = _in_background(lambda: _pump(client, server, self._delay_s, edit))
        if cut:
            with suppress(OSError):
                answer = server.recv(PIECE)
                client.sendall(answer[: len(answer) // 2] if cut == "midway" else b"")
            _shut(client)
            _shut(server)
        else:
            _pump(server, client, self._delay_s)
        there.join()
        self._open -= {client, server}
        _shut(client)
        _shut(server)


@contextmanager
def engine_proxy(path: Path, *, engine: str = ENGINE, delay_s: float = 0.0, cut_every: int = 0) -> Iterator[str]:
    """The address of the bad line, for DOCKER_HOST."""
    proxy = EngineProxy(path, engine=engine, delay_s=delay_s, cut_every=cut_every)
    try:
        yield proxy.host
    finally:
        proxy.close()


def _pump(source: socket.socket, sink: socket.socket, delay_s: float, edit: Callable[[bytes], bytes] | None = None) -> None:
    """Until the source ends. A delay makes a message late and not the line narrow: an image still passes at full speed."""
    late: queue.Queue[tuple[float, bytes]] = queue.Queue(maxsize=256)

    def deliver() -> None:
        with suppress(OSError):
            while True:
                due, piece = late.get()
                time.sleep(max(due - time.monotonic(), 0.0))
                if not piece:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(piece)
        while piece:  # nobody listens any more: the source is read out
            _, piece = late.get()

    delivering = _in_background(deliver)
    piece = b"first"
    while piece:
        try:
            piece = source.recv(PIECE)
        except OSError:
            piece = b""
        if edit is not None and piece:
            piece, edit = edit(piece), None
        late.put((time.monotonic() + delay_s, piece))
    delivering.join()


def _once(head: bytes) -> bytes:
    """The engine ends the connection after its answer; one that becomes a stream stays as it is."""
    return re.sub(rb"(?i)\r\nConnection: keep-alive\r\n", b"\r\nConnection: close\r\n", head, count=1)


def _in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
