"""The rendered relay as a program: hostile callers, a far side that moves, tokens that change."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from watchers import far_side, relay, wait_for

from mlship.templating import templates_folder

pytestmark = pytest.mark.world

ALERT = {"status": "firing", "labels": {"alertname": "MlshipDrift", "project": "churn"}, "fingerprint": "00000000000000aa"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "relay.py").write_bytes((templates_folder() / "monitoring" / "relay.py").read_bytes())
    (tmp_path / "token").write_text("token-4711\n")
    return tmp_path


def settings(folder: Path, far: str, **more: Any) -> int:
    port = free_port()
    said = {"port": port, "url": far, "token": "token", "backoff_s": 0.05, "body": {"why": "{alert}"}, **more}
    (folder / "relay.json").write_text(json.dumps(said))
    return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def sent(port: int, body: bytes, path: str = "/alerts", **headers: str) -> int:
    wanted = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, wanted), timeout=20
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def headed(port: int, name: str, value: str) -> int:
    """Of a request that is judged by its head alone."""
    raw = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    raw.putrequest("POST", "/alerts")
    raw.putheader("Content-Type", "application/json")
    raw.putheader(name, value)
    raw.endheaders()
    try:
        return raw.getresponse().status
    finally:
        raw.close()


def notification(*fingerprints: str) -> bytes:
    return json.dumps({"alerts": [{**ALERT, "fingerprint": one} for one in fingerprints]}).encode()


def test_hostile_callers_reach_nothing_and_stop_nobody(folder: Path) -> None:
    with far_side() as side:
        port = settings(folder, f"http://127.0.0.1:{side.port}/dispatches")
        with relay(folder, folder):
            wait_for("the relay listens", lambda: listens(port))
            # they never finish what they say, and hold most of the places; after ten seconds they are shown out
            slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
            for one in slow:
                one.sendall(b"POST /alerts HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n")
            body = notification("00000000000000aa")
            assert sent(port, body, Content_Type="text/plain") == 415  # what a page in a browser may send without asking
            assert sent(port, body, Host="attacker.example") == 404  # a name that was made to lead here
            assert sent(port, body, path="/") == sent(port, body, path="/../alerts") == 404
            assert sent(port, b"{") == sent(port, b"[" * 100_000) == sent(port, b'{"alerts": 3}') == 400
            assert headed(port, "Content-Length", "2000000") == 413
            assert headed(port, "Transfer-Encoding", "chunked") == headed(port, "Content-Length", "-1") == 411
            assert side.seen == []
            assert sent(port, body) == sent(port, body) == 200 and len(side.seen) == 1
            for one in slow:
                one.settimeout(15)
                assert one.recv(1000) == b""
                one.close()
            assert sent(port, notification("00000000000000bb")) == 200 and len(side.seen) == 2
    assert "Traceback" not in (folder / "relay.log").read_text()


@pytest.fixture
def moved() -> Iterator[tuple[int, list[str]]]:
    """A far side that sends everybody elsewhere: to itself, at another path."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port, seen
    server.shutdown()
    server.server_close()


def test_a_token_follows_no_redirect(folder: Path, moved: tuple[int, list[str]]) -> None:
    far, seen = moved
    port = settings(folder, f"http://127.0.0.1:{far}/dispatches")
    with relay(folder, folder):
        wait_for("the relay listens", lambda: listens(port))
        assert sent(port, notification("00000000000000aa")) == 502
    assert seen == ["/dispatches"] and "a redirect, and the token goes nowhere else" in (folder / "relay.log").read_text()


def test_a_lost_token_fails_the_alert_until_it_is_back(folder: Path) -> None:
    with far_side() as side:
        port = settings(folder, f"http://127.0.0.1:{side.port}/x", header="PRIVATE-TOKEN", state="state.json")
        with relay(folder, folder):
            wait_for("the relay listens", lambda: listens(port))
            (folder / "token").unlink()
            assert sent(port, notification("00000000000000aa", "00000000000000bb")) == 502 and side.seen == []
            (folder / "token").write_text("token-0815")
            assert sent(port, notification("00000000000000aa", "00000000000000bb")) == 200
        assert [headers["private-token"] for _, headers, _ in side.seen] == ["token-0815"] * 2
        with relay(folder, folder):
            wait_for("the relay listens again", lambda: listens(port))
            assert sent(port, notification("00000000000000aa")) == 200 and len(side.seen) == 2
    assert "token-" not in (folder / "relay.log").read_text()


def test_a_relay_that_could_send_nothing_does_not_start(folder: Path) -> None:
    settings(folder, "https://a.example/b")
    (folder / "token").write_text("")
    done = subprocess.run(
        [sys.executable, "-I", "relay.py", "relay.json"], cwd=folder, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2 and done.stderr == "the relay does not start: the file is empty, or holds more than one line\n"


def test_beyond_this_machine_it_asks_for_a_key_and_a_name(folder: Path) -> None:
    (folder / "key").write_text("key-of-alertmanager\n")
    with far_side() as side:
        port = settings(folder, f"http://127.0.0.1:{side.port}/x", listen="0.0.0.0", key="key", names=["Relay.Lan"])
        with relay(folder, folder):
            wait_for("the relay listens", lambda: listens(port))
            body = notification("00000000000000aa")
            for key in ("Bearer other", "key-of-alertmanager", "Bearer k\xe9y"):
                assert sent(port, body, Authorization=key) == 401
            assert sent(port, body) == 401 and side.seen == []
            assert sent(port, body, Authorization="Bearer key-of-alertmanager", Host="other.lan") == 404
            assert sent(port, body, Authorization="Bearer key-of-alertmanager", Host=f"relay.lan:{port}") == 200
            (folder / "key").unlink()
            assert sent(port, body, Authorization="Bearer key-of-alertmanager") == 401
    assert len(side.seen) == 1 and "key-of" not in (folder / "relay.log").read_text()
