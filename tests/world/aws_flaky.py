"""An API of AWS that is throttled and breaks: in front of an emulator, on loopback."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP = ("host", "connection", "transfer-encoding", "content-length", "expect")
THROTTLED_JSON = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
THROTTLED_XML = (
    b"<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"
)

THROTTLED_S3 = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@contextmanager
def flaky(url: str, every: int) -> Iterator[tuple[str, list[str]]]:
    """Of every so many requests one is throttled, one ends without an answer, one answers 503. Gives address and what it did."""
    numbers, did = itertools.count(1), list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            turn = next(numbers) % every
            if turn == 1:
                did.append("throttled")
                asked = self.headers.get("Authorization", "")
                is_json = "json" in self.headers.get("Content-Type", "") or "/lambda/aws4_request" in asked
                if "/s3/aws4_request" in asked:
                    self._answer(503, {}, THROTTLED_S3)
                else:
                    self._answer(400, {}, THROTTLED_JSON if is_json else THROTTLED_XML)
            elif turn == every // 3:
                did.append("broken")
                self.close_connection = True
            elif turn == every // 3 * 2:
                did.append("unavailable")
                self._answer(503, {}, b"")
            else:
                self._forward(body)

        do_GET = do_PUT = do_DELETE = do_HEAD = do_POST  # noqa: N815 -- http.server's names

        def _forward(self, body: bytes) -> None:
            headers = {name: text for name, text in self.headers.items() if name.lower() not in HOP}
            there = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
            there.request(self.command, self.path, body=body or None, headers=headers)
            answer = there.getresponse()
            self._answer(answer.status, dict(answer.headers), answer.read())
            there.close()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, text in headers.items():
                if name.lower() not in (*HOP, "server", "date"):
                    self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", did
    finally:
        server.shutdown()
        server.server_close()
