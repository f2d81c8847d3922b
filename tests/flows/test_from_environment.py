"""deploy --from: what is live in another environment goes here, too, and nothing that cannot be vouched for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_project import YAML, built, empty_world, made_context

from mlship.errors import Exit, MlshipError
from mlship.flows import deploy, plan, rollback
from mlship.flows.context import Context, Where
from mlship.flows.decided import Decided, Wishes, decide, refuse_misplaced
from mlship.flows.from_environment import Origin, prove_same, remembered
from mlship.flows.opening import opened
from mlship.image.record import BuildRecords
from mlship.oci.layout import Layout
from mlship.releases.history import History, Underway
from mlship.targets import fake

STAGING, PROD = Where(environment="staging", git=""), Where(environment="prod", git="")
BOTH = "environments:\n  staging: {env: {LOG_LEVEL: debug}}\n  prod: {resources: {memory: 1GiB}}\n"


@pytest.fixture(autouse=True)
def world() -> Iterator[None]:
    """Nothing is deployed, before and after."""
    with empty_world():
        yield


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return made_context(tmp_path, YAML + BOTH)


def staged(context: Context, version: int = 1) -> str:
    """What is live in staging from now on, by its id."""
    return deploy.deploy(context, plan.prepare(context, STAGING, image=built(context, version))).release.id


def promoted(context: Context) -> Decided:
    return decide(context, PROD, Wishes(source="staging"))


def refused(context: Context) -> MlshipError:
    with pytest.raises(MlshipError) as raised:
        promoted(context)
    return raised.value


def test_the_same_image_and_models_go_and_everything_else_is_the_destinations_own(context: Context) -> None:
    live = staged(context, 7)
    decided = promoted(context)
    assert decided.origin is not None
    done = deploy.deploy(context, decided.prepared[0])
    there, here = (fake.WORLD.services[("churn", name)].copies[0].release.served for name in ("staging", "prod"))
    assert (there.content, there.models, there.serving) == (here.content, here.models, here.serving)
    assert (there.env, here.env) == ({"LOG_LEVEL": "debug"}, {"LOG_LEVEL": "info"})
    assert here.resources["memory"] == 2**30 != there.resources["memory"]
    assert decided.origin.release == live and done.release.content == decided.origin.content
    assert decided.origin.models == {"churn": f"{7:064x}"}


def test_a_newer_build_on_this_machine_is_not_what_goes(context: Context) -> None:
    staged(context, 1)
    content = built(context, 2)
    assert promoted(context).prepared[0].plan.deployment.release.served.content != content


def test_where_nothing_is_live_there_is_nothing_to_take(context: Context) -> None:
    error = refused(context)
    assert (error.exit, error.code, error.fix) == (Exit.USAGE, "nothing-live", "mlship deploy --env staging comes first")


def recorded(context: Context, change: Callable[[History], History]) -> None:
    """Changes the records of staging."""
    records = opened(context, STAGING).target.records
    history = records.read()
    assert history is not None
    lease = records.acquire("anna", context.clock(), 60)
    records.commit(replace(change(history), generation=history.generation + 1), history.generation)
    records.release(lease)


def test_a_canary_that_waits_is_named_with_its_share_and_the_commands_that_end_it(context: Context) -> None:
    live = staged(context, 1)
    canary = plan.prepare(context, STAGING, image=built(context, 2)).plan.deployment.release
    recorded(
        context, lambda history: replace(history, underway=Underway(canary, live, "deploy", 0, 0.25, 0.0, paused="approve"))
    )
    error = refused(context)
    assert (error.exit, error.code) == (Exit.PAUSED, "canary")
    assert f"{canary.id} is still under way in staging, at 25 % of its callers" in error.what
    assert "mlship promote churn --target fake --env staging" in error.fix and "abort" in error.fix


def test_what_was_rejected_there_does_not_go_on(context: Context) -> None:
    live = staged(context, 1)
    recorded(context, lambda history: replace(history, rejected={live: "wrong units"}))
    error = refused(context)
    assert error.code == "rejected-release" and f"{live} of staging was rejected (wrong units)" in error.what


def test_after_a_rollback_what_serves_again_goes(context: Context) -> None:
    first = staged(context, 1)
    staged(context, 2)
    rollback.rollback(context, rollback.prepare(context, STAGING))
    decided = promoted(context)
    assert decided.origin is not None and decided.origin.release == first


def test_records_alone_vouch_for_nothing(context: Context) -> None:
    live = staged(context, 1)
    fake.WORLD.services[("churn", "staging")].copies.clear()
    fake.WORLD.services[("churn", "staging")].shares.clear()
    error = refused(context)
    assert (error.exit, error.code) == (Exit.VERIFY_FAILED, "not-serving")
    assert f"{live} is recorded as live in staging, and nothing answers there" in error.what


def test_an_image_that_is_nowhere_is_refused_with_both_ways_to_bring_it(context: Context) -> None:
    staged(context, 1)
    Layout(context.home.images).keep_listed(lambda entry: False)
    error = refused(context)
    assert error.code == "image-not-here" and "mlship cache import" in error.fix and "--registry HOST/NAME" in error.fix


def test_a_machine_that_did_not_build_it_learns_from_the_release_what_proves_it(context: Context) -> None:
    staged(context, 3)
    content = built(context, 3)
    records = BuildRecords(context.home.images)
    before = records.of_content(content)
    (context.home.images / "records" / f"{content.removeprefix('sha256:')}.json").unlink()
    done = deploy.deploy(context, promoted(context).prepared[0])
    assert done.verified is not None and done.verified.predictions == 2
    after = records.of_content(content)
    assert before is not None and after is not None
    facts = [
        [(one.name, one.sha256, one.sample, one.answers, one.tolerance) for one in some.models] for some in (before, after)
    ]
    assert facts[0] == facts[1] and after.serving == before.serving


def test_an_image_of_the_same_build_for_another_processor_is_not_the_same(context: Context) -> None:
    staged(context, 1)
    decided = promoted(context)
    assert decided.origin is not None
    prove_same(decided.origin, decided.prepared)
    for other in (replace(decided.origin, content="sha256:0"), replace(decided.origin, models={"churn": "0"})):
        with pytest.raises(MlshipError, match=r"would get the image .* and staging serves"):
            prove_same(other, decided.prepared)


def test_an_environment_cannot_come_from_itself_or_from_nowhere(context: Context) -> None:
    with pytest.raises(MlshipError, match="staging is where it would go"):
        decide(context, STAGING, Wishes(source="staging"))
    with pytest.raises(MlshipError, match="there is no environment stagin"):
        decide(context, PROD, Wishes(source="stagin"))


def test_a_release_without_a_proof_is_remembered_without_one(context: Context) -> None:
    ready = plan.prepare(context, STAGING, image=built(context, 1)).plan.deployment.release
    assert remembered("churn", replace(ready, proofs={}), "linux/amd64").models[0].answers is None
    assert Origin("staging", "fake", ready.id, ready.served.content, {}).fetched == ""


@pytest.mark.parametrize(
    ("sources", "others", "words"),
    [
        ({"--plan": "a", "--from": "staging"}, {}, "--plan and --from both say what to deploy"),
        ({"--plan": "a"}, {"--again": "yes"}, "--again says nothing beside --plan"),
        ({"--archive": "a"}, {"--python": ".venv"}, "--python says nothing beside --archive"),
        ({"--from": "staging"}, {"--python": ".venv"}, "--python says nothing beside --from"),
        ({}, {"--registry": "localhost:5000/churn"}, "--registry says nothing without --from"),
    ],
)
def test_options_that_contradict_each_other_are_refused(sources: dict[str, str], others: dict[str, str], words: str) -> None:
    with pytest.raises(MlshipError, match=words):
        refuse_misplaced(sources, others)
    refuse_misplaced({"--image": "a", "--from": ""}, {"--registry": "", "--python": ".venv", "--again": "yes"})
