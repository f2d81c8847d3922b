"""Many clients of one server in memory, with a model that the test writes; a turn of the loop reads all, then computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from served import Answer, answers
from wired import Loop, Transport, request

from mlship.server.app import App, paths
from mlship.server.batching.engine import Batching, Engine
from mlship.server.board import READY, STARTED, STATE, Board
from mlship.server.core import ServedModel
from mlship.server.http.connection import Connection
from mlship.server.http.room import Room
from mlship.server.manifest import Feature, Manifest, Model, Signature
from mlship.server.service import Service
from mlship.server.settings import Settings

NUMBERS = Signature((Feature("a"), Feature("b")), (), "array")


class Scripted:
    """Answers by a function of the rows; remembers how many rows each call had."""

    title = "Scripted"

    def __init__(self, predict: Callable[[Any], Any]) -> None:
        self._predict = predict
        self.sizes: list[int] = []

    def predict(self, rows: Any) -> dict[str, Any]:
        self.sizes.append(len(rows))
        return {"predictions": self._predict(rows)}

    def signature(self, sample: tuple[Any, ...]) -> Signature:
        return NUMBERS


def sums(rows: Any) -> Any:
    """A row-wise model: the sum of each row; refuses rows that begin with -1."""
    if (rows[:, 0] == -1).any():
        raise ValueError("no row may begin with -1")
    return rows.sum(axis=1)


def modelled(
    predict: Callable[[Any], Any], signature: Signature = NUMBERS, sample: tuple[Any, ...] = (), name: str = "demo"
) -> ServedModel:
    entry = Model(name, "python", "none", "model", "ab", signature=signature, sample=sample)
    return ServedModel(entry, Scripted(predict))


class Crowd:
    """clients: how many. is_quick: what the engine takes every call for; None leaves it to its cost line. other: a second model."""

    def __init__(
        self,
        model: ServedModel,
        clients: int,
        is_quick: bool | None = True,
        batching: Batching | None = None,
        other: ServedModel | None = None,
    ) -> None:
        models = [model] if other is None else [model, other]
        manifest = Manifest("demo", tuple(each.entry for each in models))
        settings = Settings(Path("/manifest.json"), release="r1-aaaaaa")
        board = Board(1, len(paths(manifest)))
        board.cells[STARTED] = 1.0
        self.slot = board.slot(0)
        self.slot.cells[STATE] = READY
        service = Service(manifest, settings, {each.entry.name: each for each in models}, board, self.slot)
        self.model = model
        self.loop = Loop()
        self.engine = Engine(self.loop, self.slot, 2.0, batching)  # type: ignore[arg-type]
        if is_quick is not None:
            self.engine._is_quick = lambda seconds: is_quick  # type: ignore[method-assign]
        room = Room(App(service), self.engine, self.loop)  # type: ignore[arg-type]
        # a machine that halts the test for a while must not make its requests wait: that has tests of its own
        room.entrance.is_free = lambda request: True  # type: ignore[method-assign]
        self.transports = [Transport() for _ in range(clients)]
        self.connections = [Connection(room) for _ in range(clients)]
        for connection, transport in zip(self.connections, self.transports, strict=True):
            connection.connection_made(transport)

    @property
    def sizes(self) -> list[int]:
        """Rows of each call of the model so far."""
        loaded: Any = self.model.loaded
        sizes: list[int] = loaded.sizes
        return sizes

    def send(self, *requests: bytes) -> None:
        """One client after the other sends its bytes; nothing is computed before `turn`."""
        for connection, raw in zip(self.connections, requests, strict=False):
            connection.data_received(raw)

    def turn(self) -> None:
        self.loop.turn()

    def answers(self) -> list[Answer]:
        """The only answer of each client that has one."""
        return [answers(transport.written)[0] for transport in self.transports if transport.written]

    def predictions(self) -> list[Any]:
        return [answer.json["predictions"] for answer in self.answers()]


def ask(*rows: Sequence[Any], path: str = "/predict") -> bytes:
    """A request with these rows."""
    body = repr({"instances": [list(row) for row in rows]}).replace("'", '"').replace("None", "null").encode()
    return request("POST", path, "Content-Type: application/json", body=body)
