"""drift: three values, the words, the exit codes, and what is said where there is nothing to compare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlship.cli import payloads
from mlship.cli.views.drift import page_text, report_text
from mlship.errors import Exit, MlshipError
from mlship.flows import deploy, drift, drift_page, plan
from mlship.flows.context import Context, Where
from mlship.flows.drift_page import Column, Page, write_page
from mlship.home import Home
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.oci.layout import Layout
from mlship.progress import Silent
from mlship.runner import LocalRunner
from mlship.targets import fake
from mlship.targets.base import Measures, Spread, Spreads

HERE = Where()
TENTHS = ("under", *map(str, range(1, 11)), "over", "null")


@pytest.fixture(autouse=True)
def empty_world() -> Iterator[None]:
    yield
    fake.WORLD.services.clear()
    fake.WORLD.measures.clear()
    fake.WORLD.faults.clear()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "mlship.yaml").write_text("name: churn\nmodel: model.joblib\ntarget: fake\n")
    (tmp_path / "model.joblib").write_bytes(b"not read here")
    return Context(Home(tmp_path / "home"), LocalRunner(), Silent(), {}, tmp_path, lambda: 1_760_000_000.0, "anna@test pid 1")


def live(context: Context) -> str:
    """A release in the target in memory; its id."""
    image = Layout(context.home.images).write_image([], {"Labels": {"mlship.project": "churn"}}, "linux/amd64")
    model = RecordedModel("churn", "sklearn", "Pipeline", "model.joblib", 13, "ab" * 32)
    BuildRecords(context.home.images).write(
        BuildRecord("inputs", image.content, "churn", "linux/amd64", 0.0, "0.1.0", (model,))
    )
    return deploy.deploy(context, plan.prepare(context, HERE, image=image.content)).release.id


def spread(live: tuple[float, ...], reference: tuple[float, ...] = (0, *[100] * 10, 0, 0)) -> Spread:
    return Spread(dict(zip(TENTHS, reference, strict=True)), dict(zip(TENTHS, live, strict=True)))


EVEN = spread((0, *[60] * 10, 0, 0))
LEANING = spread((0, *[75] * 5, *[45] * 5, 0, 0))
GONE = spread((0, *[0] * 9, 30, 510, 60))
TWO: Spreads = {("churn", "feature", "age"): GONE, ("churn", "feature", "plan"): LEANING, ("churn", "prediction", ""): EVEN}


def test_each_feature_has_its_index_and_its_word() -> None:
    [model], measured = drift.compared(TWO, 0.25)
    assert model == drift.Compared("churn", 1000, 600, 0, "fail")
    assert [(one.of, one.feature, one.word) for one in measured] == [
        ("feature", "age", "drifted"), ("feature", "plan", "stable"), ("prediction", "", "stable")
    ]  # fmt: skip
    assert measured[0].nulls == (0.0, 0.1) and measured[0].beyond == 0.85 and measured[2].psi == 0.0
    assert measured[1].psi == pytest.approx(0.0632, abs=1e-3)  # 5 x (0.025 ln 1.25 - 0.025 ln 0.75)
    assert drift.compared({("churn", "feature", "plan"): LEANING}, 0.05)[0][0].verdict == "fail"


def test_too_few_rows_say_nothing_and_tell_how_many_are_missing() -> None:
    few = spread((0, *[30.72] * 10, 0, 0))
    [model], [one] = drift.compared({("churn", "feature", "age"): few}, 0.25)
    assert (model.rows, model.missing, model.verdict) == (307, 193, "inconclusive")
    assert (one.psi, one.word) == (None, "")
    report = drift.Report("churn", "", "docker", "r1-abcdef", 0.25, (model,), (one,))
    assert "not enough rows yet: 307 of 500, 193 are missing" in report_text(report)
    assert (report.verdict, report.exit) == ("inconclusive", Exit.OK)
    assert drift.Report("churn", "", "docker", "r1-abcdef", 0.25, (model,), (one,), strict=True).exit is Exit.DRIFTED


def test_the_live_release_is_judged_and_another_one_is_not(context: Context) -> None:
    release = live(context)
    fake.WORLD.measures = {release: Measures(spreads=TWO), "r0-000000": Measures(spreads={})}
    report = drift.drift(context, HERE, None)
    assert (report.release, report.threshold, report.exit) == (release, 0.25, Exit.DRIFTED)
    assert drift.drift(context, Where(name="churn", target="fake"), 99.0).exit is Exit.OK
    told = payloads.drifted(report)
    assert told["verdict"] == "fail" and told["measured"][0]["nulls"] == {"reference": 0.0, "live": 0.1}
    assert report_text(report) == (
        f"churn  fake  {release}  PSI against model.reference\n"
        "  600 rows of late, 1,000 of reference\n"
        f"    age          {report.measured[0].psi:.3f}  drifted  null 0 % -> 10 %, 85 % beyond the reference\n"
        "    plan         0.063  stable\n"
        "    predictions  0.000  stable\n"
        "DRIFTED  age: PSI 0.25 or more\n"
        "Next: mlship drift --data rows.csv --html drift.html   # rows of your own beside the reference, in pictures"
    )
    (context.cwd / "mlship.yaml").write_text(
        "name: churn\nmodel: model.joblib\ntarget: fake\nmonitoring: {alerts: {drift: 0.05}}\n"
    )
    assert [one.word for one in drift.drift(context, HERE, None).measured] == ["drifted", "drifted", "stable"]


def test_what_there_is_nothing_to_compare_with_is_said(context: Context) -> None:
    with pytest.raises(MlshipError, match="churn is not deployed to fake"):
        drift.drift(context, HERE, None)
    live(context)
    with pytest.raises(MlshipError, match=r"has nothing that live rows .* built without model\.reference") as caught:
        drift.drift(context, HERE, None)
    assert (caught.value.exit, caught.value.code, caught.value.where) == (Exit.USAGE, "no-reference", "mlship.yaml:2:1 model")
    fake.WORLD.services["churn", ""].copies.clear()
    with pytest.raises(MlshipError, match=r"no copy of r1-.* answers") as caught:
        drift.drift(context, HERE, None)
    assert caught.value.exit is Exit.UNREACHABLE


def test_many_stable_features_are_one_line() -> None:
    spreads = {("churn", "feature", f"x{at}"): EVEN for at in range(30)} | {("churn", "feature", "plan"): LEANING}
    models, measured = drift.compared(spreads, 0.25)
    text = report_text(drift.Report("churn", "prod", "docker", "r1-abcdef", 0.25, models, measured))
    assert "    26 others  <= 0.000  stable\nstable\nNext: mlship status churn --target docker --env prod" in text
    models, measured = drift.compared({("churn", "feature", "plan"): spread((0, *[85] * 5, *[35] * 5, 0, 0))}, 0.25)
    assert "moving  plan: PSI 0.1 or more" in report_text(
        drift.Report("churn", "", "local", "r1-abcdef", 0.25, models, measured)
    )


def test_a_page_wants_a_reference_and_a_file_of_rows(context: Context) -> None:
    with pytest.raises(MlshipError, match=r"there is no model\.reference to compare with"):
        write_page(context, HERE, "rows.csv", "drift.html", None)
    (context.cwd / "mlship.yaml").write_text("name: churn\nmodel: {uri: model.joblib, reference: train.csv}\ntarget: fake\n")
    (context.cwd / "train.csv").write_text("age\n" + "1\n" * 200)
    for said, what in (("rows.csv", "there is no file"), ("rows.xlsx", "of no form that is known by its name")):
        with pytest.raises(MlshipError, match=what):
            write_page(context, HERE, said, "drift.html", None)


def test_columns_that_cannot_be_compared_are_named() -> None:
    pandas = pytest.importorskip("pandas")
    reference = {"age": [1, 2] * 60, "town": ["a", "b"] * 60, "note": [f"n{at}" for at in range(120)], "gone": [1] * 120}
    given = {"age": [1.5] * 120, "town": ["c"] * 120, "note": ["x"] * 120, "new": [1] * 120}
    kinds, left_out = drift_page._columns(pandas, pandas.DataFrame(given), pandas.DataFrame(reference))
    assert kinds == {"age": "number", "town": "category"}
    assert left_out == {"gone": "only in the reference", "new": "not in the reference", "note": "free text"}
    page = Page("churn", "rows.csv", "train.csv", "d.html", (120, 120), 0.25, (Column("age", 3.2, "drifted"),), left_out)
    assert page.exit is Exit.DRIFTED and payloads.drift_page(page)["verdict"] == "fail"
    assert page_text(page).splitlines()[-2:] == ["DRIFTED  age: PSI 0.25 or more", "Written: d.html"]
