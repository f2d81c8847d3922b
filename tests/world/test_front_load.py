"""The counting client itself: it must find exactly the losses that are there, or its zeroes mean nothing."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from front_load import Load, Report, load

pytestmark = pytest.mark.world

EVERY = 50
GOODBYE = "Connection: close\r\n"
GOOD = json.dumps({"predictions": [1]}).encode()


def answer(request_id: str, body: bytes = GOOD, status: str = "200 OK", more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nX-Mlship-Release: r1\r\nX-Request-Id: {request_id}\r\n{more}\r\n"
    )
    return head.encode() + body


@contextmanager
def server(misbehave: Callable[[socket.socket, str], None] | None) -> Iterator[tuple[int, list[int]]]:
    """Answers well, but every 50th request of all as told. Gives its port and how many it treated so."""
    lock, asked, treated = threading.Lock(), [0], [0]

    def serve(connection: socket.socket) -> None:
        with suppress(ConnectionError), connection, connection.makefile("rb") as lines:
            while line := lines.readline():
                headers = {}
                while (line := lines.readline()) not in (b"\r\n", b""):
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                lines.read(int(headers["content-length"]))
                with lock:
                    asked[0] += 1
                    bad = misbehave is not None and asked[0] % EVERY == 0
                    treated[0] += bad
                if bad:
                    misbehave(connection, headers["x-request-id"])  # type: ignore[misc]
                    return
                connection.sendall(answer(headers["x-request-id"]))

    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], treated
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def measured(misbehave: Callable[[socket.socket, str], None] | None) -> tuple[Report, int]:
    with server(misbehave) as (port, treated), load(port, rate=800.0) as client:
        client.reach(400)
        return client.end(), treated[0]


def test_a_good_server_has_no_losses() -> None:
    report, _ = measured(None)
    assert report.failed == 0
    assert report.requests == report.statuses["200"] == report.releases["r1"] >= 400
    assert report.answers == {"r1": {GOOD.decode(): report.requests}}


def reset(connection: socket.socket, request_id: str) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def wrong(connection: socket.socket, request_id: str) -> None:
    connection.sendall(answer(request_id, b'{"error": {}}', more=GOODBYE))


def refused(connection: socket.socket, request_id: str) -> None:
    connection.sendall(answer(request_id, b"{}", "503 Service Unavailable", GOODBYE))


MISBEHAVIOUR: dict[str, Callable[[socket.socket, str], None]] = {
    "closed": lambda connection, request_id: None,
    "reset": reset,
    "truncated": lambda connection, request_id: connection.sendall(answer(request_id)[:-3]),
    "crossed": lambda connection, request_id: connection.sendall(answer("another", more=GOODBYE)),
    "wrong": wrong,
    "status 503": refused,
    "garbage": lambda connection, request_id: connection.sendall(b"who are you\r\n\r\n"),
}


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
def test_it_reports_exactly_what_a_bad_server_does(kind: str) -> None:
    report, treated = measured(MISBEHAVIOUR[kind])
    assert treated > 5
    assert report.kinds == {kind: treated}


def test_a_connection_that_was_said_to_end_is_no_loss() -> None:
    def goodbye(connection: socket.socket, request_id: str) -> None:
        connection.sendall(answer(request_id, more=GOODBYE))

    report, treated = measured(goodbye)
    assert treated > 5 and report.failed == 0


def test_a_port_where_nobody_listens_is_a_loss_each_time() -> None:
    with server(None) as (port, _):
        client = Load(port)
    client.reach(100)
    report = client.end()
    assert report.kinds["connect"] > 50


CARELESS = """
global
  stats socket {folder}/socket mode 600 level admin expose-fd listeners
  hard-stop-after 5s
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  option redispatch 0
  retries 0
  server one 127.0.0.1:{backend}
"""


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
def test_it_finds_the_losses_of_a_careless_front(tmp_path: Path) -> None:
    """Reloads without `option idle-close-on-response` close idle connections under a request that is on its way."""
    with server(None) as (backend, _), socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        (tmp_path / "haproxy.cfg").write_text(CARELESS.format(folder=tmp_path, port=port, backend=backend))
        haproxy = str(shutil.which("haproxy"))
        front = subprocess.Popen([haproxy, "-W", "-db", "-f", tmp_path / "haproxy.cfg"], stderr=subprocess.DEVNULL)
        try:
            wait_for(port)
            with load(port, rate=600.0) as client:
                for _ in range(30):
                    front.send_signal(signal.SIGUSR2)
                    time.sleep(0.3)
                    if client.report().failed:
                        break
                report = client.end()
        finally:
            front.terminate()
            front.wait(10)
    print(report)
    assert report.failed > 0
    assert set(report.kinds) <= {"closed", "reset", "connect"}


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the front does not listen")
