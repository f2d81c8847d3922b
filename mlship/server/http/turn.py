"""A request whose answer is owed."""

from __future__ import annotations

from typing import Protocol

from mlship.server.batching.queue import Job
from mlship.server.messages import Request, Response


class Owing(Protocol):
    """A connection: answers in the order in which the requests came."""

    def open(self, turn: Turn) -> None:
        """Reads a request that waited at the entrance."""

    def advance(self) -> None:
        """Writes the answers that are there."""


class Turn(Job):
    """A request whose answer is owed: it is written when all before it are. response: None while it is not there yet."""

    __slots__ = ("_connection", "header", "is_open", "request", "response")

    def __init__(self, connection: Owing, request: Request, header: str, response: Response | None = None) -> None:
        """header: the value of the answer's header `connection`; empty leaves it out."""
        self.is_over = self.is_waiting = False
        self.timer = None
        self._connection = connection
        self.request = request
        self.header = header
        self.response = response
        self.is_open = response is not None

    def open(self) -> None:
        """It was this request's turn to be read."""
        self._connection.open(self)

    def done(self, response: Response) -> None:
        """The model has answered, or the time was over."""
        self.response = response
        self._connection.advance()
