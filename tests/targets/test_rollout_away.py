"""A cloud that goes away in the midst of a rollout: what is on is said, with what to do about it. All in memory."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from away import Away
from rehearsal import CANARY, FACTS, Rehearsal

from mlship.errors import Exit, MlshipError
from mlship.targets.base import Action, Deployment, Outcome, Strategy
from mlship.targets.plan import plan
from mlship.targets.rollout import Paused, RolledOut, Unattended, abort, promote, roll_out

MIRRORED = replace(CANARY, mirror=0.1)


@pytest.fixture
def canary() -> Rehearsal:
    rehearsal = Rehearsal()
    rehearsal.deploy(1)
    return rehearsal


def deploy(rehearsal: Rehearsal, answers: Callable[[str], bool], exit: Exit = Exit.UNREACHABLE) -> RolledOut:
    """The second release, by a command that this happens to."""
    target = Away(rehearsal.open(), answers, exit)
    return roll_out(
        target, plan("deploy", rehearsal.deployment(2, rehearsal.history), target.observe()), FACTS, rehearsal.clock
    )


@pytest.mark.parametrize("exit", [Exit.UNREACHABLE, Exit.DENIED], ids=["away", "denied"])
@pytest.mark.parametrize(("strategy", "kind", "reach"), [
    (CANARY, "weigh", "5 % of the callers"),
    (MIRRORED, "mirror", "0 % of the callers and gets a copy of 10 % of the requests"),
], ids=["canary", "mirror"])  # fmt: skip
def test_a_move_that_cannot_be_recorded_is_said_with_what_to_do(
    canary: Rehearsal, strategy: Any, kind: str, reach: str, exit: Exit
) -> None:
    def answers(name: str) -> bool:
        return name != "commit" or all(action.kind != kind for action in canary.world.done)

    canary.strategy, first = strategy, canary.history.live
    with pytest.raises(Unattended, match=rf"r2-\w+ is left at {reach}: the cloud does not answer; the same command") as left:
        deploy(canary, answers, exit)
    assert left.value.exit is exit and "mlship abort churn takes it back" in left.value.fix
    canary.is_well()
    again = replace(canary, world=deepcopy(canary.world))
    again.abort()
    again.is_settled(first)
    canary.is_settled(canary.deploy(2).history.live)


def test_a_network_that_goes_in_the_midst_of_a_bake_leaves_the_callers_and_says_so(canary: Rehearsal) -> None:
    def answers(name: str) -> bool:
        return 0.25 not in canary.weighed or name in ("apply", "observe", "read", "commit")

    with pytest.raises(Unattended, match=r"is left at 25 % of the callers: the cloud does not answer"):
        deploy(canary, answers)
    assert canary.underway.share == 0.25
    canary.sleep(31)
    canary.is_settled(canary.promote().history.live)


def test_without_steps_a_shift_that_nobody_could_attend_to_is_put_right_by_the_same_command(canary: Rehearsal) -> None:
    canary.strategy = replace(CANARY, name="rolling", steps=(), gates=())

    def answers(name: str) -> bool:
        if any(action.kind == "shift" and action.release.startswith("r2-") for action in canary.world.done):
            canary.now += 31.0  # its lease ends
            return name in ("apply", "ask", "observe", "read")
        return True

    with pytest.raises(Unattended, match=r"is left at 100 % of the callers: .*; the same command again goes on") as left:
        deploy(canary, answers)
    assert "abort" not in left.value.fix, "nothing is recorded that one could abort"
    canary.is_settled(canary.deploy(2).history.live)


class TakesOver:
    """A platform that stages nothing beside what serves."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        done: Outcome = self._inner.apply(action, deployment)
        return replace(done, share=1.0) if action.kind == "stage" else done


def test_what_callers_meet_as_soon_as_it_is_staged_is_said_when_nobody_can_be_asked(canary: Rehearsal) -> None:
    canary.strategy = replace(CANARY, name="rolling", steps=(), gates=())
    target = Away(TakesOver(canary.open()), lambda name: name != "ask")
    wanted = plan("deploy", canary.deployment(2, canary.history), target.observe())
    with pytest.raises(Unattended, match=r"is left at 100 % of the callers: the cloud does not answer; the same command"):
        roll_out(target, wanted, FACTS, canary.clock)


RECREATE = Strategy("recreate")


@pytest.mark.parametrize("exit", [Exit.UNREACHABLE, Exit.DENIED], ids=["away", "denied"])
@pytest.mark.parametrize("silent", ["observe", "ask"])
def test_what_was_stopped_for_a_release_that_nobody_can_ask_is_said_with_both_ways_on(
    canary: Rehearsal, silent: str, exit: Exit
) -> None:
    canary.strategy, first = RECREATE, canary.history.live

    def answers(name: str) -> bool:
        return name != silent or canary.world.done[-1].kind != "stage"

    said = rf"r2-\w+ is left at 0 % of the callers, and {first} is stopped for it: the cloud does not answer"
    with pytest.raises(Unattended, match=said) as left:
        deploy(canary, answers, exit)
    assert left.value.exit is exit
    assert left.value.fix == (
        f"the same command again goes on from there, mlship rollback churn --to {first} brings {first} back"
    )
    other = replace(canary, world=deepcopy(canary.world))
    other.roll_back(other.history.find(first))
    other.is_settled(first)
    canary.is_settled(canary.deploy(2).history.live)


