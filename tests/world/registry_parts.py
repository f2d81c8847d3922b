"""Debian's docker-registry, started by hand, and a bad line in front of it.

    with real_registry(folder) as port: ...
    with bad_line(port) as line:                    # line.port; line.requests: what went over it
        line.rule = lambda request: Cut(after=1000) if request.method == "PATCH" else None

docker-registry 2.8 keeps where an upload stands in the address it gave last: after a cut in the middle of a request it drops
the session. Others keep it themselves and let one go on; with `keeps_sessions` the line makes it one of those.
"""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from free_ports import free_port

PIECE = 1 << 16
PART = 1 << 20
_SESSION = re.compile(r"(/v2/.+/blobs/uploads/)([0-9a-f-]{36})")


@contextmanager
def real_registry(folder: Path, settings: str = "", http: str = "") -> Iterator[int]:
    """settings: more lines of its configuration, such as `auth`. http: more of its part http. Gives the port on 127.0.0.1."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("no docker-registry: apt-get install docker-registry")
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'{', ' + http if http else ''}}}\n{settings}"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        _wait_for_port(port, process, folder / "log")
        yield port
    finally:
        process.kill()
        process.wait()


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@dataclass
class Request:
    """received: bytes of the body that came from the client. status: 0 where none was answered."""

    method: str
    path: str
    headers: Mapping[str, str]
    size: int
    received: int = 0
    status: int = 0


@dataclass(frozen=True)
class Cut:
    """The line breaks when so many bytes of the body have come; with `after=-1` once the registry has all, before it answers."""

    after: int


@dataclass(frozen=True)
class CutAnswer:
    """The line breaks when so many bytes of the answer's body have gone."""

    after: int


@dataclass(frozen=True)
class Say:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Truncate:
    """The registry gets only so many bytes, as if that were all."""

    to: int


Action = Cut | CutAnswer | Say | Truncate


class BadLine:
    """rule: what happens to a request; None lets it through. delay_s: after each piece of a body."""

    def __init__(self, upstream: int, *, keeps_sessions: bool = False) -> None:
        self.requests: list[Request] = []
        self.rule: Callable[[Request], Action | None] = lambda request: None
        self.delay_s = 0.0
        self.upstream = upstream
        self.keeps_sessions = keeps_sessions
        self.states: dict[str, str] = {}
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.line = self
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def registry(self) -> str:
        return f"localhost:{self.port}"

    def count(self, *methods: str, status: int = 0) -> int:
        return sum(known.method in methods and status in (0, known.status) for known in self.requests)

    @property
    def received(self) -> int:
        """Bytes of blobs that clients sent."""
        return sum(known.received for known in self.requests if "/blobs/" in known.path)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def bad_line(upstream: int, *, keeps_sessions: bool = False) -> Iterator[BadLine]:
    line = BadLine(upstream, keeps_sessions=keeps_sessions)
    try:
        yield line
    finally:
        line.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    line: BadLine

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that are killed cut the line: that is what this is for


class _Broken(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path, dict(self.headers.items()), size)
        with self.server.line.lock:
            self.server.line.requests.append(request)
        action = self.server.line.rule(request)
        try:
            if isinstance(action, Say):
                self._say(request, action)
            else:
                self._carry(request, action)
        except (_Broken, OSError, http.client.HTTPException):
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 -- http.server's names

    def _say(self, request: Request, said: Say) -> None:
        for _ in self._body(request, request.size):
            pass
        request.status = said.status
        self.send_response(said.status)
        for name, value in said.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.body)

    def _carry(self, request: Request, action: Action | None) -> None:
        cut = action.after if isinstance(action, Cut) else None
        wanted = request.size
        if isinstance(action, Truncate):
            wanted = min(request.size, action.to)
        if self.server.line.keeps_sessions and request.size and _SESSION.match(self.path):
            self._carry_kept(request, wanted, cut)
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.line.upstream, timeout=60)
        try:
            self._forward(upstream, request, self._path(self.path), wanted, cut)
            if wanted < request.size:
                for _ in self._body(request, request.size - wanted):
                    pass
            answer = upstream.getresponse()
            self._remember(answer)
            if cut == -1:
                raise _Broken
            self._answer(request, answer, action.after if isinstance(action, CutAnswer) else None)
        finally:
            upstream.close()

    def _carry_kept(self, request: Request, wanted: int, cut: int | None) -> None:
        """The body reaches the registry in parts that it answers, each remembered: whatever breaks, they stay."""
        left = wanted if cut in (None, -1) else min(wanted, cut or 0)
        digest = re.search(r"[?&]digest=[^&]*", self.path)
        path = self.path.replace(digest[0], "") if digest else self.path
        answer = None
        while left:
            part = b"".join(self._body(request, min(left, PART)))
            left -= len(part)
            answer = self._asked("PATCH", self._path(path), part)
        if cut not in (None, -1):
            raise _Broken
        if digest:
            answer = self._asked("PUT", self._path(self.path), b"")
        if cut == -1 or answer is None:
            raise _Broken
        self._answer(request, answer, None)

    def _asked(self, method: str, path: str, content: bytes) -> http.client.HTTPResponse:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.line.upstream, timeout=60)
        upstream.request(method, path, content, {"Host": self.headers["Host"], "Content-Type": "application/octet-stream"})
        answer = upstream.getresponse()
        self._remember(answer)
        return answer

    def _forward(self, upstream: http.client.HTTPConnection, request: Request, path: str, size: int, cut: int | None) -> None:
        upstream.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("content-length", "content-range", "connection"):
                upstream.putheader(name, value)
        upstream.putheader("Content-Length", str(size))
        upstream.endheaders()
        for piece in self._body(request, size if cut in (None, -1) else min(size, cut or 0)):
            upstream.send(piece)
        if cut not in (None, -1):
            raise _Broken

    def _body(self, request: Request, size: int) -> Iterator[bytes]:
        while size:
            piece = self.rfile.read(min(size, PIECE))
            if not piece:
                raise _Broken
            size -= len(piece)
            request.received += len(piece)
            yield piece
            if self.server.line.delay_s:
                time.sleep(self.server.line.delay_s)

    def _path(self, path: str) -> str:
        """The address with the newest state of its session, where the line keeps it."""
        found = _SESSION.match(path)
        if not self.server.line.keeps_sessions or not found or found[2] not in self.server.line.states:
            return path
        rest = re.search(r"[?&](digest=[^&]*)", path)
        return self.server.line.states[found[2]] + (f"&{rest[1]}" if rest else "")

    def _remember(self, answer: http.client.HTTPResponse) -> None:
        location = answer.getheader("Location") or ""
        parts = urlsplit(location)
        found = _SESSION.match(parts.path)
        if found:
            self.server.line.states[found[2]] = f"{parts.path}?{parts.query}"

    def _answer(self, request: Request, answer: http.client.HTTPResponse, cut: int | None) -> None:
        request.status = answer.status
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.end_headers()
        sent = 0
        while self.command != "HEAD" and (piece := answer.read(PIECE)):
            self.wfile.write(piece if cut is None else piece[: max(0, cut - sent)])
            sent += len(piece)
            if cut is not None and sent >= cut:
                self.wfile.flush()
                raise _Broken
            if self.server.line.delay_s:
                time.sleep(self.server.line.delay_s)
