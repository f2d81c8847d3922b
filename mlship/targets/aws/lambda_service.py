"""The service Lambda, played beside a container: requests in, events out, through the runtime API that the container asks.

A program of its own, run by any Python 3.9 with nothing but the standard library: `mlship test --as lambda` has the image's own
interpreter run it in a second container whose network the function's container shares, and tests run it on loopback. One
environment, as Lambda has it: an event after the other. Sources, read 2026-11: AWS Lambda developer guide, "Using the Lambda runtime
API", "Invoking Lambda function URLs" (payload format 2.0), "Lambda quotas" (6 MB for request and response each).
"""

from __future__ import annotations

import base64
import http.server
import json
import os
import queue
import threading
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

REQUEST_BYTES, ANSWER_BYTES = 6_291_456, 6_291_556
BASE = "/2018-06-01/runtime"
INVOKE = "/2015-03-31/functions/"  # of the service's own API: the body is the event
TEXT = ("application/json", "text/", "application/javascript", "application/xml")


class Invocation:
    """An event, and in the end its answer."""

    def __init__(self, event: bytes) -> None:
        self.id = str(uuid.uuid4())
        self.event = event
        self.deadline = 0.0
        self.answer: bytes | None = None
        self.error: bytes | None = None
        self.is_over = threading.Event()


class Function:
    """One environment. timeout_s: of the function. has_started: it has asked for an event."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.answer_bytes = ANSWER_BYTES
        self.waiting: queue.Queue[Invocation] = queue.Queue()
        self.under_way: dict[str, Invocation] = {}
        self.has_started = threading.Event()
        self.start_error = b""
        self.answered = 0

    def invoke(self, event: bytes) -> Invocation:
        """Returns when it is answered, or when the time is over."""
        invocation = Invocation(event)
        self.waiting.put(invocation)
        invocation.is_over.wait(self.timeout_s + 1.0)
        return invocation

    def next(self) -> Invocation:
        self.has_started.set()
        invocation = self.waiting.get()
        invocation.deadline = time.time() + self.timeout_s
        self.under_way[invocation.id] = invocation
        return invocation

    def end(self, path: str, body: bytes) -> int:
        """What the function posted; the status of the answer to it."""
        if path == "/init/error":
            self.start_error = body
            self.has_started.set()
            return 202
        _, _, number, how = path.split("/", 3)
        invocation = self.under_way.get(number)
        if invocation is None:
            return 400
        if how == "response" and len(body) > self.answer_bytes:
            return 413
        del self.under_way[number]
        self.answered += 1
        if how == "response":
            invocation.answer = body
        else:
            invocation.error = body
        invocation.is_over.set()
        return 202


class Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    function: Function

    def log_message(self, *_: object) -> None:
        """Nothing: the container's log is the function's."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def say(self, status: int, body: bytes = b"", headers: Any = ()) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class RuntimeApi(Answering):
    """What the function asks."""

    def do_GET(self) -> None:
        if self.path != BASE + "/invocation/next":
            self.say(404)
            return
        invocation = self.function.next()
        deadline_ms = str(int(invocation.deadline * 1000))
        headers = [
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Aws-Request-Id", invocation.id),
            ("Lambda-Runtime-Deadline-Ms", deadline_ms),
            ("Lambda-Runtime-Trace-Id", "Root=1-67891233-abcdef012345678912345678;Sampled=0"),
            ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:mlship-test"),
        ]
        self.say(200, invocation.event, headers)

    def do_POST(self) -> None:
        body = self.body()
        status = self.function.end(self.path[len(BASE) :], body) if self.path.startswith(BASE) else 404
        self.say(status, b'{"status": "OK"}')


class Front(Answering):
    """The function's URL, and the service's Invoke."""

    def do_GET(self) -> None:
        self.forward()

    def do_POST(self) -> None:
        self.forward()

    def do_PUT(self) -> None:
        self.forward()

    def do_HEAD(self) -> None:
        self.forward()

    def forward(self) -> None:
        body = self.body()
        function = self.function
        if not function.has_started.is_set():
            self.say(503, b'{"message": "INIT is not over"}')
            return
        if function.start_error:
            self.say(502, function.start_error)
            return
        is_direct = self.path.startswith(INVOKE)
        event = body if is_direct else self.event(body)
        if len(event) > REQUEST_BYTES:
            self.say(413, b'{"Message": "Request must be smaller than 6291456 bytes for the InvokeFunction operation"}')
            return
        told = function.invoke(event)
        if is_direct:
            self.say(200, told.answer if told.answer is not None else told.error or _TIMED_OUT, _marks(told))
        elif told.answer is None:
            self.say(502, b'{"Message": "Internal Server Error"}', [("x-mlship-test", "function-error")])
        else:
            self.hand_on(json.loads(told.answer))

    def event(self, body: bytes) -> bytes:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        is_text = headers.get("content-type", TEXT[0]).startswith(TEXT)
        try:
            text, is_base64 = (body.decode(), False) if is_text else (base64.b64encode(body).decode(), True)
        except UnicodeDecodeError:
            text, is_base64 = base64.b64encode(body).decode(), True
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": url.path,
            "rawQueryString": url.query,
            "headers": headers,
            "requestContext": {
                "accountId": "anonymous",
                "apiId": "mlship-test",
                "domainName": headers.get("host", ""),
                "http": {"method": self.command, "path": url.path, "protocol": "HTTP/1.1", "sourceIp": "198.51.100.7"},
                "routeKey": "$default",
                "stage": "$default",
                "timeEpoch": int(time.time() * 1000),
            },
            "isBase64Encoded": is_base64,
            **({"body": text} if body else {}),
        }
        return json.dumps(event).encode()

    def hand_on(self, told: Any) -> None:
        """As a function's URL reads an answer: one with statusCode is taken apart, any other is the body itself."""
        if not isinstance(told, dict) or "statusCode" not in told:
            self.say(200, json.dumps(told).encode(), [("Content-Type", "application/json")])
            return
        body = told.get("body", "")
        raw = base64.b64decode(body) if told.get("isBase64Encoded") else body.encode()
        self.say(int(told["statusCode"]), raw, list((told.get("headers") or {}).items()))


_TIMED_OUT = b'{"errorMessage": "Task timed out"}'


def _marks(told: Invocation) -> Any:
    return [] if told.answer is not None else [("X-Amz-Function-Error", "Unhandled")]


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def opened(function: Function, handler: type, host: str, port: int) -> Server:
    """Serves in a thread. port 0: one that is free."""
    bound = type(handler.__name__, (handler,), {"function": function})
    server = Server((host, port), bound)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def main() -> None:
    function = Function(float(os.environ["MLSHIP_PLAYED_TIMEOUT_S"]))
    opened(function, RuntimeApi, "127.0.0.1", int(os.environ["MLSHIP_PLAYED_API"]))
    opened(function, Front, "0.0.0.0", int(os.environ["MLSHIP_PLAYED_FRONT"]))  # noqa: S104 -- inside a container
    threading.Event().wait()


if __name__ == "__main__":
    main()