def test_what_waits_for_approval_in_the_place_of_what_was_stopped_is_taken_back_by_abort(canary: Rehearsal) -> None:
    canary.strategy, first = replace(RECREATE, approve="manual"), canary.history.live
    with pytest.raises(Paused, match=rf"is paused at 0 % of the callers, and {first} is stopped for it: it waits for approval"):
        canary.deploy(2)
    target = Away(canary.open(), lambda name: name != "ask")
    with pytest.raises(Unattended, match=rf"is left at 0 % of the callers, and {first} is stopped for it") as left:
        promote(target, FACTS, canary.clock)
    assert left.value.fix == "the same command again goes on from there, mlship abort churn takes it back"
    canary.abort()
    canary.is_settled(first)


def test_a_stage_that_ends_in_the_midst_may_have_stopped_what_served(canary: Rehearsal) -> None:
    canary.strategy, first = RECREATE, canary.history.live

    def answers(name: str) -> bool:
        return name != "apply" or all(action.release == first for action in canary.world.done)

    with pytest.raises(Unattended, match=rf"is left at 0 % of the callers, and {first} may be stopped for it: the cloud"):
        deploy(canary, answers)
    canary.is_settled(canary.deploy(2).history.live)


def test_what_was_stopped_and_runs_again_is_not_said_to_be_stopped(canary: Rehearsal) -> None:
    canary.strategy, first = RECREATE, canary.history.live
    canary.world.faults = {"stage": "answers"}
    with pytest.raises(MlshipError, match=f"{first} serves as before") as failed:
        deploy(canary, lambda name: True)
    assert failed.value.exit is Exit.VERIFY_FAILED
    canary.is_settled(first)


@pytest.mark.parametrize("strategy", [CANARY, MIRRORED], ids=["canary", "mirror"])
def test_figures_that_nobody_tells_pause_it_before_anybody_moves(canary: Rehearsal, strategy: Any) -> None:
    canary.strategy, began = strategy, canary.now
    with pytest.raises(Paused, match="is paused at 0 % of the callers: it cannot be measured: the cloud does not answer"):
        deploy(canary, lambda name: name != "measure")
    assert canary.weighed == [] and not canary.service.mirror
    assert 300 <= canary.now - began < 310, "it was asked for a while"
    canary.is_settled(canary.promote().history.live)


def test_whoever_promotes_without_figures_passes_one_step_at_a_time(canary: Rehearsal) -> None:
    def answers(name: str) -> bool:
        return name != "measure"

    with pytest.raises(Paused, match="is paused at 0 % of the callers: it cannot be measured"):
        deploy(canary, answers)
    for percent in (5, 25):
        with pytest.raises(Paused, match=f"is paused at {percent} % of the callers: it cannot be measured"):
            promote(Away(canary.open(), answers), FACTS, canary.clock)
    canary.is_settled(promote(Away(canary.open(), answers), FACTS, canary.clock).history.live)


def test_figures_that_are_not_told_for_a_moment_are_asked_for_again(canary: Rehearsal) -> None:
    began = canary.now
    done = deploy(canary, lambda name: name != "measure" or canary.now > began + 60)
    canary.is_settled(done.history.live)


def test_where_no_gate_asks_for_figures_they_need_not_be_there(canary: Rehearsal) -> None:
    canary.strategy = replace(CANARY, gates=())
    canary.is_settled(deploy(canary, lambda name: name != "measure").history.live)


def test_what_is_taken_back_and_cannot_be_recorded_is_finished_by_the_next_command(canary: Rehearsal) -> None:
    canary.callers.latency_s, first = {2: 0.09}, canary.history.live

    def answers(name: str) -> bool:
        return name != "commit" or all(action.kind != "restore" for action in canary.world.done)

    with pytest.raises(MlshipError, match=rf"p95_ms is 97\.5 ms.*{first} serves as before") as failed:
        deploy(canary, answers)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert "not recorded: the cloud does not answer" in failed.value.details
    with pytest.raises(MlshipError, match=rf"p95_ms is 97\.5 ms.*{first} serves as before"):
        canary.deploy(2)
    canary.is_settled(first)


def test_an_abort_that_cannot_be_recorded_says_that_it_is_done(canary: Rehearsal) -> None:
    canary.callers.rps, first = 2.0, canary.history.live
    with pytest.raises(Paused):
        canary.deploy(2)

    def answers(name: str) -> bool:
        return name != "commit" or all(action.kind != "restore" for action in canary.world.done)

    with pytest.raises(
        MlshipError, match=rf"is taken back, {first} serves as before, and the records do not say so yet"
    ) as done:
        abort(Away(canary.open(), answers), FACTS, canary.clock, "odd")
    assert done.value.exit is Exit.UNREACHABLE
    canary.abort("odd")
    canary.is_settled(first)


def test_a_lease_that_cannot_be_given_back_is_no_failure(canary: Rehearsal) -> None:
    done = deploy(canary, lambda name: name != "release")
    canary.sleep(31)
    canary.is_settled(done.history.live)


def test_what_was_taken_back_is_said_also_where_nobody_can_be_asked_whether_it_serves(canary: Rehearsal) -> None:
    canary.callers.latency_s, first = {2: 0.09}, canary.history.live

    def answers(name: str) -> bool:
        return name != "ask" or all(action.kind != "restore" for action in canary.world.done)

    with pytest.raises(MlshipError, match=r"p95_ms is 97\.5 ms.*could not be brought back") as failed:
        deploy(canary, answers)
    assert failed.value.exit is Exit.NOT_RESTORED
    assert f"not restored: {first} cannot be asked: the cloud does not answer" in failed.value.details
    with pytest.raises(MlshipError, match=rf"p95_ms is 97\.5 ms.*{first} serves as before"):
        canary.deploy(2)
    canary.is_settled(first)
