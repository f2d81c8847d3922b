"""renew as flows see it: what is refused, what is recorded, and that a failure says what serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_lifecycle_flow import YAML, built

from mlship.errors import Exit, MlshipError
from mlship.flows import deploy, plan, renew
from mlship.flows.context import Context, Where
from mlship.flows.opening import opened
from mlship.flows.results import RenewView
from mlship.home import Home
from mlship.progress import Silent
from mlship.releases.records import LeaseLost
from mlship.runner import LocalRunner
from mlship.targets import fake
from mlship.targets.base import Deployment, FrontFacts, NewFront, Outcome

OLD = FrontFacts("HAProxy 2.6.12-1, OpenSSL 3.0.17-1", "abc", "2026-09-01", "k")
NEW = FrontFacts("HAProxy 2.6.12-2, OpenSSL 3.0.22-1", "def", "2026-11-22", "k")


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    (tmp_path / "mlship.yaml").write_text(YAML)
    (tmp_path / "model.joblib").write_bytes(b"not read here")
    made = Context(Home(tmp_path / "home"), LocalRunner(), Silent(), {}, tmp_path, lambda: 1_760_000_000.0, "anna@laptop pid 1")
    deploy.deploy(made, plan.prepare(made, Where(), image=built(made, 1)))
    yield made
    for kept in (fake.WORLD.services, fake.WORLD.faults, fake.WORLD.measures):
        kept.clear()


def prepared(context: Context, outcome: Outcome, renewals: list[Deployment]) -> renew.Renewal:
    """A target that has a front."""
    place = opened(context, Where())

    def take(new: NewFront, deployment: Deployment) -> Outcome:
        renewals.append(deployment)
        return outcome

    target: Any = place.target
    target.front_anew, target.renew_front = lambda: NewFront("sha256:new", NEW), take
    view = RenewView(place.name, place.environment, place.target_name, "", OLD, NEW)
    return renew.Renewal(view, place, NewFront("sha256:new", NEW), place.target.observe().fingerprint)


def test_a_target_without_a_front_is_told_what_does_it_there(context: Context) -> None:
    with pytest.raises(MlshipError, match=r"has no front: callers reach the model's own server"):
        renew.prepare(context, Where())


def test_a_renewal_is_recorded_and_the_release_stays(context: Context) -> None:
    renewals: list[Deployment] = []
    ready = prepared(context, Outcome(notes=("nobody reached the service for 0.7 s",)), renewals)
    before = ready.opened.target.records.read()
    done = renew.renew(context, ready)
    after = ready.opened.target.records.read()
    assert before is not None and after is not None
    assert done.notes == ("nobody reached the service for 0.7 s",)
    assert [deployment.release.id for deployment in renewals] == [before.live] == [after.live]
    assert (after.entries[-1].action, after.generation) == ("operate", before.generation + 1)
    assert after.entries[-1].why == f"the front was renewed: {OLD.has} -> {NEW.has}"
    assert after.operating == before.operating


def test_where_it_fails_the_former_front_serves_and_nothing_is_recorded(context: Context) -> None:
    ready = prepared(context, Outcome(False, "it ends at once", ("last line",)), [])
    before = ready.opened.target.records.read()
    with pytest.raises(MlshipError, match="the front was not renewed, the former one serves: it ends at once") as failed:
        renew.renew(context, ready)
    assert (failed.value.exit, failed.value.details) == (Exit.VERIFY_FAILED, ("last line",))
    assert ready.opened.target.records.read() == before


def test_nothing_is_done_where_the_packages_are_the_newest_or_the_world_has_changed(context: Context) -> None:
    renewals: list[Deployment] = []
    ready = prepared(context, Outcome(), renewals)
    same = replace(ready, view=replace(ready.view, after=replace(OLD, made="2026-11-22")))
    assert renew.renew(context, same).view.is_empty
    with pytest.raises(LeaseLost):
        renew.renew(context, replace(ready, fingerprint="of another time"))
    assert renewals == []
