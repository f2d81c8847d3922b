"""Nothing is lost: handovers on one inherited socket under load, keep-alive clients through SIGTERM, a worker's death."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from served import Server, listener, release, running, until, written
from wired import prediction

pytestmark = pytest.mark.world

RATE = 1000  # new connections a second
AT_ONCE = 400  # open connections; a machine that cannot keep the pace is not buried under them


class Load:
    """What a client saw: answers by release, and every failure."""

    def __init__(self) -> None:
        self.releases: Counter[str] = Counter()
        self.failures: list[str] = []
        self.refused_at: list[float] = []

    def saw(self, raw: bytes) -> None:
        head, _, body = raw.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 ") or json.loads(body) != {"predictions": [6]}:
            self.failures.append(repr(raw[:200]))
            return
        name = next(line for line in head.decode().split("\r\n") if line.startswith("x-mlship-release: "))
        self.releases[name.partition(": ")[2]] += 1


async def new_connections(address: tuple[str, int], load: Load, stop: asyncio.Event) -> None:
    """RATE connections a second, each with one request, until told to stop."""
    tasks: set[asyncio.Task[None]] = set()
    began, started = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - began) * RATE)
        for _ in range(min(due - started, AT_ONCE - len(tasks))):
            task = asyncio.create_task(one_connection(address, load))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        started = max(started, due)
        await asyncio.sleep(0.005)
    await asyncio.gather(*tasks)


async def one_connection(address: tuple[str, int], load: Load) -> None:
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(prediction(3, "Connection: close"))
            load.saw(await reader.read())
            writer.close()
    except (OSError, TimeoutError) as error:
        load.failures.append(repr(error))


async def keep_alive(address: tuple[str, int], load: Load, stop: asyncio.Event) -> None:
    """One client that keeps its connection until it is told that it closes, as a connection pool does."""
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection(*address)
            await until_told(reader, writer, load, stop)
        except (OSError, asyncio.IncompleteReadError) as error:
            load.failures.append(repr(error))


async def until_told(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, load: Load, stop: asyncio.Event) -> None:
    """Asks on one connection until an answer says that it closes. Raises OSError, IncompleteReadError."""
    closes = False
    while not closes and not stop.is_set():
        writer.write(prediction(3))
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(next(line for line in head.decode().split("\r\n") if line.startswith("content-length")).split()[1])
        load.saw(head + await reader.readexactly(size))
        closes = b"connection: close" in head
    writer.close()


def under_load(
    client: Callable[[tuple[str, int], Load, asyncio.Event], Awaitable[None]],
    address: tuple[str, int],
    act: Callable[[], None],
    clients: int = 1,
) -> Load:
    """Runs clients beside what is done to the servers."""
    load = Load()

    async def both() -> None:
        stop = asyncio.Event()
        running_clients = asyncio.gather(*(client(address, load, stop) for _ in range(clients)))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(act)
        await asyncio.sleep(0.3)
        stop.set()
        await running_clients

    asyncio.run(both())
    return load


class Handovers:
    """Servers that follow each other on one socket, as the local target runs them."""

    def __init__(self, path: Path, public: socket.socket, probe: socket.socket, stack: ExitStack) -> None:
        self.path, self.public, self.probe, self.stack = path, public, probe, stack
        self.live: Server | None = None
        self.number = 0

    def next(self) -> None:
        self.number += 1
        name = f"r{self.number}-aaaaaa"
        sockets = {"public": self.public, "probe": self.probe}
        old = self.live
        own = listener() if old else self.probe
        sockets["probe"] = own
        new = self.stack.enter_context(running(self.path, sockets=sockets, MLSHIP_HOLD="1", MLSHIP_RELEASE=name))
        new.signal(signal.SIGUSR1)
        until(lambda: release(own.getsockname()[1])["accepting"] is True)
        if old is not None:
            old.signal(signal.SIGTERM)
            assert old.wait(10) == 0
        self.live = new


def test_handovers_under_a_thousand_new_connections_a_second_lose_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        public, probe = stack.enter_context(listener()), stack.enter_context(listener())
        servers = Handovers(written(tmp_path, workers=2), public, probe, stack)
        servers.next()
        load = under_load(new_connections, public.getsockname(), lambda: [servers.next() for _ in range(5)])  # type: ignore[arg-type,return-value]
    assert load.failures == []
    assert set(load.releases) == {f"r{number}-aaaaaa" for number in range(1, 7)}
    print(f"{sum(load.releases.values())} connections, {dict(load.releases)}")


def test_keep_alive_clients_lose_nothing_when_a_successor_takes_over(tmp_path: Path) -> None:
    with ExitStack() as stack:
        public, probe = stack.enter_context(listener()), stack.enter_context(listener())
        servers = Handovers(written(tmp_path, workers=2), public, probe, stack)
        servers.next()
        load = under_load(keep_alive, public.getsockname(), lambda: [servers.next() for _ in range(3)], clients=20)  # type: ignore[arg-type,return-value]
    assert load.failures == []
    assert set(load.releases) == {f"r{number}-aaaaaa" for number in range(1, 5)}


def test_a_killed_worker_costs_only_its_own_connections(tmp_path: Path) -> None:
    with running(written(tmp_path, workers=2), MLSHIP_RELEASE="r1-aaaaaa") as server:
        address = ("127.0.0.1", server.port)

        def kill() -> None:
            os.kill(int(str(release(server.port)["pid"])), signal.SIGKILL)
            server.event("worker_lost")
            time.sleep(1)

        load = under_load(keep_alive, address, kill, clients=10)
    assert len(load.failures) <= 10
    assert sum(load.releases.values()) > 100


async def until_refused(address: tuple[str, int], load: Load, stop: asyncio.Event) -> None:
    """One client that asks on and on, on a new connection when it is told that the old one closes, until nobody listens."""
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection(*address)
        except ConnectionRefusedError:
            load.refused_at.append(time.monotonic())
            return
        try:
            await until_told(reader, writer, load, stop)
        except (OSError, asyncio.IncompleteReadError) as error:
            load.failures.append(repr(error))


def test_sigterm_under_load_loses_no_request(tmp_path: Path) -> None:
    with running(written(tmp_path, workers=2), MLSHIP_DRAIN_DELAY_S="1", DOUBLER_ASLEEP_S="0.002") as server:
        told: list[float] = []

        def stop() -> None:
            told.append(time.monotonic())
            server.signal(signal.SIGTERM)
            server.event("draining")
            until(lambda: server.ask("/readyz").status == 503, 0.5)
            assert server.wait(10) == 0

        load = under_load(until_refused, ("127.0.0.1", server.port), stop, clients=24)  # type: ignore[arg-type]
        assert server.event("stopped")
    assert load.failures == []
    assert len(load.refused_at) == 24
    assert 1.0 <= min(load.refused_at) - told[0] < 4.0
    assert sum(load.releases.values()) > 200
