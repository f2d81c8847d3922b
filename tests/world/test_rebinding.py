"""A name that is of the open web when it is looked at, and of this machine when it is connected to, gets no byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mlship.errors import MlshipError
from mlship.runner import LocalRunner
from mlship.sources.base import Opening
from mlship.sources.web import Web

pytestmark = pytest.mark.world


class Server(BaseHTTPRequestHandler):
    """The hub leads to another name; /inner is what only this machine can reach."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(f"{self.headers['Host'].partition(':')[0]}{self.path}")
        body = b"" if self.path == "/model" else b"secret"
        self.send_response(200 if body else 302)
        if not body:
            self.send_header("Location", f"http://files.example:{self.server.server_address[1]}/inner")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Whoever looks a name up hears of the open web; whoever connects to it hears of this machine."""
    real = socket.getaddrinfo

    def rebound(host: Any, port: Any, *words: Any, **said: Any) -> Any:
        return real("127.0.0.1" if port else "93.184.216.34", port, *words, **said)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Server.asked.clear()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_redirect_to_a_name_that_turns_inward_is_given_up_before_it_is_asked(port: int) -> None:
    web = Web(Opening("hf://acme/churn", Path(), {}, LocalRunner(), "mlship.yaml:2"), "the hub", "log in")
    with (
        pytest.raises(MlshipError, match=r"the hub leads to http://127\.0\.0\.1, which is not followed"),
        web.body(f"http://hub.example:{port}/model", "the model", 0) as body,
    ):
        b"".join(body.pieces)
    assert Server.asked == ["hub.example/model"]
