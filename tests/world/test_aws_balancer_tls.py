"""A balancer that mlship made is asked by its own address, and its certificate has to be the name's."""

from __future__ import annotations

import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from made_certificate import made_certificate

from mlship.targets.aws.ecs.asking import ask
from mlship.targets.base import Request

pytestmark = pytest.mark.world


def test_the_certificate_is_the_names_and_not_the_addresss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, key = made_certificate(tmp_path, "front", 100, "-addext", "subjectAltName=DNS:churn.example.com")
    hosts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hosts.append(self.headers["Host"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        address, request = f"https://127.0.0.1:{server.server_port}", Request("GET", "/readyz", timeout_s=5)
        known = {"authorities": str(chain)}  # as AWS_CA_BUNDLE has them
        assert ask(address, request, {"Host": "churn.example.com"}, name="churn.example.com", **known).status == 200
        refused = ask(address, request, {"Host": "other.example.com"}, name="other.example.com", **known)
        unknown = ask(address, request, {"Host": "churn.example.com"}, name="churn.example.com")
    finally:
        server.shutdown()
        server.server_close()
    assert hosts == ["churn.example.com"]
    assert all(one.status == 0 and b"certificate" in one.body for one in (refused, unknown))
