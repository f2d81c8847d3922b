"""The program that runs in the container: messages in, messages out, and its probe."""

from __future__ import annotations

import ast
import base64
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlship.keeper import wire
from mlship.keeper.__main__ import answer, operations, serve
from mlship.keeper.probe import probe

KEEPER = Path(__file__).parents[2] / "mlship" / "keeper"
HISTORY = json.dumps({"schema": 1, "generation": 1})


def test_messages_come_back_whole_also_in_pieces() -> None:
    class Slow(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self.rest = content

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:1], self.rest = self.rest[:1] or buffer[:0], self.rest[1:]
            return 1

    stream = Slow(wire.pack({"text": "ä"}) + wire.pack([1]))
    assert wire.read(stream) == {"text": "ä"}
    assert wire.read(stream) == [1]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"x\n", "is not the length of a message"),
        (b"99999999999999999", "is not the length of a message"),
        (b"999999999999\n", "is not the length of a message"),
        (b"5\nab", "ended 3 bytes too early"),
        (b"2\n{]", "a message is not JSON"),
    ],
)
def test_what_is_no_message_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(wire.WireError, match=why):
        wire.read(io.BytesIO(raw))


def test_it_serves_until_its_caller_goes(tmp_path: Path) -> None:
    source = io.BytesIO(wire.pack({"op": "commit", "history": HISTORY, "expected": 0}) + wire.pack({"op": "read"}))
    sink = io.BytesIO()
    serve(source, sink, tmp_path, lambda: True)
    sink.seek(0)
    assert wire.read(sink) == {"ok": True, "generation": 1}
    assert wire.read(sink) == {"ok": True, "history": HISTORY}


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    source, sink = io.BytesIO(wire.pack({"op": "read"}) + b"0\n" + wire.pack({"op": "read"})), io.BytesIO()
    serve(source, sink, tmp_path, lambda: True)
    sink.seek(0)
    assert wire.read(sink)["ok"]
    assert not sink.read()


def test_it_ends_when_nothing_comes_for_too_long(tmp_path: Path) -> None:
    sink = io.BytesIO()
    serve(io.BytesIO(wire.pack({"op": "read"})), sink, tmp_path, lambda: False)
    assert sink.getvalue() == b""


def test_a_request_of_another_version_is_refused(tmp_path: Path) -> None:
    known = operations(tmp_path)
    for request in ({"op": "explode"}, {"op": "read", "more": 1}, {"op": "acquire"}, [], "read", None):
        said = answer(request, known)
        assert (said["ok"], said["code"]) == (False, "unknown")


def test_refusals_and_damage_are_answers(tmp_path: Path) -> None:
    known = operations(tmp_path)
    answer({"op": "acquire", "token": "a", "holder": "anna", "ttl_s": 30}, known)
    held = answer({"op": "acquire", "token": "b", "holder": "ben", "ttl_s": 30}, known)
    assert (held["code"], held["holder"]) == ("lease-held", "anna")
    (tmp_path / "history.json").write_text("")
    assert answer({"op": "read"}, known) == {"ok": False, "code": "damaged", "message": "history.json has 0 bytes"}
    (tmp_path / "lease.json").write_text('{"schema": 7}')
    assert answer({"op": "renew", "token": "a"}, known)["code"] == "newer"


def test_a_full_or_vanished_disk_is_an_answer(tmp_path: Path) -> None:
    said = answer({"op": "commit", "history": HISTORY, "expected": 0}, operations(tmp_path / "gone"))
    assert said["code"] in ("storage", "damaged")


def test_the_program_runs_alone_with_the_standard_library_only(tmp_path: Path) -> None:
    lonely = tmp_path / "lib" / "mlship" / "keeper"
    lonely.mkdir(parents=True)
    for source in KEEPER.glob("*.py"):
        (lonely / source.name).write_bytes(source.read_bytes())
    state = tmp_path / "state"
    state.mkdir()
    program = subprocess.Popen(
        [sys.executable, "-S", "-P", "-m", "mlship.keeper", "serve", state],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(tmp_path / "lib")},
    )
    with program:
        assert program.stdin and program.stdout
        program.stdin.write(wire.pack({"op": "read"}))
        program.stdin.flush()
        assert wire.read(program.stdout) == {"ok": True, "history": None}
        assert Path(f"/proc/{program.pid}/oom_score_adj").read_text() == "1000\n", "HAProxy, beside it, must outlive it"
    assert program.returncode == 0


def test_the_program_says_how_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-m", "mlship.keeper", "dance"], capture_output=True, text=True, check=False)
    usage = "usage: python -m mlship.keeper serve FOLDER | front FOLDER | scale FOLDER | probe [REQUEST]\n"
    assert (done.returncode, done.stderr) == (2, usage)


def test_it_imports_nothing_but_the_standard_library_and_itself() -> None:
    for source in KEEPER.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                top = name.split(".")[0]
                assert top in sys.stdlib_module_names or name.startswith("mlship.keeper"), f"{source.name}: {name}"


class Echo(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        Echo.asked += 1
        self.send_response(503 if self.path == "/twice" and Echo.asked < 2 else 200)
        self.send_header("X-Mlship-Release", "r1-abcdef")
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["Content-Type"].encode() + b" " + body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Echo)
    Echo.asked = 0
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_the_probe_gives_status_headers_and_body(port: int) -> None:
    said = probe({"method": "GET", "path": "/readyz", "port": port, "timeout_s": 2})
    assert (said["status"], said["headers"]["x-mlship-release"]) == (200, "r1-abcdef")
    body = base64.b64encode(b"1,2\xff").decode()
    said = probe({"method": "POST", "path": "/predict", "port": port, "timeout_s": 2, "body": body, "content_type": "text/csv"})
    assert base64.b64decode(said["body"]) == b"text/csv 1,2\xff"


def test_the_probe_asks_again_until_the_server_is_ready(port: int) -> None:
    said = probe({"method": "GET", "path": "/twice", "port": port, "timeout_s": 2, "wait_s": 5})
    assert said["status"] == 200
    assert Echo.asked == 2


def test_the_probe_says_why_nothing_answered(port: int) -> None:
    import socket

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        said = probe({"method": "GET", "path": "/", "port": closed.getsockname()[1], "timeout_s": 1})
    assert said == {"status": 0, "headers": {}, "body": "", "error": "connection refused"}


def test_it_asks_a_server_at_an_address(port: int, tmp_path: Path) -> None:
    known = operations(tmp_path)
    request = {"op": "ask", "address": "127.0.0.1", "port": port, "method": "GET", "path": "/readyz", "timeout_s": 2}
    said = answer(request, known)
    assert (said["ok"], said["status"], said["headers"]["x-mlship-release"]) == (True, 200, "r1-abcdef")
    for address in ("localhost", "127.1", "::1", "127.0.0.1@elsewhere", ""):
        said = answer({**request, "address": address}, known)
        assert (said["code"], said["message"]) == ("invalid", f"{address!r} is no IPv4 address")
    assert answer({"op": "ask", "address": "127.0.0.1"}, known)["code"] == "unknown"
