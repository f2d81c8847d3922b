"""The promises that every target keeps; each target's test module gives a `harness` fixture and imports everything from here."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import pytest

from mlship.errors import Exit, MlshipError
from mlship.progress import Silent
from mlship.releases.history import History
from mlship.releases.records import Lease, LeaseHeld, LeaseLost
from mlship.targets.base import Action, Deployment, Outcome, Records, Request, Strategy, Target
from mlship.targets.plan import DeployPlan, plan
from mlship.targets.rollout import Facts, Paused, RolledOut, World, abort, promote, roll_out
from mlship.targets.table import SERVICES
from mlship.targets.verify import said_release, verify


class Harness(Protocol):
    """What a target's tests give: versions of a small service on that target."""

    def open(self) -> Target:
        """A new object, as another command on another machine would have."""

    def deployment(self, version: int, broken: str = "") -> Deployment:
        """A deployment whose release has sequence 0; versions answer differently, and the proof knows how.

        broken: `` | `crash` (ends at start) | `answers` (answers otherwise than its proof) | `lies` (names another release).
        """

    def left(self) -> list[str]:
        """Everything of the project that is on the target now, for people."""


FACTS = Facts(by="anna@test pid 1")
CANARY = Strategy("canary", steps=(0.25, 0.5, 1.0), approve="manual")
PAUSED_TTL_S = 0.05
ticks = itertools.count()


def wanted(harness: Harness, target: Target, version: int, broken: str = "", **changes: Any) -> Deployment:
    deployment = harness.deployment(version, broken)
    history = target.observe().history or History(deployment.project, deployment.environment, deployment.target)
    live = history.live_release
    if live is not None and live.served.digest() == deployment.release.served.digest():
        return replace(deployment, release=live, **changes)
    release = replace(deployment.release, sequence=history.next_sequence)
    return replace(deployment, release=release, **changes)


def deploy(harness: Harness, version: int, broken: str = "", **changes: Any) -> RolledOut:
    target = harness.open()
    return carry_out(target, plan("deploy", wanted(harness, target, version, broken, **changes), target.observe()))


def roll_back(harness: Harness, to: str = "") -> RolledOut:
    target = harness.open()
    observed = target.observe()
    assert observed.history is not None
    release = observed.history.find(to) if to else observed.history.rollback_candidate()
    assert release is not None
    assert release.id in observed.restorable
    deployment = replace(harness.deployment(1), release=release, operating=observed.history.operating)
    return carry_out(target, plan("rollback", deployment, observed))


def carry_out(target: Target, decided: DeployPlan) -> RolledOut:
    return roll_out(target, decided, FACTS, World(time.time, time.sleep, Silent()))


def go_on(harness: Harness, *, full: bool = False) -> RolledOut:
    return promote(harness.open(), FACTS, World(time.time, time.sleep, Silent()), full=full)


def give_up(harness: Harness, reason: str = "not wanted") -> RolledOut:
    return abort(harness.open(), FACTS, World(time.time, time.sleep, Silent()), reason)


def paused_canary(harness: Harness, version: int = 2, strategy: Strategy = CANARY) -> str:
    """A canary that waits for a person; gives its id."""
    with pytest.raises(Paused):
        deploy(harness, version, strategy=strategy)
    history = harness.open().observe().history
    assert history is not None and history.underway is not None
    return history.underway.release.id


def shares_callers(harness: Harness) -> bool:
    """Whether the target can give a release a part of its callers; one that cannot has to say why."""
    target = harness.open()
    feature = target.features[SERVICES[target.name]]["canary"]
    assert feature.support == "native" or feature.reason
    return feature.support == "native"


def live_id(harness: Harness) -> str:
    return said_release(harness.open().ask(Request("GET", "/mlship/release")))


def test_a_project_that_was_never_deployed_has_no_history(harness: Harness) -> None:
    observed = harness.open().observe()
    assert observed.history is None
    assert observed.serving == ""
    assert observed.replicas == ()


