"""A command that is killed at any instant, and whatever is run next: it converges, and callers are answered all the time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from rehearsal import CANARY, Killed, Killer, Rehearsal

from mlship.errors import Exit, MlshipError
from mlship.targets.base import Strategy
from mlship.targets.rollout import Paused

TOUCHES = 60  # more than any rollout here has

QUICK = ("canary", "compared")  # the others take seconds together
STRATEGIES = {
    "canary": CANARY,
    "approved": replace(CANARY, approve="manual"),
    "blue-green": replace(CANARY, name="blue-green", steps=()),
    "approved blue-green": replace(CANARY, name="blue-green", steps=(), approve="manual"),
    "mirrored": Strategy("rolling", mirror=0.1, bake_s=300.0, gates=("error_rate < 0.5%",)),
    "compared": Strategy("rolling", gates=("prediction_change < 50%",)),
    "rolling": Strategy("rolling"),
}


def started(strategy: Strategy) -> Rehearsal:
    rehearsal = Rehearsal()
    rehearsal.deploy(1)
    rehearsal.strategy = strategy
    return rehearsal


@dataclass
class Watching(Killer):
    """Looks at the service after every touch of every command."""

    rehearsal: Rehearsal | None = None

    def touch(self, act: Any) -> Any:
        try:
            return super().touch(act)
        finally:
            assert self.rehearsal is not None
            self.rehearsal.is_well()


def kill(rehearsal: Rehearsal, at: int, after: bool, command: Callable[[Killer], object]) -> bool:
    """Whether the command was killed; how it ended otherwise does not matter here."""
    killer = Watching(at, after, rehearsal=rehearsal)
    try:
        command(killer)
    except Killed:
        return True
    except MlshipError:
        return killer.dead
    return False


def carried_through(rehearsal: Rehearsal) -> str:
    """The same deploy again, and where a person is asked, a promotion."""
    try:
        return rehearsal.deploy(2).history.live
    except Paused:
        return rehearsal.promote().history.live


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param(strategy, id=name, marks=() if name in QUICK else pytest.mark.world)
        for name, strategy in STRATEGIES.items()
    ],
)
def test_a_deploy_that_is_killed_anywhere_converges_when_it_is_run_again(strategy: Strategy, after: bool) -> None:
    killed = 0
    for at in range(TOUCHES):
        rehearsal = started(strategy)
        if not kill(rehearsal, at, after, lambda killer, on=rehearsal: on.deploy(2, killer)):
            break
        killed += 1
        live = carried_through(rehearsal)
        assert live.startswith("r2-"), f"killed at touch {at}"
        rehearsal.is_settled(live)
    assert 5 < killed < TOUCHES


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_whoever_finds_a_killed_canary_may_promote_it(after: bool) -> None:
    for at in range(TOUCHES):
        rehearsal = started(CANARY)
        if not kill(rehearsal, at, after, lambda killer, on=rehearsal: on.deploy(2, killer)):
            break
        if rehearsal.history.underway is not None:
            rehearsal.is_settled(rehearsal.promote().history.live)
            assert rehearsal.history.live.startswith("r2-")


def test_a_comparison_that_nobody_saw_is_made_again_by_whoever_promotes() -> None:
    begun = 0
    for at in range(TOUCHES):
        rehearsal = started(Strategy("rolling", gates=("prediction_change < 10%",)))
        first, bad = rehearsal.history.live, r"prediction_change is 20 %"
        with pytest.raises((Killed, MlshipError)) as ended:
            rehearsal.deploy(2, Killer(at, after=True))
        if not isinstance(ended.value, Killed):
            break
        rehearsal.sleep(31)
        if rehearsal.history.underway is not None:
            begun += 1
            with pytest.raises(MlshipError, match=bad):
                rehearsal.promote()
            rehearsal.is_settled(first)
    assert begun


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_whoever_finds_a_killed_canary_may_abort_it_and_that_may_be_killed_too(after: bool) -> None:
    for at in range(TOUCHES):
        rehearsal = started(CANARY)
        first = rehearsal.history.live
        if not kill(rehearsal, at, after, lambda killer, on=rehearsal: on.deploy(2, killer)):
            break
        if rehearsal.history.underway is None:
            continue
        kill(rehearsal, at % 8, after, lambda killer, on=rehearsal: on.abort("no", killer))
        rehearsal.sleep(31)
        if rehearsal.history.underway is not None:
            rehearsal.abort("no")
        rehearsal.is_settled(first)
        assert list(rehearsal.history.rejected.values()) == ["no"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_failing_canary_that_is_killed_anywhere_is_taken_back_in_the_end(after: bool) -> None:
    """Also by a deploy that found other callers, who would have let it pass."""
    for at in range(TOUCHES):
        rehearsal = started(CANARY)
        first = rehearsal.history.live
        rehearsal.callers.latency_s = {2: 0.09}
        if not kill(rehearsal, at, after, lambda killer, on=rehearsal: on.deploy(2, killer)):
            break
        if rehearsal.history.underway is not None and rehearsal.history.underway.failed:
            rehearsal.callers.latency_s = {}
        if not rehearsal.history.rejected:
            with pytest.raises(MlshipError) as failed:
                rehearsal.deploy(2)
            assert failed.value.exit is Exit.VERIFY_FAILED
        assert rehearsal.history.live == first
        assert list(rehearsal.history.rejected.values()) == ["p95_ms is 97.5 ms, wanted < 40"]


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.world) for seed in range(8, 40))])
def test_any_commands_killed_anywhere_in_any_order_end_well(seed: int) -> None:
    """Callers are answered at every instant; the last command, which nobody kills, leaves one release and no remains."""
    chance = random.Random(seed)
    rehearsal = started(chance.choice(list(STRATEGIES.values())))
    first = rehearsal.history.live
    commands: list[Callable[[Killer], object]] = [
        lambda killer: rehearsal.deploy(2, killer),
        lambda killer: rehearsal.deploy(2, killer),
        lambda killer: rehearsal.deploy(3, killer),
        lambda killer: rehearsal.promote(killer),
        lambda killer: rehearsal.promote(killer, full=True),
        lambda killer: rehearsal.abort("no", killer),
    ]
    for _ in range(12):
        rehearsal.callers.latency_s = {2: chance.choice([0.015, 0.09]), 3: 0.015}
        rehearsal.callers.rps = chance.choice([1.0, 100.0])
        kill(rehearsal, chance.randrange(20), chance.random() < 0.5, chance.choice(commands))
        rehearsal.is_well()
    if rehearsal.history.underway is not None:
        rehearsal.abort("enough")
    rehearsal.callers.rps, rehearsal.strategy = 100.0, Strategy("rolling")
    done = rehearsal.deploy(4)
    rehearsal.is_settled(done.history.live)
    assert first in {entry.release for entry in done.history.entries}
    assert [entry.generation for entry in done.history.entries] == list(range(1, done.history.generation + 1))
