"""What the autoscaler says to an engine, and what it makes of the answers."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from mlship.keeper.engine_api import Engine, Failure

LISTED = {
    "Id": "abc",
    "Names": ["/mlship-churn-r1-0a1b2c-1"],
    "Labels": {"mlship.role": "replica"},
    "State": "exited",
    "NetworkSettings": {
        "Networks": {
            "mlship-churn": {"IPAMConfig": {"IPv4Address": "172.20.0.2"}, "IPAddress": ""},
            "bridge": {"IPAMConfig": None, "IPAddress": "172.17.0.5"},
            "none": {"IPAddress": ""},
        }
    },
}


class Scripted:
    """An engine that answers what it was told to; keeps what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "engine.sock"
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, tuple[int, bytes]] = {"GET /version": (200, b'{"MinAPIVersion": "1.12"}')}
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                said = f"{self.command} {self.path}"
                script.asked.append((said, json.loads(self.rfile.read(size)) if size else None))
                status, body = script.answers.get(said.partition("?")[0], (404, b'{"message": "page not found"}'))
                self.send_response(status)
                self.end_headers()
                if body:
                    self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def do_DELETE(self) -> None:
                self.do_GET()

            def log_message(self, *arguments: Any) -> None:
                pass

            def address_string(self) -> str:
                return "here"

        self.server = socketserver.ThreadingUnixStreamServer(str(self.path), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def says(self, asked: str, document: Any, status: int = 200) -> None:
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.answers[asked] = (status, raw)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    made = Scripted(tmp_path)
    yield made
    made.close()


def test_containers_are_listed_with_their_fixed_addresses_stopped_ones_too(scripted: Scripted) -> None:
    scripted.says("GET /v1.41/containers/json", [LISTED])
    found = Engine(scripted.path).containers(["mlship.project=churn"])
    assert not isinstance(found, Failure)
    assert [(one.id, one.name, one.state) for one in found] == [("abc", "mlship-churn-r1-0a1b2c-1", "exited")]
    assert found[0].addresses == {"mlship-churn": "172.20.0.2", "bridge": "172.17.0.5"}
    asked = scripted.asked[-1][0]
    assert "all=1" in asked and "mlship.project%3Dchurn" in asked


def test_a_container_is_made_started_stopped_and_removed(scripted: Scripted) -> None:
    scripted.says("POST /v1.41/containers/create", {"Id": "abc"}, 201)
    scripted.says("POST /v1.41/containers/abc/start", b"", 204)
    scripted.says("POST /v1.41/containers/abc/stop", b"", 304)
    scripted.says("DELETE /v1.41/containers/abc", b"", 204)
    engine = Engine(scripted.path)
    assert engine.create("name", {"Image": "mlship/churn:1"}) == "abc"
    assert (engine.start("abc"), engine.stop("abc", 7), engine.remove("abc")) == (None, None, None)
    assert scripted.asked[1:] == [
        ("POST /v1.41/containers/create?name=name", {"Image": "mlship/churn:1"}),
        ("POST /v1.41/containers/abc/start", None),
        ("POST /v1.41/containers/abc/stop?t=7", None),
        ("DELETE /v1.41/containers/abc?force=1&v=1", None),
    ]


@pytest.mark.parametrize("status", [404, 409])
def test_what_is_gone_or_going_is_removed(scripted: Scripted, status: int) -> None:
    scripted.says("DELETE /v1.41/containers/abc", {"message": "No such container: abc"}, status)
    assert Engine(scripted.path).remove("abc") is None


def test_what_the_engine_refuses_is_a_value_in_its_own_words(scripted: Scripted) -> None:
    scripted.says("POST /v1.41/containers/create", {"message": "No such image: mlship/churn:1"}, 404)
    scripted.says("POST /v1.41/containers/abc/start", b"<html>", 500)
    engine = Engine(scripted.path)
    refused = engine.create("name", {})
    assert isinstance(refused, Failure) and refused.is_absence
    assert str(refused) == "404 No such image: mlship/churn:1"
    assert str(engine.start("abc")) == "500 <html>"


def test_an_answer_of_another_kind_is_a_value(scripted: Scripted) -> None:
    scripted.says("GET /v1.41/networks/list", [1])
    scripted.says("GET /v1.41/networks/cut", b"{")
    engine = Engine(scripted.path)
    assert str(engine.network("list")) == "the engine answered GET /networks/list with list"
    assert str(engine.network("cut")) == "the engine's answer is not JSON"


def test_no_engine_is_a_value_and_a_restarted_one_is_asked_again(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine.sock")
    missing = engine.network("n")
    assert isinstance(missing, Failure)
    assert (missing.status, str(missing)) == (0, "the engine does not answer: No such file or directory")
    scripted = Scripted(tmp_path)
    scripted.says("GET /v1.41/networks/n", {"Name": "n"})
    assert engine.network("n") == {"Name": "n"}
    scripted.close()
    assert str(engine.network("n")) == "the engine does not answer: Connection refused"


def test_an_engine_that_forgot_the_old_version_is_asked_in_its_oldest(scripted: Scripted) -> None:
    scripted.says("GET /version", {"MinAPIVersion": "1.44"})
    scripted.says("GET /v1.44/networks/n", {"Name": "n"})
    assert Engine(scripted.path).network("n") == {"Name": "n"}


def test_a_program_runs_in_a_container_and_its_output_is_read(scripted: Scripted) -> None:
    def framed(stream: int, text: bytes) -> bytes:
        return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4) + text

    scripted.says("POST /v1.41/containers/front/exec", {"Id": "e1"}, 201)
    scripted.says("POST /v1.41/exec/e1/start", framed(1, b"2\n") + framed(2, b"warning") + framed(1, b"{}") + b"\x01\x00")
    assert Engine(scripted.path).execute("front", ["python", "-m", "probe"], 5.0) == b"2\n{}"
    assert scripted.asked[1][1] == {"AttachStdout": True, "AttachStderr": True, "Cmd": ["python", "-m", "probe"]}


def test_cpu_is_told_in_seconds(scripted: Scripted) -> None:
    scripted.says("GET /v1.41/containers/abc/stats", {"cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}}})
    scripted.says("GET /v1.41/containers/gone/stats", {"cpu_stats": {}})
    engine = Engine(scripted.path)
    assert engine.cpu_s("abc") == 2.5
    assert str(engine.cpu_s("gone")) == "the engine does not tell the CPU time of containers"