def test_the_first_deploy_serves_and_is_recorded(harness: Harness) -> None:
    done = deploy(harness, 1)
    assert done.history.generation == 1
    assert done.history.live == live_id(harness)
    assert done.verification is not None and done.verification.predictions > 0
    observed = harness.open().observe()
    assert observed.history == done.history
    assert observed.serving == done.history.live
    assert done.history.live in observed.restorable
    assert [replica.ready for replica in observed.replicas if not replica.staged] == [True]


def test_the_same_deployment_twice_changes_nothing(harness: Harness) -> None:
    deploy(harness, 1)
    target = harness.open()
    observed = target.observe()
    decided = plan("deploy", wanted(harness, target, 1), observed)
    assert decided.is_empty
    assert target.observe().fingerprint == observed.fingerprint


def test_an_update_serves_the_new_release_and_keeps_the_old_one_restorable(harness: Harness) -> None:
    first = deploy(harness, 1).history.live
    second = deploy(harness, 2).history.live
    assert first != second == live_id(harness)
    observed = harness.open().observe()
    assert {first, second} <= observed.restorable
    assert [replica.release for replica in observed.replicas if replica.ready] == [second]


def test_a_rollback_serves_the_first_release_again_and_rejects_the_second(harness: Harness) -> None:
    first = deploy(harness, 1).history.live
    second = deploy(harness, 2).history.live
    done = roll_back(harness)
    assert done.history.live == first == live_id(harness)
    assert second in done.history.rejected
    assert [entry.action for entry in done.history.entries] == ["deploy", "deploy", "rollback"]


def test_going_back_and_forth_ends_where_it_was_asked_to(harness: Harness) -> None:
    first = deploy(harness, 1).history.live
    second = deploy(harness, 2).history.live
    roll_back(harness)
    assert roll_back(harness, second).history.live == second == live_id(harness)
    assert roll_back(harness, first).history.live == first == live_id(harness)


@pytest.mark.parametrize("broken", ["crash", "answers", "lies"])
def test_a_release_that_does_not_prove_itself_leaves_the_old_one_serving(harness: Harness, broken: str) -> None:
    first = deploy(harness, 1).history.live
    with pytest.raises(MlshipError) as failed:
        deploy(harness, 2, broken)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert f"{first} serves as before" in str(failed.value)
    assert broken == "crash" or failed.value.details[-1] == "ready", "what the copy said last"
    assert live_id(harness) == first
    observed = harness.open().observe()
    assert observed.history is not None and observed.history.live == first
    assert [replica.release for replica in observed.replicas] == [first]
    assert len(observed.history.rejected) == 1


@pytest.mark.parametrize("broken", ["crash", "answers", "lies"])
def test_a_first_deploy_that_fails_leaves_nothing_running(harness: Harness, broken: str) -> None:
    with pytest.raises(MlshipError) as failed:
        deploy(harness, 1, broken)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert "nothing served before" in str(failed.value)
    assert harness.open().observe().replicas == ()
    assert deploy(harness, 2).history.live == live_id(harness)


@pytest.mark.parametrize("upto", ["deliver", "stage", "shift"])
def test_a_command_killed_after_any_step_converges_when_it_is_run_again(harness: Harness, upto: str) -> None:
    first = deploy(harness, 1).history.live
    target = harness.open()
    decided = plan("deploy", wanted(harness, target, 2), target.observe())
    for action in decided.actions:
        assert target.apply(action, decided.deployment).ok
        if action.kind == upto:
            break
    done = deploy(harness, 2)
    assert done.history.live == live_id(harness) != first
    assert done.history.generation == 2
    assert {replica.release for replica in harness.open().observe().replicas} == {done.history.live}


@pytest.mark.parametrize("upto", ["stage", "shift"])
def test_another_version_after_a_killed_command_leaves_no_orphan(harness: Harness, upto: str) -> None:
    deploy(harness, 1)
    target = harness.open()
    decided = plan("deploy", wanted(harness, target, 2), target.observe())
    for action in decided.actions:
        assert target.apply(action, decided.deployment).ok
        if action.kind == upto:
            break
    done = deploy(harness, 3)
    assert done.history.live == live_id(harness)
    assert {replica.release for replica in harness.open().observe().replicas} == {done.history.live}


