"""A canary walks by its steps, waits where nobody can judge, and goes back where it is worse. All in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from cloud_deployment import deployment
from rehearsal import CANARY, Rehearsal

from mlship.errors import Exit, MlshipError
from mlship.targets import fake
from mlship.targets.base import Measures, Strategy
from mlship.targets.plan import plan
from mlship.targets.rollout import Facts, Paused, roll_out
from mlship.targets.undo import what_is_left


@pytest.fixture
def canary() -> Rehearsal:
    """A first release serves; what comes next is a canary."""
    rehearsal = Rehearsal()
    rehearsal.deploy(1)
    return rehearsal


def with_strategy(**changes: Any) -> Rehearsal:
    rehearsal = Rehearsal()
    rehearsal.deploy(1)
    rehearsal.strategy = replace(CANARY, **changes)
    return rehearsal


def test_a_first_release_has_nothing_to_share_callers_with(canary: Rehearsal) -> None:
    assert canary.entries == ["deploy"]
    assert canary.weighed == []


def test_a_good_canary_walks_all_steps_and_is_committed(canary: Rehearsal) -> None:
    began = canary.now
    done = canary.deploy(2)
    assert canary.weighed == [0.05, 0.25]
    assert canary.now - began == 600
    assert canary.entries == ["deploy", "begin", "step", "step", "step", "deploy"]
    assert done.verification is not None and done.verification.predictions == 10
    canary.is_settled(done.history.live)


def test_each_step_says_what_was_measured(canary: Rehearsal) -> None:
    done = canary.deploy(2)
    assert canary.bakes[0] == "5 %  bake 0:00 of 5:00  p95 of 0 requests   errors 0/0 < 0.5 %"
    assert "5 %  bake 5:00  p95 19.5 ms < 40   errors 0/1500 < 0.5 %  pass" in canary.bakes
    assert canary.bakes[-1] == "25 %  bake 5:00  p95 19.5 ms < 40   errors 0/7500 < 0.5 %  pass"
    assert done.notes == tuple(line for line in canary.bakes if line.endswith("pass"))


def test_what_a_cloud_denies_says_nothing_about_the_release_and_ends_with_its_own_code(canary: Rehearsal) -> None:
    first = canary.history.live
    canary.world.faults = {"stage": "denies"}
    with pytest.raises(MlshipError, match=f"is not live: stage was denied; {first} serves as before") as failed:
        canary.deploy(2)
    assert (failed.value.exit, failed.value.code) == (Exit.DENIED, "denied")
    assert not canary.history.rejected


def test_a_slow_canary_is_taken_back_as_soon_as_it_is_known(canary: Rehearsal) -> None:
    first = canary.history.live
    canary.callers.latency_s = {2: 0.09}
    began = canary.now
    with pytest.raises(MlshipError) as failed:
        canary.deploy(2)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert "is not live: p95_ms is 97.5 ms, wanted < 40" in failed.value.what
    assert f"{first} serves as before" in failed.value.what
    assert failed.value.details == ("p95 97.5 ms < 40", "errors 0/300 < 0.5 %", "ready", "ready"), (
        "and what the copies said last"
    )
    assert canary.now - began == 60
    assert canary.entries == ["deploy", "begin", "step", "pause", "abort"]
    assert list(canary.history.rejected.values()) == ["p95_ms is 97.5 ms, wanted < 40"]
    canary.is_settled(first)


def test_many_errors_of_few_requests_are_enough(canary: Rehearsal) -> None:
    """Two errors are more than 0.5 % of the 200 requests that it takes to judge, however good the rest will be."""
    canary.callers.rps, canary.callers.error_every = 2.0, {2: 1}
    with pytest.raises(MlshipError, match=r"error_rate is 100 % \(3 of 3\), wanted < 0\.5 %") as failed:
        canary.deploy(2)
    assert failed.value.exit is Exit.VERIFY_FAILED


def test_too_few_requests_pause_and_the_callers_stay(canary: Rehearsal) -> None:
    canary.callers.rps = 2.0
    first = canary.history.live
    with pytest.raises(Paused) as paused:
        canary.deploy(2)
    assert paused.value.exit is Exit.PAUSED
    assert paused.value.code == "paused"
    assert "is paused at 5 % of the callers: 30 of the 200 requests that it takes to judge" in paused.value.what
    assert "mlship promote churn goes on, mlship abort churn takes it back" in str(paused.value)
    assert canary.service.shares == {first: 0.95, canary.underway.release.id: 0.05}
    assert canary.underway.paused.startswith("30 of the 200 requests")
    assert canary.history.live == first
    assert canary.service.lease is None


def test_a_deploy_of_what_is_paused_judges_again_all_that_was_counted_since(canary: Rehearsal) -> None:
    canary.callers.rps = 2.0
    with pytest.raises(Paused):
        canary.deploy(2)
    canary.callers.rps = 100.0
    canary.sleep(3600)
    done = canary.deploy(2)
    assert any(line.startswith("5 %  bake 5:00  p95 19.5 ms < 40   errors 0/18030") for line in canary.bakes)
    assert canary.weighed == [0.05, 0.05, 0.25]
    canary.is_settled(done.history.live)


def test_promote_passes_the_step_that_it_waits_at_and_only_that(canary: Rehearsal) -> None:
    canary.callers.rps = 2.0
    with pytest.raises(Paused, match="paused at 5 %"):
        canary.deploy(2)
    with pytest.raises(Paused, match=r"paused at 25 % of the callers: 150 of the 200"):
        canary.promote()
    done = canary.promote()
    assert done.history.live_release is not None and done.history.live_release.sequence == 2
    assert done.history.entries[-1].by == "ben@other"
    assert done.history.entries[-1].git == "3f2a91c", "as it was begun"
    canary.is_settled(done.history.live)


def test_promote_in_full_goes_straight_to_all_callers(canary: Rehearsal) -> None:
    canary.callers.rps = 2.0
    with pytest.raises(Paused):
        canary.deploy(2)
    began = canary.now
    done = canary.promote(full=True)
    assert canary.weighed == [0.05]
    assert canary.now == began
    canary.is_settled(done.history.live)


def test_abort_brings_back_what_was_live_and_remembers_why(canary: Rehearsal) -> None:
    first = canary.history.live
    canary.callers.rps = 2.0
    with pytest.raises(Paused):
        canary.deploy(2)
    done = canary.abort("the marketing team does not like it")
    assert done.history.entries[-1].action == "abort"
    assert list(done.history.rejected.values()) == ["the marketing team does not like it"]
    canary.is_settled(first)


def test_a_rollback_of_what_is_under_way_is_an_abort(canary: Rehearsal) -> None:
    canary.callers.rps = 2.0
    live = canary.history.live_release
    assert live is not None
    with pytest.raises(Paused):
        canary.deploy(2)
    done = canary.roll_back(live, reason="looks odd")
    assert list(done.history.rejected.values()) == ["looks odd"]
    canary.is_settled(live.id)


def test_another_release_is_refused_while_one_is_under_way(canary: Rehearsal) -> None:
    canary.callers.rps = 2.0
    with pytest.raises(Paused):
        canary.deploy(2)
    done = len(canary.world.done)
    with pytest.raises(MlshipError, match=r"r2-\w+ is under way at 5 % of the callers of churn, beside r1-") as refused:
        canary.deploy(3)
    assert refused.value.exit is Exit.PAUSED
    assert "mlship promote churn" in refused.value.fix and "mlship abort churn" in refused.value.fix
    with pytest.raises(MlshipError, match="is under way"):
        canary.deploy(1)
    assert len(canary.world.done) == done


@pytest.mark.parametrize("act", ["promote", "abort"])
def test_where_nothing_is_under_way_nothing_is_changed(canary: Rehearsal, act: str) -> None:
    done = len(canary.world.done)
    with pytest.raises(MlshipError, match=f"nothing is under way that one could {act}"):
        getattr(canary, act)()
    assert len(canary.world.done) == done


def test_a_gate_that_fails_may_pause_instead() -> None:
    canary = with_strategy(on_fail="pause")
    canary.callers.latency_s = {2: 0.09}
    with pytest.raises(Paused, match=r"p95_ms is 97\.5 ms"):
        canary.deploy(2)
    with pytest.raises(Paused, match=r"p95_ms is 97\.5 ms"):
        canary.deploy(2)
    canary.is_well()
    canary.is_settled(canary.promote(full=True).history.live)


def test_other_predictions_stop_it_before_a_single_caller_meets_them() -> None:
    canary = with_strategy(gates=("prediction_change < 10%",))
    first = canary.history.live
    with pytest.raises(MlshipError, match=r"prediction_change is 20 %, wanted < 10 %") as failed:
        canary.deploy(2)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert canary.weighed == []
    canary.is_settled(first)


def test_predictions_that_moved_little_enough_are_judged_once() -> None:
    canary = with_strategy(gates=("prediction_change < 25%",))
    done = canary.deploy(2)
    assert "compare  prediction_change 20 % < 25 %  pass" in canary.said
    assert canary.weighed == [0.05, 0.25]
    canary.is_settled(done.history.live)


def test_without_a_sample_predictions_are_not_compared_but_asked_about() -> None:
    canary = with_strategy(gates=("prediction_change < 25%",), bake_s=0.0)
    wanted = canary.deployment(2, canary.history)
    with pytest.raises(Paused, match="paused at 0 % of the callers: the sample's predictions of both releases cannot"):
        canary.deploy(2, release=replace(wanted.release, proofs={}))
    canary.is_settled(canary.promote().history.live)


def test_a_rolling_rollout_compares_predictions_too() -> None:
    rolling = with_strategy(name="rolling", steps=(), gates=("prediction_change < 10%",))
    with pytest.raises(MlshipError, match=r"prediction_change is 20 %"):
        rolling.deploy(2)
    assert rolling.history.underway is None


@pytest.mark.parametrize("name", ["", "rolling", "recreate"])
def test_without_steps_gates_and_approval_nothing_is_recorded_before_the_commit(name: Any) -> None:
    plain = Rehearsal(Strategy(name))
    plain.deploy(1)
    done = plain.deploy(2)
    assert plain.entries == ["deploy", "deploy"]
    plain.is_settled(done.history.live)


def test_what_was_stopped_for_a_release_that_fails_runs_again() -> None:
    recreate = Rehearsal(Strategy("recreate"))
    first = recreate.deploy(1).history.live
    recreate.world.faults = {"stage": "answers"}
    with pytest.raises(MlshipError, match=f"{first} serves as before"):
        recreate.deploy(2)
    recreate.is_settled(first)


def test_what_was_stopped_and_cannot_be_started_again_is_named_in_the_command_that_brings_it_back() -> None:
    recreate = Rehearsal(Strategy("recreate"))
    recreate.deploy(1)
    second = recreate.deploy(2).history.live
    recreate.world.faults = {"stage": "answers", "restore": "refuses"}
    with pytest.raises(MlshipError, match="could not be brought back") as failed:
        recreate.deploy(3)
    assert failed.value.fix == f"mlship rollback churn --to {second}", "by itself it would go further back"
    recreate.world.faults = {}
    recreate.roll_back(recreate.history.find(second))
    recreate.is_settled(second)


def test_a_first_release_that_failed_and_cannot_be_taken_away_is_not_told_to_be_rolled_back() -> None:
    first = Rehearsal(Strategy("rolling"))
    first.world.faults = {"stage": "answers", "discard": "refuses"}
    with pytest.raises(
        MlshipError, match=r"is not live: .*; nothing served before, and not all of r1-\w+ could be taken away"
    ) as failed:
        first.deploy(1)
    assert failed.value.exit is Exit.NOT_RESTORED
    assert failed.value.fix == "mend the cause above and run the same command again; mlship destroy churn takes all of it away"


def test_copies_that_failed_and_cannot_be_taken_away_do_not_hide_that_the_old_ones_serve() -> None:
    rolling = Rehearsal(Strategy("rolling"))
    first = rolling.deploy(1).history.live
    rolling.world.faults = {"stage": "answers", "discard": "refuses"}
    with pytest.raises(MlshipError, match=f"is not live: .*; {first} serves as before") as failed:
        rolling.deploy(2)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert "not taken away: discard was refused" in failed.value.details
    rolling.world.faults = {}
    rolling.is_settled(rolling.deploy(3).history.live)


def test_copies_that_failed_and_cannot_be_taken_away_do_not_hide_that_the_old_ones_have_died() -> None:
    rolling = Rehearsal(Strategy("rolling"))
    first = rolling.deploy(1).history.live
    for copy in rolling.service.of(first):
        copy.broken = "crash"
    rolling.world.faults = {"stage": "answers", "discard": "refuses"}
    with pytest.raises(MlshipError, match="could not be brought back") as failed:
        rolling.deploy(2)
    assert failed.value.exit is Exit.NOT_RESTORED
    assert "not taken away: discard was refused" in failed.value.details


def test_blue_green_is_watched_with_the_old_copies_warm() -> None:
    blue = with_strategy(name="blue-green", steps=())
    began = blue.now
    done = blue.deploy(2)
    assert blue.weighed == [1.0]
    assert blue.now - began == 300
    assert blue.bakes[-1] == "100 %  bake 5:00  p95 19.5 ms < 40   errors 0/30000 < 0.5 %  pass"
    blue.is_settled(done.history.live)


def test_a_bad_blue_green_goes_back_to_the_warm_copies() -> None:
    blue = with_strategy(name="blue-green", steps=())
    first = blue.history.live
    blue.callers.error_every = {2: 20}
    with pytest.raises(MlshipError, match="error_rate is 5 %"):
        blue.deploy(2)
    blue.is_settled(first)


def test_a_person_approves_before_all_callers_move() -> None:
    canary = with_strategy(approve="manual")
    with pytest.raises(Paused, match=r"paused at 25 % of the callers: it waits for approval \(rollout.approve: manual\)"):
        canary.deploy(2)
    with pytest.raises(Paused, match="approval"):
        canary.deploy(2)
    assert canary.entries[-1] == "pause" and canary.entries.count("pause") == 1, "nothing new to tell"
    canary.is_settled(canary.promote().history.live)


def test_a_promotion_from_an_earlier_step_does_not_approve_the_last_one() -> None:
    canary = with_strategy(approve="manual")
    canary.callers.rps = 3.0
    with pytest.raises(Paused, match="paused at 5 %"):
        canary.deploy(2)
    with pytest.raises(Paused, match=r"paused at 25 %.*approval"):
        canary.promote()
    canary.is_settled(canary.promote().history.live)


@pytest.mark.parametrize("name", ["", "rolling", "recreate", "blue-green"])
def test_approval_is_asked_for_whatever_the_strategy_and_for_a_first_release_too(name: Any) -> None:
    plain = Rehearsal(Strategy(name, approve="manual"))
    with pytest.raises(Paused, match=r"r1-.* is paused at 0 % of the callers"):
        plain.deploy(1)
    assert plain.service.serving == ""
    plain.is_settled(plain.promote().history.live)


def test_a_first_release_that_nobody_approves_leaves_nothing() -> None:
    plain = Rehearsal(Strategy(approve="manual"))
    with pytest.raises(Paused):
        plain.deploy(1)
    done = plain.abort("no")
    assert done.history.live == ""
    assert done.notes == ("nothing served before, and nothing is left behind",), "of a cloud: what is left, and how it goes"
    assert plain.service.copies == []


def test_every_copy_is_asked_and_the_one_that_is_wrong_is_named(canary: Rehearsal) -> None:
    first = canary.history.live
    canary.world.faults = {"stage.2": "answers"}
    with pytest.raises(MlshipError, match=r"copy-r2-\w+-2: model churn answers otherwise: predictions is missing"):
        canary.deploy(2)
    canary.is_settled(first)


def test_the_number_of_copies_that_were_asked_is_said(canary: Rehearsal) -> None:
    canary.deploy(2)
    assert "verify  staged: release id + 10 predictions ok, each of 2 copies" in canary.said


@pytest.mark.parametrize("kind", ["weigh", "shift"])
def test_a_target_that_refuses_a_move_gets_the_callers_back_and_rejects_nothing(canary: Rehearsal, kind: str) -> None:
    first = canary.history.live
    canary.world.faults = {kind: "refuses"}
    with pytest.raises(MlshipError, match=f"{kind} was refused; {first} serves as before"):
        canary.deploy(2)
    assert canary.history.rejected == {}
    canary.is_settled(first)
    canary.world.faults = {}
    canary.is_settled(canary.deploy(2).history.live)


def test_what_cannot_be_brought_back_stays_under_way_and_the_next_command_tries_again(canary: Rehearsal) -> None:
    first = canary.history.live
    canary.callers.latency_s = {2: 0.09}
    canary.world.faults = {"restore": "refuses"}
    with pytest.raises(MlshipError, match="could not be brought back") as failed:
        canary.deploy(2)
    assert failed.value.exit is Exit.NOT_RESTORED
    assert canary.underway.failed
    canary.world.faults = {}
    with pytest.raises(MlshipError, match=rf"p95_ms is 97\.5 ms.*{first} serves as before"):
        canary.promote()
    canary.is_settled(first)


def test_a_changed_list_of_steps_goes_on_from_the_share_that_was_reached(canary: Rehearsal) -> None:
    canary.callers.rps = 2.0
    with pytest.raises(Paused):
        canary.deploy(2)
    canary.callers.rps = 100.0
    canary.strategy = replace(CANARY, steps=(0.01, 0.1, 0.5, 1.0), bake_s=60.0)
    canary.sleep(60)
    canary.is_settled(canary.deploy(2).history.live)
    assert canary.weighed == [0.05, 0.05, 0.1, 0.5]


def test_counters_that_cannot_be_read_are_no_verdict(canary: Rehearsal) -> None:
    class Unreadable(fake.FakeTarget):
        def measure(self) -> Mapping[str, Measures]:
            raise MlshipError("the engine does not answer")

    canary.callers.rps = 0.0
    with pytest.raises(Paused):
        canary.deploy(2)
    target = Unreadable("churn", "", canary.world)
    decided = plan("deploy", canary.deployment(2, canary.history), target.observe())
    with pytest.raises(Paused, match="it cannot be measured: the engine does not answer"):
        roll_out(target, decided, Facts("anna"), canary.clock)


def test_remains_that_cannot_go_after_the_shift_do_not_take_a_good_release_back() -> None:
    plain = Rehearsal(Strategy("rolling"))
    plain.deploy(1)
    target = plain.open()
    uncommitted = plan("deploy", plain.deployment(2, plain.history), target.observe())
    for action in uncommitted.actions:
        assert target.apply(action, uncommitted.deployment).ok
    plain.world.faults = {"discard": "refuses"}
    done = plain.deploy(3)
    assert done.history.live.startswith("r2-")
    assert done.notes == (f"a copy of {uncommitted.deployment.release.id} is left for the next command: discard was refused",)


def test_blue_green_waits_for_approval_before_its_callers_move_and_not_again_afterwards() -> None:
    blue = with_strategy(name="blue-green", steps=(), approve="manual")
    with pytest.raises(Paused, match="paused at 0 % of the callers: it waits for approval"):
        blue.deploy(2)
    assert blue.weighed == []
    done = blue.promote()
    assert blue.weighed == [1.0]
    blue.is_settled(done.history.live)


def test_blue_green_with_too_few_requests_is_promoted_once() -> None:
    blue = with_strategy(name="blue-green", steps=(), approve="manual")
    blue.callers.rps = 0.1
    with pytest.raises(Paused, match="approval"):
        blue.deploy(2)
    with pytest.raises(Paused, match=r"paused at 100 % of the callers: 30 of the 200 requests that it takes to judge; mlship"):
        blue.promote()
    blue.is_settled(blue.promote().history.live)


def test_what_a_cloud_keeps_of_a_first_release_that_failed_is_said_with_the_command_that_removes_it() -> None:
    cloud = deployment("aws", "ecs", region="eu-west-1")
    assert what_is_left("", cloud) == (
        "nothing served before; what was made for it stays for the next deploy, "
        f"or until mlship destroy {cloud.project} --target aws --region eu-west-1"
    )
    assert what_is_left("", replace(cloud, target="docker")) == "nothing served before, and nothing is left behind"
    assert what_is_left("r1-aaaaaa", cloud) == "r1-aaaaaa serves as before"
