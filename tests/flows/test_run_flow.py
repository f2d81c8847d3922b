"""A server in the foreground: what an interrupt does to it, and a port that somebody else has."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from mlship.errors import MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.run import drained, run, serve
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import Command, LocalRunner


class Server:
    """waits: what each wait ends with."""

    pid = 7

    def __init__(self, *waits: int | type[KeyboardInterrupt]) -> None:
        self.waits = list(waits)
        self.told: list[int] = []

    def poll(self) -> int | None:
        return None

    def wait(self, timeout: float | None = None) -> int:
        end = self.waits.pop(0)
        if isinstance(end, int):
            return end
        raise end

    def send_signal(self, signal: int) -> None:
        self.told.append(signal)


@pytest.mark.parametrize(
    ("server", "code", "told"),
    [
        (Server(0), 0, [signal.SIGTERM]),
        (Server(KeyboardInterrupt, 143), 143, [signal.SIGTERM] * 2),
        (Server(KeyboardInterrupt, KeyboardInterrupt, -9), 137, [signal.SIGTERM, signal.SIGTERM, signal.SIGKILL]),
        (Server(-signal.SIGTERM), 143, [signal.SIGTERM]),
    ],
)
def test_one_interrupt_lets_requests_end_a_second_one_does_not_and_a_third_one_leaves_no_server(
    server: Server, code: int, told: list[int]
) -> None:
    assert drained(server) == code
    assert server.told == told


def test_an_interrupt_while_the_server_starts_ends_it_and_leaves_it_to_nobody(tmp_path: Path) -> None:
    server, before = Server(0), signal.getsignal(signal.SIGINT)

    class Interrupted(LocalRunner):
        def start(self, *_: Any, **__: Any) -> Server:
            os.kill(os.getpid(), signal.SIGINT)
            return server

    context = Context(Home(tmp_path / "home"), Interrupted(), Silent(), {}, tmp_path, lambda: 0.0, "anna@test pid 1")
    assert serve(context, Command(("server",), environ={"PORT": "8080"})) == 0
    assert server.told == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_port_that_is_taken_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "mlship.yaml").write_text("name: churn\nmodel: none.joblib\n")
    context = Context(Home(tmp_path / "home"), LocalRunner(), Silent(), {}, tmp_path, lambda: 0.0, "anna@test pid 1")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            MlshipError, match=rf"port {port} of 127\.0\.0\.1 cannot be listened on: Address already in use"
        ) as raised:
            run(context, Where(), port=port)
    assert raised.value.fix == "mlship run --port N takes another one"
