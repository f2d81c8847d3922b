"""The keeper at work: one one-off container for the whole command, that ends with its connection."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.targets.docker.engine import Engine, EngineImage
from mlship.targets.docker.holder import origin
from mlship.targets.docker.spec import Scope, keeper_body
from mlship.targets.docker.stream import Broken, Conversation

ANSWER_TIMEOUT_S = 30.0


class KeeperFailed(MlshipError):
    """The keeper ended or did not answer."""

    def __init__(self, volume: str, why: str) -> None:
        super().__init__(
            f"the records cannot be reached: {why}",
            where=f"volume {volume}",
            fix="run the same command again",
            exit=Exit.UNREACHABLE,
            code="keeper-failed",
        )


class Keeper:
    """Answers requests about one project's volume. Safe for several threads.

    image: gives an image of ours at the engine to run the keeper from; asked only when one is needed.
    """

    def __init__(self, engine: Callable[[], Engine], scope: Scope, image: Callable[[], EngineImage]) -> None:
        self._engine = engine
        self._scope = scope
        self._image = image
        self._lock = threading.Lock()
        self._talk: Conversation | None = None
        self._container = ""
        self.image = ""

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The keeper's answer. Asked once more of a new keeper when the first one is lost: every request can be repeated."""
        with self._lock:
            if self._talk is not None:
                try:
                    return self._once(request)
                except KeeperFailed:
                    pass  # its container may have ended: a new one is asked below
            return self._once(request)

    def close(self) -> None:
        """Ends the container and waits until it is gone; a later `ask` starts another one."""
        with self._lock:
            container, self._container = self._container, ""
            self._end()
            if container:
                self._engine().remove(container)

    def _once(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return (self._talk or self._begin()).ask(request)
        except Broken as broken:
            self._end()
            raise KeeperFailed(self._scope.volume, str(broken)) from None

    def _begin(self) -> Conversation:
        engine, image = self._engine(), self._image()
        self.image = image.id
        name = self._scope.container(secrets.token_hex(4), "keeper")  # one a command: several may read at once
        self._container = engine.create(name, keeper_body(self._scope, image.id, image.python, origin()))
        try:
            self._talk = engine.converse(self._container, ANSWER_TIMEOUT_S)
        except MlshipError:
            engine.remove(self._container)
            raise
        return self._talk

    def _end(self) -> None:
        if self._talk is not None:
            self._talk.close()
            self._talk = None
