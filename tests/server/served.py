"""A real server process for tests: a supervisor with workers and a model of the `python` framework."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlship.server import manifest

ROOT = Path(__file__).parents[2]

SERVE = ("-m", "mlship.server", "serve")

MODEL = '''
import os
import time

ASLEEP_S = float(os.environ.get("DOUBLER_ASLEEP_S", "0"))  # a row


class Doubler:
    """Answers with twice the first value; certain values make it misbehave."""

    def load(self, path):
        if os.environ.get("DOUBLER_FAILS"):
            raise RuntimeError("the weights are gone")
        time.sleep(float(os.environ.get("DOUBLER_LOADS_S", "0")))

    def predict(self, rows):
        if ASLEEP_S:
            time.sleep(ASLEEP_S * len(rows))
        return [self.one(row["amount"] if isinstance(row, dict) else row[0]) for row in rows]

    def one(self, amount):
        if amount == -1:
            raise ValueError("amounts are not negative")
        if amount == -2:
            raise RuntimeError("secret internals")
        if amount == -3:
            os._exit(3)
        if amount == -4:
            time.sleep(0.4)
        if amount == -5:
            time.sleep(60)
        if amount == -6:
            return float("nan")
        return amount * 2
'''

SIGNATURE = manifest.Signature(
    inputs=(
        manifest.Feature("amount", "float64"),
        manifest.Feature("city", "string", nullable=True, categories=("Rome", "Oslo </script><b>")),
    ),
    outputs=(manifest.Output("predictions", "float64"),),
    container="list",
    named=True,
)


def written(folder: Path, **serving: Any) -> Path:
    """A manifest.json with the Doubler in a folder; serving: keys of manifest.Serving."""
    (folder / "code").mkdir(parents=True, exist_ok=True)
    (folder / "code" / "doubler.py").write_text(MODEL)
    entry = manifest.Model(
        name="demo",
        framework="python",
        format="none",
        path="model",
        sha256="ab" * 32,
        loader="doubler:Doubler",
        signature=SIGNATURE,
        sample=({"amount": 1.5, "city": "Rome"}, {"amount": 2, "city": None}),
    )
    document = manifest.Manifest("demo", (entry,), manifest.Serving(**{"workers": 1, **serving}), mlship="0.1.0")
    (folder / "manifest.json").write_bytes(manifest.to_json(document))
    return folder / "manifest.json"


@dataclass
class Server:
    """A running server. errors: its JSON lines on stderr so far."""

    process: subprocess.Popen[bytes]
    port: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    rest: bytes = b""

    def event(self, name: str, timeout_s: float = 10) -> dict[str, Any]:
        """The next event of that name; what came before it stays in `errors`."""
        deadline = time.monotonic() + timeout_s
        seen = 0
        while True:
            for line in self.errors[seen:]:
                seen += 1
                if line["event"] == name:
                    return line
            assert self._read(deadline - time.monotonic()), f"no event {name}; got {self.errors} {self.rest!r}"

    def _read(self, timeout_s: float) -> bool:
        assert self.process.stderr is not None
        waiting = select.poll()  # a test with many clients has descriptors that select cannot take
        waiting.register(self.process.stderr, select.POLLIN)
        if not waiting.poll(max(0, timeout_s) * 1000):
            return False
        part = os.read(self.process.stderr.fileno(), 65536)
        *lines, self.rest = (self.rest + part).split(b"\n")
        self.errors += [json.loads(line) for line in lines if line.startswith(b"{")]
        return bool(part)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 10) -> int:
        return self.process.wait(timeout_s)

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None, method: str = "") -> Answer:
        """One request on its own connection. body: bytes, or a value that is sent as JSON."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        method = method or ("GET" if sent is None else "POST")
        fields = {"Host": "test", "Connection": "close", **({"Content-Type": "application/json"} if sent is not None else {})}
        fields.update(headers or {})
        if sent is not None:
            fields["Content-Length"] = str(len(sent))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        return answers(self.exchange(head.encode() + (sent or b"")), [method])[0]

    def exchange(self, raw: bytes, timeout_s: float = 10) -> bytes:
        """Everything that the server says to these bytes until it closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as client:
            client.sendall(raw)
            return everything(client)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def everything(client: socket.socket) -> bytes:
    """What comes until the server closes."""
    got = b""
    while part := client.recv(65536):
        got += part
    return got


def answers(raw: bytes, methods: list[str] | None = None) -> list[Answer]:
    """All answers in the bytes; interim ones (100) too. methods: of the requests, where one is HEAD."""
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in fields}
        size = int(headers.get("content-length", 0))
        if methods and methods[min(len(found), len(methods) - 1)] == "HEAD":
            size = 0
        found.append(Answer(int(status.split()[1]), headers, raw[:size]))
        raw = raw[size:]
    return found


@contextmanager
def running(
    path: Path,
    *,
    sockets: dict[str, socket.socket] | None = None,
    ready: bool = True,
    program: tuple[str, ...] = SERVE,
    **environ: str,
) -> Iterator[Server]:
    """A server on a port of the kernel's choice, or on the given listening sockets (name -> socket)."""
    with launched(path, sockets=sockets, program=program, **environ) as server:
        if ready:
            listening = server.event("ready")["listening"]
            server.port = int(listening[0].rpartition(":")[2])
            if not environ.get("MLSHIP_HOLD"):
                until(lambda: accepts(server.port))
        yield server


@contextmanager
def launched(
    path: Path, *, sockets: dict[str, socket.socket] | None = None, program: tuple[str, ...] = SERVE, **environ: str
) -> Iterator[Server]:
    environ = {"MLSHIP_MANIFEST": str(path), "MLSHIP_HOST": "127.0.0.1", "PORT": "0", "MLSHIP_DRAIN_DELAY_S": "0", **environ}
    names = list(sockets or {})
    if names:
        environ |= {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLSHIP_", "LISTEN_", "AIP_", "PORT"))
    }
    placed = [(sock.fileno(), 3 + index) for index, sock in enumerate((sockets or {}).values())]

    def place() -> None:
        kept = [(os.dup2(source, 200 + target), target) for source, target in placed]
        for source, target in kept:
            os.dup2(source, target)

    process = subprocess.Popen(
        [sys.executable, *program],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": str(ROOT), **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[target for _, target in placed],
        preexec_fn=place if placed else None,
    )
    try:
        yield Server(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def release(port: int) -> dict[str, Any]:
    """What the server at the port says that it is. Raises OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/mlship/release")
        told: dict[str, Any] = json.loads(connection.getresponse().read())
        return told
    finally:
        connection.close()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(holds: Any, timeout_s: float = 10) -> Any:
    """The first true value of a condition that becomes true soon."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := holds():
            return value
        time.sleep(0.01)
    raise AssertionError("it did not become true in time")


def listener() -> socket.socket:
    """A listening socket on a port of the kernel's choice, as a holder of sockets makes it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(4096)
    return sock
