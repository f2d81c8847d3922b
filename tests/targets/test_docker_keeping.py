"""Where the keeper is run: in the front, beside it, and anew when its connection is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from mlship.targets.docker.engine import Container, EngineImage
from mlship.targets.docker.keeping import Keeper, KeeperFailed
from mlship.targets.docker.spec import Scope
from mlship.targets.docker.stream import Broken

SCOPE = Scope("churn")
RUNNING = Container("front", SCOPE.front, {}, "running", python="/usr/bin/python3")


class Talk:
    """Answers by its own name; `old` knows no request, `cut` breaks at the first one."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if self.name == "cut":
            raise Broken("the process ended")
        return {"ok": False, "code": "unknown"} if self.name == "old" else {"ok": True, "by": self.name}

    def close(self) -> None:
        pass


class Engine:
    """in_front: the conversations that the front gives, one after the other."""

    def __init__(self, *in_front: str, front: Container | None = RUNNING) -> None:
        self.in_front = list(in_front)
        self.front = front
        self.made: list[str] = []

    def container(self, name: str) -> Container | None:
        return self.front

    def network(self, name: str) -> None:
        return None

    def execute(self, container: str, argv: Sequence[str], environ: Mapping[str, str], timeout_s: float, user: str) -> Talk:
        assert user == "0:0"
        return Talk(self.in_front.pop(0))

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        self.made.append(body["Image"])
        return name

    def converse(self, container: str, timeout_s: float) -> Talk:
        return Talk(f"beside, of {self.made[-1]}")


def keeper(engine: Engine) -> Keeper:
    door: Any = engine
    return Keeper(lambda: door, SCOPE, lambda: EngineImage("theirs", (), {}), lambda: EngineImage("ours", (), {}))


def asked(engine: Engine) -> str:
    return str(keeper(engine).ask({"op": "read"})["by"])


def test_it_is_run_in_the_front() -> None:
    assert asked(Engine("in front")) == "in front"


def test_where_no_front_runs_a_container_is_made_for_it() -> None:
    assert asked(Engine(front=None)) == "beside, of theirs"


def test_a_connection_that_is_lost_is_made_again() -> None:
    assert asked(Engine("cut", "in front")) == "in front"


def test_a_front_that_is_about_to_end_is_asked_beside_it() -> None:
    assert asked(Engine("cut", "cut")) == "beside, of theirs"


def test_beside_a_front_of_an_older_mlship_our_own_keeper_is_asked() -> None:
    """The front serves on: an upgrade of mlship closes no port."""
    engine = Engine("old")
    both = keeper(engine)
    assert [both.ask({"op": "new"})["by"] for _ in range(2)] == ["beside, of ours"] * 2
    assert engine.made == ["ours"]


def test_a_keeper_that_never_answers_is_an_error_with_the_volume() -> None:
    class Dead(Engine):
        def converse(self, container: str, timeout_s: float) -> Talk:
            return Talk("cut")

    with pytest.raises(KeeperFailed) as failed:
        asked(Dead("cut", "cut"))
    assert str(failed.value) == (
        "volume mlship-churn  the records cannot be reached: the process ended; run the same command again"
    )
