"""Before its first callers a release gets copies of requests, whose answers nobody gets. All in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rehearsal import CANARY, Killed, Killer, Rehearsal

from mlship.errors import Exit, MlshipError
from mlship.flows.takeover import takeover
from mlship.targets.base import Action, Strategy
from mlship.targets.durations import expected
from mlship.targets.plan import plan
from mlship.targets.recorded import deployment_to_plain, strategy_to_plain
from mlship.targets.rollout import Paused

MIRRORED = replace(CANARY, mirror=0.1)


@pytest.fixture
def mirrored() -> Rehearsal:
    """A first release serves; what comes next is mirrored, then a canary."""
    rehearsal = Rehearsal(strategy=MIRRORED)
    rehearsal.deploy(1)
    assert rehearsal.service.mirror == {}, "a first release has no requests that could be copied"
    return rehearsal


def test_copies_of_requests_are_judged_before_the_first_caller_moves(mirrored: Rehearsal) -> None:
    began = mirrored.now
    done = mirrored.deploy(2)
    assert mirrored.bakes[0] == "mirror 10 %  bake 0:00 of 5:00  p95 of 0 requests   errors 0/0 < 0.5 %"
    assert "mirror 10 %  bake 5:00  p95 19.5 ms < 40   errors 0/3000 < 0.5 %  pass" in mirrored.bakes
    assert "5 %  bake 5:00  p95 19.5 ms < 40   errors 0/1500 < 0.5 %  pass" in mirrored.bakes, "copies are counted once"
    assert mirrored.now - began == 900
    assert mirrored.weighed == [0.05, 0.25]
    mirrored.is_settled(done.history.live)


def test_a_release_that_answers_copies_badly_never_meets_a_caller(mirrored: Rehearsal) -> None:
    first = mirrored.history.live
    mirrored.callers.error_every = {2: 10}
    with pytest.raises(MlshipError, match=rf"error_rate is 10 %.*{first} serves as before") as failed:
        mirrored.deploy(2)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert mirrored.weighed == [] and len(mirrored.history.rejected) == 1
    mirrored.is_settled(first)


def test_too_few_copies_pause_it_and_a_promotion_passes_the_mirror(mirrored: Rehearsal) -> None:
    mirrored.callers.rps = 2.0
    with pytest.raises(Paused, match="at 0 % of the callers and gets a copy of 10 % of the requests: 60 of the 200 requests"):
        mirrored.deploy(2)
    assert mirrored.service.mirror == {mirrored.underway.release.id: 0.1}, "copies go on while a person is asked"
    mirrored.callers.rps = 100.0
    mirrored.is_settled(mirrored.promote().history.live)
    assert mirrored.weighed == [0.05, 0.25]


def test_a_mirror_that_waits_is_taken_back(mirrored: Rehearsal) -> None:
    mirrored.callers.rps, first = 2.0, mirrored.history.live
    with pytest.raises(Paused):
        mirrored.deploy(2)
    mirrored.abort()
    mirrored.is_settled(first)


def test_a_promotion_past_another_comparison_begins_the_mirror() -> None:
    mirrored = Rehearsal()
    mirrored.deploy(1)
    mirrored.strategy = replace(MIRRORED, gates=("prediction_change < 10%",), on_fail="pause")
    with pytest.raises(Paused, match="prediction_change is 20 %"):
        mirrored.deploy(2)
    mirrored.is_settled(mirrored.promote().history.live)
    assert [action.kind for action in mirrored.world.done if action.kind in ("mirror", "weigh")] == ["mirror", "weigh", "weigh"]


def test_a_mirror_that_was_killed_is_watched_to_its_end_by_the_same_deploy(mirrored: Rehearsal) -> None:
    touched = Killer()
    other = Rehearsal(strategy=MIRRORED)
    other.deploy(1)
    other.deploy(2, touched)
    killed = 0
    for at in range(touched.touched):
        again = Rehearsal(strategy=MIRRORED)
        again.deploy(1)
        with pytest.raises((Killed, MlshipError)):
            again.deploy(2, Killer(at, after=True))
        again.sleep(3600)  # its lease is over; callers go on
        if again.service.mirror and not again.history.live.startswith("r2"):
            killed += 1
        again.is_settled(again.deploy(2).history.live)
    assert killed == 2, "before it is recorded, and after"


@pytest.mark.parametrize(("kind", "watched_s"), [("mirror", 900), ("weigh", 600)])
def test_what_was_killed_is_watched_to_its_end_by_a_promotion_too(mirrored: Rehearsal, kind: str, watched_s: int) -> None:
    """Nobody has seen how it did, and so nobody can mean to pass it."""

    class AtWork(Killer):
        def touch(self, act: Any) -> Any:
            done = super().touch(act)
            if mirrored.world.done[-1].kind == kind and mirrored.entries[-1] == "step":
                self.dead = True
                raise Killed
            return done

    with pytest.raises(Killed):
        mirrored.deploy(2, AtWork())
    assert not mirrored.underway.paused
    began, mirrored.now = mirrored.now, mirrored.now + 31
    mirrored.is_settled(mirrored.promote().history.live)
    assert mirrored.now - began >= watched_s
    assert mirrored.weighed[-2:] == [0.05, 0.25]


def test_without_a_strategy_copies_are_all_that_is_watched() -> None:
    plain = Rehearsal()
    plain.deploy(1)
    plain.strategy = Strategy(mirror=0.5, bake_s=60.0, gates=("error_rate < 1%",))
    done = plain.deploy(2)
    assert plain.entries[1:] == ["begin", "step", "step", "deploy"] and plain.weighed == []
    plain.is_settled(done.history.live)


def test_the_plan_says_how_long_it_is_watched_and_what_is_copied(mirrored: Rehearsal) -> None:
    wanted = replace(mirrored.deployment(2, mirrored.history), target="azure", service="azureml")
    decided = plan("deploy", wanted, mirrored.open().observe())
    release = wanted.release.id
    assert Action("mirror", release, mirrored.history.live, share=0.1) in decided.actions
    assert expected(wanted, decided.actions, is_first=False) == "usually 6 to 15 min, and 15 min of watching"
    assert "mirror: a copy of 10 % of the requests for 5m before the first callers move" in takeover(wanted, replaces=True)


def test_records_say_a_mirror_only_where_there_is_one() -> None:
    """An upgrade of mlship changes nothing that is live: what an earlier one wrote is the same."""
    assert "mirror" not in strategy_to_plain(CANARY)
    assert strategy_to_plain(MIRRORED)["mirror"] == 0.1
    rehearsal = Rehearsal()
    assert "mirror" not in deployment_to_plain(rehearsal.deployment(1, None))["strategy"]
