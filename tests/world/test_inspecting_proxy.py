"""The proxy that the clouds' stories stand on, asked by three clients that know nothing of it."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import urllib3
from inspecting_proxy import Asked, Told, inspecting_proxy, told

Client = Callable[..., tuple[int, bytes]]


def with_requests(environ: Mapping[str, str], method: str, url: str, body: Any = None) -> tuple[int, bytes]:
    """It reads the environment itself, as SDKs that are built on it do; a session keeps its connection."""
    with pytest.MonkeyPatch.context() as patched, requests.Session() as session:
        for name, value in environ.items():
            patched.setenv(name, value)
        answers = [session.request(method, url, data=body() if callable(body) else body, timeout=10) for _ in range(3)]
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    return answers[0].status_code, answers[0].content


def with_httpx(environ: Mapping[str, str], method: str, url: str, body: Any = None) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=environ["SSL_CERT_FILE"])
    with httpx.Client(proxy=environ["HTTPS_PROXY"], verify=context, timeout=10) as client:
        answer = client.request(method, url, content=body() if callable(body) else body)
        return answer.status_code, answer.content


def with_urllib3(environ: Mapping[str, str], method: str, url: str, body: Any = None) -> tuple[int, bytes]:
    with urllib3.ProxyManager(environ["HTTPS_PROXY"], ca_certs=environ["SSL_CERT_FILE"], timeout=10) as pool:
        answer = pool.request(method, url, body=body() if callable(body) else body, chunked=callable(body))
        return answer.status, answer.data


CLIENTS = [with_requests, with_httpx, with_urllib3]


def echoed(asked: Asked) -> Told:
    said = [asked.method, asked.scheme, asked.host, asked.path, dict(asked.query), asked.body.decode()]
    return told(said, 201 if asked.method == "POST" else 200)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_everything_that_was_sent_arrives(client: Client, scheme: str, tmp_path: Path) -> None:
    with inspecting_proxy(echoed, tmp_path) as environ:
        status, said = client(environ, "POST", f"{scheme}://run.googleapis.com/v2/a%3Ab?x=1&y=%2F", b"hello")
        assert (status, json.loads(said)) == (
            201,
            ["POST", scheme, "run.googleapis.com", "/v2/a:b", {"x": "1", "y": "/"}, "hello"],
        )
        assert json.loads(client(environ, "GET", f"{scheme}://other.example:8443/")[1])[2] == "other.example:8443"
        assert client(environ, "HEAD", f"{scheme}://run.googleapis.com/") == (200, b"")


@pytest.mark.parametrize("client", CLIENTS)
def test_bodies_in_chunks_arrive_whole_both_ways(client: Client, tmp_path: Path) -> None:
    def answer(asked: Asked) -> Told:
        assert "content-length" not in asked.headers
        return Told(chunks=iter([asked.body[:3], asked.body[3:]]))

    def body() -> Iterator[bytes]:
        yield from (b"ab", b"cdef", b"g" * 100_000)

    with inspecting_proxy(lambda asked: answer(asked), tmp_path) as environ:
        assert client(environ, "PUT", "https://a.example/", body) == (200, b"abcdef" + b"g" * 100_000)


def test_a_client_that_was_not_told_of_the_authority_trusts_nobody(tmp_path: Path) -> None:
    with inspecting_proxy(echoed, tmp_path) as environ, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get("https://a.example/", proxy=environ["HTTPS_PROXY"], verify=ssl.create_default_context(), timeout=10)


def test_a_host_that_nobody_plays_fails_the_test(tmp_path: Path) -> None:
    def nobody(asked: Asked) -> Told:
        raise AssertionError(f"nobody plays {asked.host}")

    with (
        pytest.raises(AssertionError, match=r"GET https://unknown.example/x\n[^$]*nobody plays unknown.example"),
        inspecting_proxy(nobody, tmp_path) as environ,
    ):
        assert with_httpx(environ, "GET", "https://unknown.example/x")[0] == 400


@contextmanager
def backend() -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            size = int(self.headers["Content-Length"])
            said = json.dumps([self.headers["Host"], self.headers["X-Forwarded-Proto"], self.path, len(self.rfile.read(size))])
            self.send_response(202)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_forwarded_host_is_one_of_this_machine(client: Client, tmp_path: Path) -> None:
    forwards: dict[str, int] = {}
    with backend() as port, inspecting_proxy(echoed, tmp_path, forwards) as environ:
        forwards["registry.example"] = port  # while it runs
        status, said = client(environ, "PUT", "https://registry.example/v2/x?digest=sha256%3Aa", b"z" * 3_000_000)
        assert status == 202
        assert json.loads(said) == ["registry.example", "https", "/v2/x?digest=sha256%3Aa", 3_000_000]
