"""A server that keeps the promises of mlship.server towards its holder, and starts in milliseconds.

Run as `python -I -S local_standin.py`. VERSION is what it predicts; BROKEN: `crash`, `lies`, `answers`, `never` (is never ready),
`deaf` (never accepts), `stubborn` (ignores SIGTERM). SLOW: seconds that a prediction takes.
"""

import json
import os
import select
import signal
import socket
import sys
import time

BROKEN = os.environ.get("BROKEN", "")
VERSION = int(os.environ.get("VERSION", "1"))
SLOW = float(os.environ.get("SLOW", "0"))
RELEASE = "r0-000000" if BROKEN == "lies" else os.environ["MLSHIP_RELEASE"]
DRAIN_S = float(os.environ.get("DRAIN_S", "10"))


class Server:
    def __init__(self, public, probe):
        self.public, self.probe = public, probe
        self.accepting = "MLSHIP_HOLD" not in os.environ
        self.draining_since = 0.0
        self.predicted = 0
        self.open = {}
        self.poll = select.epoll()
        self.poll.register(probe.fileno(), select.EPOLLIN)
        if self.accepting:
            self.poll.register(public.fileno(), select.EPOLLIN)

    def accept(self, *_):
        if BROKEN != "deaf" and not self.accepting:
            self.accepting = True
            self.poll.register(self.public.fileno(), select.EPOLLIN)

    def drain(self, *_):
        if BROKEN == "stubborn" or self.draining_since:
            return
        self.draining_since = time.monotonic()
        if self.accepting:
            self.accepting = False
            self.poll.unregister(self.public.fileno())

    def run(self):
        while not self.draining_since or (self.open and time.monotonic() - self.draining_since < DRAIN_S):
            for number, _ in self.poll.poll(0.05):
                if number in (self.public.fileno(), self.probe.fileno()):
                    self.take(self.public if number == self.public.fileno() else self.probe)
                elif number in self.open:
                    self.read(self.open[number])

    def take(self, listener):
        for _ in range(64):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            self.open[connection.fileno()] = [connection, b""]
            self.poll.register(connection.fileno(), select.EPOLLIN)

    def read(self, state):
        connection, seen = state
        try:
            part = connection.recv(65536)
        except OSError:
            part = b""
        if not part:
            return self.close(connection)
        state[1] = seen = seen + part
        head, found, rest = seen.partition(b"\r\n\r\n")
        if not found or len(rest) < length(head):
            return None
        state[1] = b""
        last = bool(self.draining_since) or b"connection: close" in head.lower()
        try:
            connection.sendall(self.answer(head.split(b" ")[1].decode(), last))
        except OSError:
            last = True
        return self.close(connection) if last else None

    def close(self, connection):
        self.open.pop(connection.fileno(), None)
        connection.close()

    def answer(self, path, last):
        status, document = 200, {}
        if path == "/mlship/release":
            document = {"release": RELEASE, "accepting": self.accepting, "pid": os.getpid()}
        elif path == "/readyz":
            status = 503 if BROKEN == "never" else 200
            document = {"ready": status == 200}
        elif path == "/predict":
            time.sleep(SLOW)
            self.predicted += 1
            document = {"predictions": [VERSION + (1 if BROKEN == "answers" else 0)]}
        elif path == "/die":
            os._exit(3)
        counted = f'mlship_requests_total{{route="/predict",status="200"}} {self.predicted}\n'
        body = counted.encode() if path.partition("?")[0] == "/metrics" else json.dumps(document).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nX-Mlship-Release: {RELEASE}\r\n"
        return (head + ("Connection: close\r\n" if last else "") + "\r\n").encode() + body


def length(head):
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def main():
    assert os.environ["LISTEN_PID"] == str(os.getpid())
    assert os.environ["LISTEN_FDNAMES"] == "public:probe"
    public, probe = socket.socket(fileno=3), socket.socket(fileno=4)
    public.setblocking(False)
    probe.setblocking(False)
    server = Server(public, probe)
    signal.signal(signal.SIGUSR1, server.accept)
    signal.signal(signal.SIGTERM, server.drain)
    print("loading version", VERSION, flush=True)
    if BROKEN == "crash":
        print("the model is broken", file=sys.stderr, flush=True)
        sys.exit(3)
    print("ready", flush=True)
    server.run()


main()
