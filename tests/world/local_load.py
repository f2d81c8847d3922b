"""Load on one loopback port until standard input closes: `going` when it has begun, in the end one line of JSON with what happened.

python local_load.py PORT CONNECTIONS_PER_SECOND KEPT: open loop, each request on a new connection; and KEPT connections that are
kept alive, one request every 5 ms each, opened anew only after the server said `Connection: close`.
"""

from __future__ import annotations

import asyncio
import collections
import json
import sys
import time

BODY = b'{"instances": [[1.0, 2.0, 3.0]]}'


class Load:
    def __init__(self, port: int) -> None:
        self.port = port
        self.failures: list[str] = []
        self.releases: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self.new = 0
        self.over = asyncio.Event()

    async def new_connections(self, rate: int) -> None:
        start, sent, tasks = time.monotonic(), 0, set()
        while not self.over.is_set():
            due = int((time.monotonic() - start) * rate)
            for _ in range(due - sent):
                task = asyncio.create_task(self.once())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            sent = max(due, sent)
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)

    async def once(self) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                await asyncio.wait_for(self.request(reader, writer, "close"), 10)
                self.new += 1
            finally:
                writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            self.failures.append(f"new: {type(error).__name__} {error}")

    async def kept(self) -> None:
        while not self.over.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                while not self.over.is_set() and await asyncio.wait_for(self.request(reader, writer, "keep-alive"), 10):
                    await asyncio.sleep(0.005)
                writer.close()
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
                self.failures.append(f"kept: {type(error).__name__} {error}")

    async def request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: str) -> bool:
        """Whether the server keeps the connection."""
        start = time.monotonic()
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
        writer.write(f"{head}Connection: {connection}\r\n\r\n".encode() + BODY)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        body = await reader.readexactly(int(headers["content-length"]))
        if lines[0].split()[1] != "200":
            raise ValueError(f"{lines[0]} {body[:200]!r}")
        self.releases[headers["x-mlship-release"]] += 1
        self.slowest = max(self.slowest, time.monotonic() - start)
        return headers.get("connection") != "close"


async def main(port: int, rate: int, kept: int) -> None:
    load = Load(port)
    work = [asyncio.create_task(load.kept()) for _ in range(kept)]
    work.append(asyncio.create_task(load.new_connections(rate)))
    start = time.monotonic()
    while not load.new and not load.failures:
        await asyncio.sleep(0.01)
    print("going", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    load.over.set()
    await asyncio.gather(*work)
    seconds = time.monotonic() - start
    done = sum(load.releases.values())
    print(json.dumps({
        "seconds": seconds, "done": done, "failures": load.failures[:20], "failed": len(load.failures),
        "releases": load.releases, "slowest_s": load.slowest, "new_per_s": load.new / seconds,
    }))  # fmt: skip


asyncio.run(main(*map(int, sys.argv[1:4])))