def test_every_action_can_be_repeated(harness: Harness) -> None:
    target = harness.open()
    decided = plan("deploy", wanted(harness, target, 1), target.observe())
    for action in decided.actions:
        assert target.apply(action, decided.deployment).ok
        assert target.apply(action, decided.deployment).ok
    release = decided.deployment.release
    assert verify(target.ask, release, "live").ok


def test_a_change_of_labels_is_a_new_generation_of_the_same_release(harness: Harness) -> None:
    first = deploy(harness, 1)
    operating: Mapping[str, Any] = {**first.history.operating, "labels": {"team": "growth"}}
    done = deploy(harness, 1, operating=operating)
    assert done.history.live == first.history.live == live_id(harness)
    assert done.history.generation == 2
    assert done.history.operating["labels"] == {"team": "growth"}


def test_a_commit_over_a_newer_generation_is_refused(harness: Harness) -> None:
    history = deploy(harness, 1).history
    records = harness.open().records
    with pytest.raises(LeaseLost):
        records.commit(replace(history, generation=2), expected=0)
    assert harness.open().records.read() == history


def test_the_lease_is_held_by_one_at_a_time_and_named(harness: Harness) -> None:
    first, second = harness.open().records, harness.open().records
    lease = first.acquire("anna@test", time.time(), 30)
    with pytest.raises(LeaseHeld, match="anna@test"):
        second.acquire("ben@test", time.time(), 30)
    first.release(lease)
    second.release(second.acquire("ben@test", time.time(), 30))


def test_a_lease_that_was_lost_cannot_be_renewed(harness: Harness) -> None:
    records = harness.open().records
    lost = records.acquire("anna@test", time.time(), 0.001)
    time.sleep(0.05)
    taken = harness.open().records.acquire("ben@test", time.time(), 30)
    with pytest.raises(LeaseLost):
        records.renew(lost, time.time())
    harness.open().records.release(taken)


