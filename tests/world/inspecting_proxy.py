"""A proxy that opens TLS, as companies have them: what unmodified clients send to any host arrives at one function.

    def answer(asked: Asked) -> Told: ...           # one call at a time; what it raises fails the test
    with inspecting_proxy(answer, tmp_path) as environ:     # HTTPS_PROXY, REQUESTS_CA_BUNDLE, SSL_CERT_FILE, ...
        ...
    with inspecting_proxy(answer, tmp_path, {"europe-west1-docker.pkg.dev": registry_port}) as environ: ...

Hosts in `forwards` are led to a port of this machine instead (plain HTTP there), their bodies streamed both ways; the mapping is
read at each request, so a test may add to it while clients run. Its certificates come from an authority that is made on the
spot and lies in `folder`: nobody else trusts it.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from throwaway_authority import Authority

PIECE = 1 << 16
_ONE_HOP = frozenset(["connection", "keep-alive", "proxy-connection", "proxy-authorization", "transfer-encoding", "te"])


@dataclass(frozen=True)
class Asked:
    """One request. host: lower case, with the port only where it is not the scheme's own. path: percent-decoded, begins with /.

    query: the last of each name, decoded; `target` has all as sent. headers: in lower case.
    """

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    scheme: str = "https"
    target: str = ""

    @cached_property
    def json(self) -> Any:
        """What the body says; None of an empty one."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Told:
    """An answer. chunks: sent one by one in place of `body`, without saying how many will come."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: Iterator[bytes] | None = None


def told(value: Any, status: int = 200, **headers: str) -> Told:
    """The value as JSON. headers: `retry_after="1"` is Retry-After."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Told(status, {"Content-Type": "application/json", **named}, json.dumps(value).encode())


Answering = Callable[[Asked], Told]


@contextmanager
def inspecting_proxy(answer: Answering, folder: Path, forwards: Mapping[str, int] | None = None) -> Iterator[dict[str, str]]:
    """The environment that leads clients through it. Raises at the end what `answer` raised first."""
    folder.mkdir(parents=True, exist_ok=True)
    proxy = _Proxy(answer, Authority(folder), forwards if forwards is not None else {})
    threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield _environment(int(proxy.server_address[1]), proxy.authority.bundle)
    except BaseException as error:
        for failure in proxy.failures[:1]:  # what went wrong first goes with what came of it
            error.add_note(f"the other end of the proxy failed:\n{failure}")
        raise
    finally:
        proxy.shutdown()
        proxy.server_close()
    if proxy.failures:
        raise AssertionError("the other end of the proxy failed:\n" + proxy.failures[0])


def _environment(port: int, bundle: Path) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), url)
    trusted = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
    return {**proxies, "NO_PROXY": "", "no_proxy": "", **dict.fromkeys(trusted, str(bundle))}


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Answering, authority: Authority, forwards: Mapping[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.authority = authority
        self.forwards = forwards
        self.failures: list[str] = []
        self._answer = answer
        self._lock = threading.Lock()

    def told(self, asked: Asked) -> Told:
        """A failure is kept for the test, and the client hears one that no SDK tries again."""
        with self._lock:
            try:
                return self._answer(asked)
            except Exception:
                self.failures.append(f"{asked.method} {asked.scheme}://{asked.host}{asked.target}\n{traceback.format_exc()}")
                return Told(400, {}, b"the other end of the proxy failed")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed, or trust nobody, cut the line."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms for the first one's receipt
    server: _Proxy
    inside = ""  # the host that a CONNECT led to: from there on it is spoken to in TLS

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        self.send_response(200, "Connection established")
        self.end_headers()
        self.wfile.flush()
        self.inside = host.strip("[]").lower() + ("" if port == "443" else f":{port}")
        context = self.server.authority.context(host.strip("[]").lower())
        try:
            self.connection = context.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError):
            self.close_connection = True
            return
        self.rfile = self.connection.makefile("rb", PIECE)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        host = self.inside or parts.netloc.lower().removesuffix(":80")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            # clients send a head, and its body only when they hear that the head came
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            if host in self.server.forwards:
                self._forward(self.server.forwards[host], host, target)
            else:
                self._tell(host, target)
        except (OSError, http.client.HTTPException):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any  # noqa: N815 -- http.server's names

    def finish(self) -> None:
        """Ends TLS, too, where it was begun: the plain socket was taken over by it."""
        with suppress(OSError):
            super().finish()
        with suppress(OSError):
            self.connection.close()

    def _tell(self, host: str, target: str) -> None:
        path, _, query = target.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        values = dict(parse_qsl(query, keep_blank_values=True))
        scheme = "https" if self.inside else "http"
        body = b"".join(self._body())
        said = self.server.told(Asked(self.command, host, unquote(path), values, headers, body, scheme, target))
        self.send_response(said.status)
        for name, value in said.headers.items():
            self.send_header(name, value)
        self._send(iter([said.body]) if said.chunks is None else said.chunks, None if said.chunks else len(said.body))

    def _send(self, pieces: Iterator[bytes], size: int | None) -> None:
        """size: None sends them in chunks."""
        bare = self.command == "HEAD" or size == 0
        self.send_header(*(("Transfer-Encoding", "chunked") if size is None else ("Content-Length", str(size))))
        self.end_headers()
        for piece in () if bare else pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if size is None else piece)
        if size is None and not bare:
            self.wfile.write(b"0\r\n\r\n")

    def _body(self) -> Iterator[bytes]:
        """Of the request, as it comes."""
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(left, PIECE))
            if not piece:
                raise ConnectionError("the client went away")
            left -= len(piece)
            yield piece

    def _forward(self, port: int, host: str, target: str) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        chunked = "Content-Length" not in self.headers and "Transfer-Encoding" in self.headers
        try:
            upstream.putrequest(self.command, target, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in (*_ONE_HOP, "host"):
                    upstream.putheader(name, value)
            upstream.putheader("Host", host)
            upstream.putheader("X-Forwarded-Proto", "https" if self.inside else "http")
            if chunked:
                upstream.putheader("Transfer-Encoding", "chunked")
            upstream.endheaders(self._body(), encode_chunked=chunked)
            self._pass_on(upstream.getresponse())
        finally:
            upstream.close()

    def _pass_on(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in (*_ONE_HOP, "content-length"):
                self.send_header(name, value)
        size = answer.getheader("Content-Length")
        if self.command == "HEAD" or answer.status in (204, 304):
            self.send_header("Content-Length", size or "0")
            self.end_headers()
            return
        self._send(iter(lambda: answer.read1(PIECE), b""), int(size) if size is not None else None)
