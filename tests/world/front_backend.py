"""A replica for the front's tests: `python front_backend.py PORT RELEASE`. Keeps connections, answers at once.

A body with `die` in it ends the process before it answers, one with `fail` is answered 500, one with `slow` after 0.5 s.
"""

from __future__ import annotations

import asyncio
import os
import sys


class Replica(asyncio.Protocol):
    def __init__(self, release: str) -> None:
        self._release = release
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, rest = self._read.split(b"\r\n\r\n", 1)
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            size = int(headers.get("content-length", 0))
            if len(rest) < size:
                return
            body, self._read = rest[:size], rest[size:]
            self._handle(first, headers, body)

    def _handle(self, first: str, headers: dict[str, str], body: bytes) -> None:
        if b"die" in body:
            os._exit(1)
        delay = 0.5 if b"slow" in body else 0.0
        status = "500 Internal Server Error" if b"fail" in body else "200 OK"
        said = b'{"predictions": [1]}' if first.startswith("POST") else b'{"forwarded": "%s"}' % _forwarded(headers)
        lines = [
            f"HTTP/1.1 {status}",
            "Content-Type: application/json",
            f"Content-Length: {len(said)}",
            f"X-Mlship-Release: {self._release}",
            f"X-Request-Id: {headers.get('x-request-id', '')}",
        ]
        answer = "\r\n".join([*lines, "", ""]).encode() + said
        asyncio.get_running_loop().call_later(delay, self._transport.write, answer)


def _forwarded(headers: dict[str, str]) -> bytes:
    return f"{headers.get('x-forwarded-proto', 'http')} {headers.get('x-forwarded-for', '')}".encode()


async def main(port: int, release: str) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Replica(release), "127.0.0.1", port, backlog=1024)
    print("going", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
