"""An HTTP server on 127.0.0.1 whose answers are a function of path and headers: indexes and mirrors of the stories."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Status, and the body with its kind; of 302 the body is the address that it leads to.
Answer = tuple[int, bytes, str]
BYTES, PAGE = "application/octet-stream", "text/html"


@contextmanager
def answering(answer: Callable[[str, Mapping[str, str]], Answer]) -> Iterator[str]:
    """answer: to GET and HEAD of a path; of a request through a proxy the path is the whole address. Gives `127.0.0.1:PORT`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, kind = answer(self.path, dict(self.headers))
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", "Basic")
            if status == 302:
                self.send_header("Location", body.decode())
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