class PausedRecords:
    """The records of a command that can be stopped: its lease is short, and while it is stopped nothing is renewed."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.running = threading.Event()
        self.running.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def acquire(self, holder: str, now: float, ttl_s: float) -> Lease:
        return self._records.acquire(holder, now, PAUSED_TTL_S)

    def renew(self, lease: Lease, now: float) -> Lease:
        self.running.wait()
        return self._records.renew(lease, now)


class PausedTarget:
    """A command that is stopped right before one action, after its last look at the lease, for longer than the lease."""

    def __init__(self, target: Target, before: str, meanwhile: Callable[[], object]) -> None:
        self._target, self._before, self._meanwhile = target, before, meanwhile
        self.records = PausedRecords(target.records)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        if action.kind == self._before:
            self.records.running.clear()
            time.sleep(PAUSED_TTL_S * 1.5)
            self._meanwhile()
            self.records.running.set()
        return self._target.apply(action, deployment)


@pytest.mark.parametrize("before", ["stage", "shift", "retire"])
def test_a_command_that_was_overtaken_while_it_was_stopped_changes_nothing(harness: Harness, before: str) -> None:
    deploy(harness, 1)
    overtaken: list[str] = []
    paused = PausedTarget(harness.open(), before, lambda: overtaken.append(deploy(harness, 3).history.live))
    decided = plan("deploy", wanted(harness, paused, 2), paused.observe())
    if before == "retire":  # it was committed already
        assert carry_out(paused, decided).notes
    else:
        with pytest.raises(LeaseLost):
            carry_out(paused, decided)
    observed = harness.open().observe()
    assert observed.history is not None
    assert [observed.history.live] == overtaken == [observed.serving]
    deploy(harness, 4)
    assert [replica.release for replica in harness.open().observe().replicas] == [live_id(harness)]


def test_old_releases_beyond_keep_are_let_go(harness: Harness) -> None:
    ids = [deploy(harness, version, keep=2).history.live for version in (1, 2, 3)]
    observed = harness.open().observe()
    assert observed.history is not None
    assert [release.id for release in observed.history.releases] == ids[1:]
    assert ids[0] not in observed.restorable


def test_a_canary_shares_the_callers_and_is_not_live_until_it_is_promoted(harness: Harness) -> None:
    if not shares_callers(harness):
        return
    first = deploy(harness, 1).history.live
    second = paused_canary(harness)
    observed = harness.open().observe()
    assert observed.history is not None and observed.history.live == first
    assert observed.history.underway is not None and observed.history.underway.share == 0.5
    assert dict(observed.weights) == pytest.approx({first: 0.5, second: 0.5})
    assert {replica.release for replica in observed.replicas if replica.ready and not replica.staged} == {first, second}
    done = go_on(harness)
    assert done.history.live == second == live_id(harness)
    assert done.history.underway is None
    observed = harness.open().observe()
    assert {replica.release for replica in observed.replicas} == {second}
    assert {first, second} <= observed.restorable


def test_an_aborted_canary_leaves_what_was_live_and_a_reason(harness: Harness) -> None:
    if not shares_callers(harness):
        return
    first = deploy(harness, 1).history.live
    second = paused_canary(harness)
    done = give_up(harness, "nobody likes it")
    assert done.history.live == first == live_id(harness)
    assert done.history.rejected == {second: "nobody likes it"}
    observed = harness.open().observe()
    assert {replica.release for replica in observed.replicas} == {first}
    assert {release: share for release, share in observed.weights.items() if share} == {first: 1.0}
    assert deploy(harness, 3).history.live == live_id(harness)


def test_a_canary_that_predicts_otherwise_meets_no_caller(harness: Harness) -> None:
    if not shares_callers(harness):
        return
    first = deploy(harness, 1).history.live
    with pytest.raises(MlshipError, match="prediction_change is 100 %") as failed:
        deploy(harness, 2, strategy=replace(CANARY, gates=("prediction_change < 10%",)))
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert live_id(harness) == first
    observed = harness.open().observe()
    assert {replica.release for replica in observed.replicas} == {first}
    assert observed.history is not None and observed.history.underway is None


def test_a_canary_that_nobody_called_waits_at_its_first_step(harness: Harness) -> None:
    if not shares_callers(harness):
        return
    first = deploy(harness, 1).history.live
    second = paused_canary(harness, strategy=replace(CANARY, approve="auto", min_requests=10_000, gates=("p95_ms < 1000",)))
    observed = harness.open().observe()
    assert observed.history is not None and observed.history.underway is not None
    assert "of the 10000 requests that it takes to judge" in observed.history.underway.paused
    assert dict(observed.weights) == pytest.approx({first: 0.75, second: 0.25})
    assert go_on(harness, full=True).history.live == second == live_id(harness)


def test_a_canary_that_is_left_alone_goes_on_with_the_same_deploy_and_refuses_another(harness: Harness) -> None:
    if not shares_callers(harness):
        return
    deploy(harness, 1)
    second = paused_canary(harness)
    with pytest.raises(MlshipError, match=f"{second} is under way") as refused:
        deploy(harness, 3)
    assert refused.value.exit is Exit.PAUSED
    assert deploy(harness, 2, strategy=replace(CANARY, approve="auto")).history.live == second == live_id(harness)


@pytest.mark.parametrize("kind", ["weigh", "shift"])
def test_a_canary_that_moved_but_was_not_recorded_converges(harness: Harness, kind: str) -> None:
    if not shares_callers(harness):
        return
    deploy(harness, 1)
    target = harness.open()
    decided = plan("deploy", wanted(harness, target, 2, strategy=replace(CANARY, approve="auto")), target.observe())
    for action in decided.actions:
        assert target.apply(action, decided.deployment).ok
        if action.kind == kind:
            break
    done = deploy(harness, 2, strategy=replace(CANARY, approve="auto"))
    assert done.history.live == live_id(harness)
    assert {replica.release for replica in harness.open().observe().replicas} == {done.history.live}


def test_destroy_leaves_nothing(harness: Harness) -> None:
    deploy(harness, 1)
    deploy(harness, 2)
    assert harness.left()
    assert harness.open().apply(Action("destroy"), None).ok
    assert harness.left() == []
    assert harness.open().observe().history is None
    assert harness.open().apply(Action("destroy"), None).ok


def test_render_is_pure_and_has_both_folders(harness: Harness) -> None:
    deployment = harness.deployment(1)
    rendered = harness.open().render(deployment)
    assert rendered == harness.open().render(deployment)
    assert {name.split("/")[0] for name in rendered} == {"apply", "eject"}
