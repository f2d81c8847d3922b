"""A canary as flows see it: it pauses with the commands that go on, is promoted or taken back from anywhere, and shows in status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from away import Away
from test_lifecycle_flow import YAML, built

from mlship.errors import Exit, MlshipError
from mlship.flows import abort, deploy, history, plan, promote, rollback, status
from mlship.flows.context import Context, Where
from mlship.flows.results import Deployed
from mlship.home import Home
from mlship.progress import Silent
from mlship.releases.records import LeaseLost
from mlship.runner import LocalRunner
from mlship.targets import fake
from mlship.targets.base import Measures
from mlship.targets.rollout import Paused, Unattended

CANARY = (
    YAML
    + 'rollout: {strategy: canary, steps: [5%, 50%, 100%], gates: ["error_rate < 1%"], min_requests: 100}\n'
    + "scale: {replicas: 2}\n"
)
SOMEWHERE = Where(name="churn", target="fake")


@pytest.fixture(autouse=True)
def empty_world() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    for kept in (fake.WORLD.services, fake.WORLD.faults, fake.WORLD.measures):
        kept.clear()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "mlship.yaml").write_text(CANARY)
    (tmp_path / "model.joblib").write_bytes(b"not read here")
    return Context(
        home=Home(tmp_path / "home"),
        runner=LocalRunner(),
        progress=Silent(),
        environ={},
        cwd=tmp_path,
        clock=lambda: 1_760_000_000.0,
        who="anna@laptop pid 1",
    )


def elsewhere(context: Context) -> Context:
    """Another machine with an empty disk: no mlship.yaml, no image."""
    away = context.cwd / "away"
    away.mkdir(exist_ok=True)
    return replace(context, cwd=away, home=Home(away / "home"), who="ben@desk pid 2")


def deployed(context: Context, version: int) -> Deployed:
    return deploy.deploy(context, plan.prepare(context, Where(), image=built(context, version)))


def before_the_pause(records: bytes) -> bytes:
    """As a command leaves them that is killed while it watches a step."""
    document = json.loads(records)
    document["underway"]["paused"] = ""
    return json.dumps(document).encode()


def judged(records: bytes) -> bytes:
    """As a command leaves them that is killed while it takes the release back."""
    document = json.loads(records)
    document["underway"] |= {"paused": "", "failed": "error_rate is 5 %, wanted < 1 %"}
    return json.dumps(document).encode()


@pytest.fixture
def paused(context: Context) -> str:
    """The id of a release that waits at 5 %: nobody has called it, so its gate cannot be judged."""
    deployed(context, 1)
    with pytest.raises(Paused):
        deployed(context, 2)
    return "r2"


def test_the_plan_says_how_it_takes_over_and_what_that_costs(context: Context) -> None:
    deployed(context, 1)
    view = plan.prepare(context, Where(), image=built(context, 2)).view
    assert view.takeover == (
        "2 replicas of 2GiB",
        "canary: 5 % -> 50 % -> 100 % of the callers; no request is lost",
        "gates: error_rate < 1 %; a failed one takes it back (exit 6); it pauses below 100 requests (exit 12)",
        "memory: 4GiB more while both releases run",
    )
    assert [step for step in view.steps if "%" in step] == [
        "r2-cec715 starts at 0 % and is asked its release id and the sample",
        "5 % of the callers reach r2-cec715",
        "50 % of the callers reach r2-cec715",
    ]


def test_a_first_release_has_nothing_to_take_over_from(context: Context) -> None:
    assert plan.prepare(context, Where(), image=built(context, 1)).view.takeover == ("2 replicas of 2GiB",)


def test_a_pause_ends_with_the_commands_that_go_on_from_any_machine(context: Context) -> None:
    deployed(context, 1)
    with pytest.raises(MlshipError, match="paused at 5 % of the callers: 0 of the 100 requests") as stopped:
        deployed(context, 2)
    assert stopped.value.exit is Exit.PAUSED
    assert stopped.value.fix == (
        "mlship promote churn --target fake goes on, mlship abort churn --target fake takes it back; from any machine"
    )


def test_status_says_what_waits_and_who_gets_it(context: Context, paused: str) -> None:
    seen = status.status(elsewhere(context), SOMEWHERE)
    assert seen.underway is not None
    assert seen.underway.release.startswith(paused)
    assert (seen.underway.strategy, seen.underway.share, seen.underway.attended_by) == ("canary", 0.05, "")
    assert "0 of the 100 requests" in seen.underway.paused
    assert sorted(seen.weights.values()) == [0.05, 0.95]


def test_promote_goes_on_from_another_machine_to_the_next_step_and_then_to_the_end(context: Context, paused: str) -> None:
    away = elsewhere(context)
    with pytest.raises(Paused, match="paused at 50 %"):
        promote.promote(away, promote.prepare(away, SOMEWHERE))
    done = promote.promote(away, promote.prepare(away, SOMEWHERE))
    assert done.release.id.startswith(paused)
    assert status.status(away, SOMEWHERE).underway is None


def test_what_a_cloud_that_went_away_leaves_on_is_said_with_the_command_that_takes_it_back(
    context: Context, paused: str
) -> None:
    ready = promote.prepare(context, Where())
    unwritten = replace(ready.opened, target=Away(ready.opened.target, lambda name: name != "commit"))
    with pytest.raises(Unattended, match="is left at 50 % of the callers: the cloud does not answer") as left:
        promote.promote(context, replace(ready, opened=unwritten))
    assert left.value.fix == "the same command again goes on from there, mlship abort churn --target fake takes it back"
    assert sorted(status.status(context, Where()).weights.values()) == [0.5, 0.5]


def test_a_cloud_that_goes_away_after_the_commit_makes_no_failure_of_it(context: Context, paused: str) -> None:
    def live() -> str:
        found = status.status(context, Where()).live
        return found.id if found else ""

    def answers(name: str) -> bool:
        return name != "observe" or not live().startswith(paused)

    ready = promote.prepare(context, Where(), full=True)
    away = replace(ready, opened=replace(ready.opened, target=Away(ready.opened.target, answers)))
    done = promote.promote(context, away)
    assert done.release.id == live() and done.verified
    assert done.notes == ("it cannot be looked at again: the cloud does not answer; mlship status churn --target fake",)


def test_of_two_people_who_promote_what_they_saw_one_passes_one_step(context: Context, paused: str) -> None:
    anna, ben = promote.prepare(context, Where()), promote.prepare(context, Where())
    with pytest.raises(Paused, match="paused at 50 %"):
        promote.promote(context, anna)
    with pytest.raises(LeaseLost, match="something changed between the plan and now"):
        promote.promote(context, ben)


def test_promote_full_moves_all_callers_at_once(context: Context, paused: str) -> None:
    ready = promote.prepare(context, Where(), full=True)
    assert ready.view.steps[0].endswith(" is asked its release id and the sample again; callers stay where they are meanwhile")
    assert not [step for step in ready.view.steps if step.startswith("50 %")]
    assert promote.promote(context, ready).release.id.startswith(paused)


def test_abort_takes_it_back_with_the_reason(context: Context, paused: str) -> None:
    away = elsewhere(context)
    taken = abort.abort(away, abort.prepare(away, SOMEWHERE, reason="too many false alarms"))
    assert taken.release.id.startswith(paused)
    assert taken.live is not None and taken.live.id.startswith("r1-")
    told = history.history(away, SOMEWHERE)
    assert [entry.action for entry in told.entries] == ["deploy", "begin", "step", "pause", "pause", "abort"]
    assert told.rejected == {taken.release.id: "too many false alarms"}
    with pytest.raises(MlshipError, match="rejected before"):
        plan.prepare(context, Where(), image=built(context, 2))


def test_abort_without_a_reason_names_who_did_it(context: Context, paused: str) -> None:
    assert abort.prepare(context, Where()).facts.reason == "aborted by anna@laptop"


@pytest.mark.parametrize("again", ["promote", "promote --full", "deploy"])
def test_whoever_goes_on_with_a_release_that_failed_is_shown_that_it_is_taken_back(
    context: Context, paused: str, again: str
) -> None:
    documents = fake.WORLD.services[("churn", "")].documents
    documents.append(judged(documents[-1]))
    if again == "deploy":
        ready, act = plan.prepare(context, Where(), image=built(context, 2)), deploy.deploy
    else:
        ready, act = promote.prepare(context, Where(), full=again.endswith("--full")), promote.promote
    view = ready.view
    assert view.release is not None and view.previous is not None
    first, failed = view.release.id, view.previous.id
    assert failed.startswith(paused)
    assert view.takeover == (
        f"{failed} failed: error_rate is 5 %, wanted < 1 %; it is taken back, and the command ends with exit 6",
    )
    assert view.steps == (f"callers reach {first} as before; the copies of {failed} go",)
    assert (view.create, view.update, view.delete, view.undo) == ((), (), (), "")
    with pytest.raises(MlshipError, match=f"{failed} is not live: error_rate is 5 %.*; {first} serves as before") as ended:
        act(context, ready)
    assert ended.value.exit is Exit.VERIFY_FAILED


def test_a_rollback_takes_back_what_is_under_way(context: Context, paused: str) -> None:
    back = rollback.rollback(context, rollback.prepare(context, Where()))
    assert back.release.id.startswith("r1-")
    assert status.status(context, Where()).underway is None


def test_the_same_deploy_goes_on_where_it_stands(context: Context, paused: str) -> None:
    release = fake.WORLD.services[("churn", "")].serving
    fake.WORLD.measures = {name: Measures(requests=1000.0) for name in fake.WORLD.services[("churn", "")].shares}
    assert release.startswith("r1-")
    again = plan.prepare(context, Where(), image=built(context, 2))
    assert again.plan.deployment.release.id.startswith(paused)


def test_another_deploy_waits_for_the_decision(context: Context, paused: str) -> None:
    with pytest.raises(MlshipError, match="mlship promote churn goes on with it, mlship abort churn takes it back") as refused:
        plan.prepare(context, Where(), image=built(context, 3))
    assert refused.value.exit is Exit.PAUSED


@pytest.mark.parametrize("act", [promote.prepare, abort.prepare])
def test_without_a_rollout_there_is_nothing_to_decide(context: Context, act: object) -> None:
    with pytest.raises(MlshipError, match="churn is not deployed"):
        act(context, Where())  # type: ignore[operator]
    deployed(context, 1)
    with pytest.raises(MlshipError, match=r"nothing is under way that one could (promote|abort)"):
        act(context, Where())  # type: ignore[operator]


def test_status_tells_a_command_that_is_at_work_from_one_that_was_killed(context: Context, paused: str) -> None:
    service = fake.WORLD.services[("churn", "")]
    service.documents.append(before_the_pause(service.documents[-1]))
    killed = status.status(context, Where()).underway
    assert killed is not None and (killed.paused, killed.attended_by) == ("", "")
    ours = fake.FakeTarget("churn", "", fake.WORLD).records
    lease = ours.acquire("ci@runner pid 7", context.clock(), 60.0)
    attended = status.status(context, Where()).underway
    assert attended is not None and attended.attended_by == "ci@runner pid 7"
    ours.release(lease)
