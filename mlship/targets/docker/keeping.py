"""The keeper at work: run in the front, or where that does not run in a one-off container; both end with the connection."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.targets.docker.bodies import keeper_body, keeper_command
from mlship.targets.docker.engine import Engine, EngineImage, EngineRefused
from mlship.targets.docker.holder import origin
from mlship.targets.docker.spec import LIBRARY, STATE, Scope
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
    """Answers requests about one project's volume, and from its network. Safe for several threads, one request at a time.

    image: gives an image of a front at the engine; asked only where no front runs. own: gives the image of this version's front:
    where the running front is of another version and does not know a request, the keeper of this version is asked beside it,
    and the front serves on. timeout_s: how long one answer may take. asks: also beside the front it is on the project's network,
    so that it can ask replicas; the one for records is not, because a network with somebody on it cannot be removed.
    """

    def __init__(
        self,
        engine: Callable[[], Engine],
        scope: Scope,
        image: Callable[[], EngineImage],
        own: Callable[[], EngineImage],
        timeout_s: float = ANSWER_TIMEOUT_S,
        asks: bool = False,
    ) -> None:
        self._engine = engine
        self._scope = scope
        self._image = image
        self._own = own
        self._is_apart = False
        self._timeout_s = timeout_s
        self._asks = asks
        self._lock = threading.Lock()
        self._talk: Conversation | None = None
        self._container = ""

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The keeper's answer. Asked once more of a new keeper when the first one is lost: every request can be repeated.

        A front that is about to end is still told as running, and nothing can be run in it: then the third one is beside it.
        """
        with self._lock:
            answer = self._tried(request)
            if answer.get("code") == "unknown" and not self._is_apart:
                self._is_apart = True
                self._end()
                return self._once(request, self._beside)
            return answer

    @property
    def is_open(self) -> bool:
        """A keeper runs, as far as is known: then the volume is there, because it is mounted."""
        return self._talk is not None

    def close(self) -> None:
        """Ends the keeper; waits until a container that was made for it is gone. A later `ask` starts another one."""
        with self._lock:
            container, self._container = self._container, ""
            self._end()
            if container:
                self._engine().remove(container)

    def _tried(self, request: Mapping[str, Any]) -> dict[str, Any]:
        for begin in (self._begin, self._begin):
            with suppress(KeeperFailed):
                return self._once(request, begin)
        return self._once(request, self._beside)

    def _once(self, request: Mapping[str, Any], begin: Callable[[], Conversation]) -> dict[str, Any]:
        self._talk = self._talk or begin()
        try:
            return self._talk.ask(request)
        except Broken as broken:
            self._end()
            raise KeeperFailed(self._scope.volume, str(broken)) from None

    def _begin(self) -> Conversation:
        return self._in_front() or self._beside()

    def _in_front(self) -> Conversation | None:
        """As root, whose files the volume has; the front itself can change none of them."""
        engine = self._engine()
        front = engine.container(self._scope.front)
        if front is None or not front.is_running or self._is_apart:
            return None
        argv = [*keeper_command(front.python), "serve", STATE]
        try:
            return engine.execute(front.id, argv, {"PYTHONPATH": LIBRARY}, self._timeout_s, user="0:0")
        except EngineRefused:  # it ended in between
            return None

    def _beside(self) -> Conversation:
        engine, image = self._engine(), self._own() if self._is_apart else self._image()
        name = self._scope.keeper(secrets.token_hex(4))  # one a command: several may read at once
        network = self._scope.network if self._asks and engine.network(self._scope.network) is not None else "none"
        self._container = engine.create(name, keeper_body(self._scope, image.id, image.python, origin(), network))
        try:
            return engine.converse(self._container, self._timeout_s)
        except MlshipError:
            engine.remove(self._container)
            raise

    def _end(self) -> None:
        if self._talk is not None:
            self._talk.close()
            self._talk = None
