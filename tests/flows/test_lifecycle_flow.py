"""deploy, status, history, verify, predict, rollback and destroy as flows, against the target in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlship.errors import Exit, Finding, FindingsError, MlshipError
from mlship.flows import deploy, destroy, history, listing, logs, plan, predict, recover, render, rollback, status, verify
from mlship.flows.context import Context, Where
from mlship.flows.prepared import Prepared
from mlship.flows.prepared import prepared as decided
from mlship.home import Home
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.oci.layout import Layout
from mlship.progress import Silent
from mlship.runner import LocalRunner
from mlship.targets import fake

YAML = """name: churn
model: model.joblib
target: fake
env: {LOG_LEVEL: info}
labels: {team: growth}
"""


@pytest.fixture(autouse=True)
def empty_world() -> Iterator[None]:
    fake.WORLD.services.clear()
    fake.WORLD.faults.clear()
    yield
    fake.WORLD.services.clear()
    fake.WORLD.faults.clear()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "mlship.yaml").write_text(YAML)
    (tmp_path / "model.joblib").write_bytes(b"not read here")
    return Context(
        home=Home(tmp_path / "home"),
        runner=LocalRunner(),
        progress=Silent(),
        environ={},
        cwd=tmp_path,
        clock=lambda: 1_760_000_000.0,
        who="anna@test pid 1",
    )


def built(context: Context, version: int, rows: int = 2, others: tuple[RecordedModel, ...] = ()) -> str:
    """An image without layers and the record that a build would have left. others: models beside churn."""
    layout = Layout(context.home.images)
    labels = {"mlship.project": "churn", "version": str(version)}
    image = layout.write_image([], {"Labels": labels}, "linux/amd64")
    sample = tuple({"age": row} for row in range(rows))
    model = RecordedModel(
        "churn", "sklearn", "Pipeline", "model.joblib", 13, f"{version:064x}", sample=sample,
        answers={"predictions": [version] * rows}, tolerance={"rtol": 1e-6, "atol": 1e-9},
    )  # fmt: skip
    BuildRecords(context.home.images).write(
        BuildRecord(f"inputs-{version}", image.content, "churn", "linux/amd64", 0.0, "0.1.0", (model, *others))
    )
    return image.content


def prepared(context: Context, version: int, again: bool = False) -> Prepared:
    return plan.prepare(context, Where(), image=built(context, version), again=again)


def test_the_whole_life_of_a_service(context: Context) -> None:
    first = deploy.deploy(context, prepared(context, 1))
    assert first.verified is not None and first.verified.text == "release id + 2 predictions ok"
    assert first.plan.undo == "nothing served before; mlship destroy takes it away"
    assert first.sample_body == {"instances": [{"age": 0}]}

    second = deploy.deploy(context, prepared(context, 2))
    assert second.previous == first.release
    assert second.plan.undo == f"{first.release.id} stays restorable: mlship rollback"

    seen = status.status(context, Where())
    assert (seen.serving, seen.live, seen.previous) == (second.release.id, second.release, first.release)
    assert verify.verify(context, Where()).predictions == 2
    assert predict.predict(context, Where()).answer == {"predictions": [2, 2]}
    assert [row.live for row in listing.list_services(context, "fake").services] == [second.release.id]

    back = rollback.rollback(context, rollback.prepare(context, Where(name="churn", target="fake"), reason="too slow"))
    assert back.release == first.release
    told = history.history(context, Where())
    assert [entry.action for entry in told.entries] == ["deploy", "deploy", "rollback"]
    assert told.rejected == {second.release.id: "too slow"}
    assert told.undo == ""

    gone = destroy.destroy(context, Where())
    assert any("endpoint" in line for line in gone.removed)
    assert fake.WORLD.services == {}
    assert destroy.destroy(context, Where()).removed == ()


def test_a_history_that_is_there_is_not_recovered_and_neither_is_one_of_which_nothing_lies_beside_an_image(
    context: Context,
) -> None:
    with pytest.raises(MlshipError, match="no record of a release of churn lies beside an image on fake"):
        recover.recover(context, Where())
    assert fake.WORLD.services == {}, "not even a lease was taken"
    deploy.deploy(context, prepared(context, 1))
    with pytest.raises(MlshipError, match="the history of churn is there: generation 1") as refused:
        recover.recover(context, Where())
    assert refused.value.fix == "mlship history churn --target fake"


def test_deploying_what_is_live_does_nothing(context: Context) -> None:
    deploy.deploy(context, prepared(context, 1))
    again = prepared(context, 1)
    assert again.view.is_empty
    assert deploy.deploy(context, again).unchanged


def test_a_plan_tells_what_changes_on_the_bill_and_the_history_keeps_its_prices(context: Context) -> None:
    first = prepared(context, 1)
    assert first.view.cost.text.startswith("nothing -> $29.78 a month (prices of 20")  # 730 hours of 0.0408
    deploy.deploy(context, first)
    (context.cwd / "mlship.yaml").write_text(YAML + "scale: {replicas: 3}\n")
    more = prepared(context, 1)
    assert more.view.cost.text.startswith("$29.78 -> $89.35 a month")
    deploy.deploy(context, more)
    kept = [entry.prices for entry in history.history(context, Where()).entries]
    assert [prices["usd_month"] for prices in kept] == [pytest.approx(29.784), pytest.approx(89.352)]
    assert kept[0]["complete"] and kept[0]["as_of"] and kept[0]["lines"][0]["quantity"] == 730


def test_content_that_was_rolled_back_from_needs_again(context: Context) -> None:
    deploy.deploy(context, prepared(context, 1))
    deploy.deploy(context, prepared(context, 2))
    rollback.rollback(context, rollback.prepare(context, Where()))
    with pytest.raises(MlshipError, match=r"rejected before \(r2-.*--again"):
        prepared(context, 2)
    assert deploy.deploy(context, prepared(context, 2, again=True)).release.id.startswith("r3-")


def test_a_release_that_answers_otherwise_is_not_shipped_again_by_ci(context: Context) -> None:
    deploy.deploy(context, prepared(context, 1))
    fake.WORLD.faults["stage"] = "answers"
    with pytest.raises(MlshipError) as failed:
        deploy.deploy(context, prepared(context, 2))
    assert failed.value.exit is Exit.VERIFY_FAILED
    with pytest.raises(MlshipError, match="rejected before"):
        prepared(context, 2)


def test_a_change_of_labels_is_a_generation_and_of_env_a_release(context: Context) -> None:
    first = deploy.deploy(context, prepared(context, 1))
    file = context.cwd / "mlship.yaml"
    file.write_text(YAML.replace("growth", "risk"))
    second = deploy.deploy(context, prepared(context, 1))
    assert (second.release, second.generation) == (first.release, 2)
    assert second.plan.update == ("how the service is operated: the release stays", "labels.team: growth -> risk")
    file.write_text(YAML.replace("info", "debug"))
    assert deploy.deploy(context, prepared(context, 1)).release.id.startswith("r2-")


def test_rollback_keeps_the_present_operation_unless_asked(context: Context) -> None:
    deploy.deploy(context, prepared(context, 1))
    (context.cwd / "mlship.yaml").write_text(YAML.replace("growth", "risk"))
    deploy.deploy(context, prepared(context, 2))
    kept = rollback.prepare(context, Where())
    assert kept.plan.deployment.labels == {"team": "risk"}
    both = rollback.prepare(context, Where(), with_operations=True)
    assert both.plan.deployment.labels == {"team": "growth"}


def test_rollback_without_an_earlier_release_is_refused(context: Context) -> None:
    with pytest.raises(MlshipError, match="churn is not deployed to fake"):
        rollback.prepare(context, Where())
    deploy.deploy(context, prepared(context, 1))
    with pytest.raises(MlshipError, match="no earlier good release to go back to") as raised:
        rollback.prepare(context, Where())
    assert raised.value.fix == "mlship history churn --target fake shows all; --to names one"


def test_rollback_to_a_release_whose_image_is_gone_names_the_others(context: Context) -> None:
    first = deploy.deploy(context, prepared(context, 1))
    second = deploy.deploy(context, prepared(context, 2))
    fake.WORLD.services[("churn", "")].kept.pop(first.release.id)
    with pytest.raises(MlshipError, match=f"cannot be restored.*restorable: {second.release.id}|restorable: none"):
        rollback.prepare(context, Where())


def test_something_uncommitted_that_serves_is_rolled_back_to_what_was_committed(context: Context) -> None:
    first = deploy.deploy(context, prepared(context, 1))
    killed = prepared(context, 2)
    for action in killed.plan.actions:
        killed.opened.target.apply(action, killed.plan.deployment)
    assert status.status(context, Where()).serving.startswith("r2-")
    assert rollback.rollback(context, rollback.prepare(context, Where())).release == first.release


def test_a_broken_yaml_does_not_stand_between_a_person_and_a_named_rollback(context: Context) -> None:
    deploy.deploy(context, prepared(context, 1))
    deploy.deploy(context, prepared(context, 2))
    (context.cwd / "mlship.yaml").write_text("name: [")
    where = Where(name="churn", target="fake")
    assert rollback.rollback(context, rollback.prepare(context, where)).release.id.startswith("r1-")


def test_another_projects_name_is_refused(context: Context) -> None:
    with pytest.raises(MlshipError, match=r"mlship\.yaml is the project churn, not fraud"):
        plan.prepare(context, Where(file=context.cwd / "mlship.yaml", name="fraud"), image="sha256:0")


def test_an_image_of_another_project_is_refused(context: Context) -> None:
    content = built(context, 1)
    (context.cwd / "mlship.yaml").write_text(YAML.replace("churn", "fraud"))
    with pytest.raises(MlshipError, match="is of the project churn, not of fraud"):
        plan.prepare(context, Where(), image=content)


def test_each_of_several_models_is_verified_and_asked_by_name(context: Context) -> None:
    fraud = RecordedModel(
        "bets", "sklearn", "Pipeline", "fraud.joblib", 13, "ab" * 32, sample=([1.0],), answers={"predictions": [0.5]}
    )
    live = deploy.deploy(context, plan.prepare(context, Where(), image=built(context, 1, others=(fraud,))))
    assert live.verified is not None and live.verified.text == "release id + 3 predictions ok"
    assert live.sample_body == {"instances": [{"age": 0}]}, "/predict asks the first model of the file, not the first by name"
    assert predict.predict(context, Where()).answer == {"predictions": [1, 1]}
    assert predict.predict(context, Where(), model="bets").answer == {"predictions": [0.5]}
    with pytest.raises(MlshipError, match="churn has no model bet; it has churn, bets"):
        predict.predict(context, Where(), model="bet")


def test_predict_takes_files_and_says_what_is_wrong_with_them(context: Context, tmp_path: Path) -> None:
    deploy.deploy(context, prepared(context, 1))
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([{"age": 3}]))
    assert predict.predict(context, Where(), data=rows).release.startswith("r1-")
    rows.write_text("{")
    with pytest.raises(MlshipError, match="not JSON"):
        predict.predict(context, Where(), data=rows)
    with pytest.raises(MlshipError, match="cannot be read"):
        predict.predict(context, Where(), data=tmp_path / "nothing.json")


def test_render_writes_only_into_a_folder_of_its_own(context: Context, tmp_path: Path) -> None:
    content = built(context, 1)
    out = tmp_path / "rendered"
    assert render.render(context, Where(), image=content, out=out).files == ("apply/service.json", "eject/service.json")
    assert render.render(context, Where(), image=content, out=out).files
    (out / "notes.txt").write_text("mine")
    with pytest.raises(MlshipError, match=r"holds other things \(notes.txt\)"):
        render.render(context, Where(), image=content, out=out)
    with pytest.raises(MlshipError, match="is not a folder"):
        render.render(context, Where(), image=content, out=out / "notes.txt")


def test_errors_of_preflight_stop_the_deploy(context: Context) -> None:
    ready = prepared(context, 1)
    observed = ready.opened.target.observe()
    with pytest.raises(FindingsError, match="churn cannot go to fake: a problem"):
        decided(ready.opened, ready.plan, observed, (Finding("port 8080 is taken"),), ready.facts)


def test_what_a_target_would_refuse_is_said_before_anything_is_built(context: Context) -> None:
    """The model cannot be read: whoever begins with the build says so."""
    fake.WORLD.faults["preflight"] = "refuses"
    with pytest.raises(FindingsError, match="preflight was refused"):
        plan.prepare(context, Where())
    (context.cwd / "mlship.yaml").write_text(YAML + "cost: {profile: spot}\n")
    with pytest.raises(FindingsError, match=r"cost\.profile means nothing to the service memory"):
        plan.prepare(context, Where())


def test_history_names_what_a_plain_rollback_would_serve(context: Context) -> None:
    first = deploy.deploy(context, prepared(context, 1))
    assert history.history(context, Where()).undo == ""
    deploy.deploy(context, prepared(context, 2))
    assert history.history(context, Where()).undo == first.release.id
    fake.WORLD.services[("churn", "")].kept.pop(first.release.id)
    assert history.history(context, Where()).undo == ""


def test_an_image_that_the_target_has_is_not_said_to_go_there_again(context: Context) -> None:
    first = prepared(context, 1)
    assert first.view.steps[0] == f"the image of {first.plan.deployment.release.id} goes to the target"
    deploy.deploy(context, first)
    deploy.deploy(context, prepared(context, 2))
    back = rollback.prepare(context, Where())
    assert [action.kind for action in back.view.actions] == ["deliver", "stage", "shift"]
    assert not any("goes to the target" in step for step in back.view.steps)


def test_logs_of_nothing_are_an_error(context: Context) -> None:
    with pytest.raises(MlshipError, match="fraud is not deployed to fake"):
        list(logs.logs(context, Where(name="fraud", target="fake")))
    deploy.deploy(context, prepared(context, 1))
    assert [line.text for line in logs.logs(context, Where())] == ["ready"]


def test_destroy_needs_no_records_that_can_be_read(context: Context) -> None:
    built(context, 1)
    deploy.deploy(context, plan.prepare(context, Where(), image="churn"))
    fake.WORLD.services[("churn", "")].documents.append(b"{")
    with pytest.raises(MlshipError, match="take everything away with mlship destroy"):
        status.status(context, Where())
    assert destroy.prepare(context, Where()) == ("everything of churn; its records cannot be read (memory)",)
    assert destroy.destroy(context, Where()).removed
    assert fake.WORLD.services == {}
