"""Compiled models answer as scikit-learn does: trees to the last bit, linear models and pipelines within the tolerance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlship.server import manifest
from mlship.server.compiling.columns import Unfit
from mlship.server.compiling.edge_rows import edge_rows, listed_rows
from mlship.server.compiling.parity import compared
from mlship.server.compiling.plans import Compiled, compiled
from mlship.server.core import ServedModel
from mlship.server.manifest import Feature, Signature, Tolerance
from mlship.server.runtimes import runtime_for
from mlship.server.runtimes.plan_file import plan_bytes
from mlship.server.runtimes.sklearn import SklearnModel

IRIS, SPECIES = load_iris(return_X_y=True)
PATIENTS, PROGRESS = (values[:150] for values in load_diabetes(return_X_y=True))
HOLED = numpy.where(numpy.arange(IRIS.size).reshape(IRIS.shape) % 7 == 0, numpy.nan, IRIS)
SMALL = {"n_estimators": 20, "max_depth": 5, "random_state": 0}  # numpy adds eight and more numbers in pairs
TREES = {
    "a forest of classes": RandomForestClassifier(**SMALL).fit(IRIS, SPECIES),
    "a forest of two classes": ExtraTreesClassifier(**SMALL).fit(IRIS, SPECIES == 1),
    "a forest that was trained with holes": RandomForestClassifier(**SMALL).fit(HOLED, SPECIES),
    "a forest of numbers": RandomForestRegressor(**SMALL).fit(PATIENTS, PROGRESS),
    "a forest of several numbers": RandomForestRegressor(**SMALL).fit(PATIENTS, numpy.c_[PROGRESS, -PROGRESS]),
    "one tree of classes": DecisionTreeClassifier(random_state=0).fit(IRIS, SPECIES),
    "one tree of numbers": DecisionTreeRegressor(random_state=0).fit(PATIENTS, PROGRESS),
    "boosting of numbers": GradientBoostingRegressor(**SMALL).fit(PATIENTS, PROGRESS),
    "boosting of two classes, its scores": GradientBoostingClassifier(**SMALL).fit(IRIS, SPECIES == 1),
    "boosting of three classes, its scores": GradientBoostingClassifier(**SMALL).fit(IRIS, SPECIES),
}
PEOPLE = pandas.DataFrame(
    {
        "age": [20.0, 35.0, numpy.nan, 51.0, 62.0, 28.0] * 5,
        "city": ["Oslo", None, "Ås", "Oslo", "Bergen", "Ås"] * 5,
        "plan": ["a", "b", "a", "c", "c", "b"] * 5,
    }
)
BOUGHT = ["yes", "no", "no", "yes", "no", "yes"] * 5
COLUMNS = make_column_transformer(
    (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["age"]),
    (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), ["city"]),
    (OrdinalEncoder(), ["plan"]),
)
PIPELINES = {
    "linear": make_pipeline(COLUMNS, LogisticRegression()).fit(PEOPLE, BOUGHT),
    "trees": make_pipeline(COLUMNS, RandomForestClassifier(**SMALL)).fit(PEOPLE, BOUGHT),
}
LINEAR = {
    "two classes": make_pipeline(StandardScaler(), LogisticRegression()).fit(IRIS, SPECIES == 1),
    "three classes": LogisticRegression(max_iter=500).fit(IRIS, SPECIES),
    "each class against the others": SGDClassifier(loss="log_loss", random_state=0).fit(IRIS, SPECIES),
    "classes without probabilities": LinearSVC(random_state=0).fit(IRIS, SPECIES),
    "numbers": Ridge().fit(PATIENTS, PROGRESS),
    "several numbers": Ridge().fit(PATIENTS, numpy.c_[PROGRESS, -PROGRESS]),
    "products of columns": make_pipeline(MinMaxScaler(clip=True), PolynomialFeatures(3), Ridge()).fit(PATIENTS, PROGRESS),
}


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("count", [1, 2, 150])
def test_trees_give_the_bits_of_scikit_learn(name: str, count: int, tmp_path: Path):
    model = TREES[name]
    method = "decision_function" if "scores" in name else ""
    rows = (HOLED if "holes" in name else PATIENTS if model.n_features_in_ == 10 else IRIS)[-count:]
    asked = getattr(model, method or ("predict_proba" if hasattr(model, "predict_proba") else "predict"))
    other = loaded(compiled(model, method, signature_of(model, method)), tmp_path).predict(numpy.array(rows))
    answer = other["probabilities"] if "probabilities" in other else other["predictions"]
    assert numpy.array(answer).tolist() == asked(rows).tolist()


@pytest.mark.parametrize("name", LINEAR)
def test_linear_models_answer_alike_on_rows_at_the_edges(name: str, tmp_path: Path):
    assert_alike(LINEAR[name], [], tmp_path)


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_with_texts_and_holes_answer_alike_without_pandas(name: str, tmp_path: Path):
    sample = [[20.0, "Oslo", "a"], [None, None, "b"], [30.5, "nowhere", "c"]]
    plan = assert_alike(PIPELINES[name], sample, tmp_path)
    assert plan.signature.container == "columns"


TEXTS = ["Good film, very good", "a bad film", "boring and bad", "great fun", "GRÖSSE zählt", "fun and games"] * 3
WEIGHERS = {
    "shares of words, and pairs": TfidfVectorizer(ngram_range=(1, 2), stop_words=["and"], sublinear_tf=True),
    "which words": CountVectorizer(binary=True, strip_accents="unicode"),
    "counts, weighed in a step of their own": make_pipeline(CountVectorizer(), TfidfTransformer(norm="l1")),
}


@pytest.mark.parametrize("name", WEIGHERS)
def test_texts_are_taken_apart_as_scikit_learn_does(name: str, tmp_path: Path):
    model = make_pipeline(WEIGHERS[name], LogisticRegression()).fit(TEXTS, ["pos", "neg", "neg"] * 6)
    plan = assert_alike(model, ["good", "größe, BAD film", "", "fun and games and fun"], tmp_path)
    assert plan.engine == "numpy"


def test_a_frame_of_numbers_stays_columns_for_callers_and_takes_rows_in_every_form(tmp_path: Path):
    frame = pandas.DataFrame(IRIS, columns=list("abcd"))
    model = make_pipeline(make_column_transformer((StandardScaler(), ["a", "c"])), LogisticRegression()).fit(frame, SPECIES)
    plan = assert_alike(model, frame.head(3).to_dict("records"), tmp_path)
    assert plan.signature.container == "columns"
    other = ServedModel(manifest.Model("m", "sklearn", "plan", "", "", signature=plan.signature), loaded(plan, tmp_path))
    rows = IRIS[[0, 60, 140]].tolist()
    forms = (rows, [dict(zip("abcd", row, strict=True)) for row in rows], [[*row[:1], None, *row[2:]] for row in rows])
    assert [other.answer(form)["predictions"] for form in forms] == [[0, 1, 2]] * 3


def test_an_engine_that_answers_otherwise_is_found_out(tmp_path: Path):
    model, other = LINEAR["numbers"], Ridge(alpha=1.0001).fit(PATIENTS, PROGRESS)
    plan = compiled(other, "", signature_of(other, ""))
    found = compare(model, plan, [], tmp_path)
    assert "gets" in found.wrong


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize("towards", [numpy.inf, -numpy.inf])
def test_a_tree_whose_splits_are_one_rounding_away_is_found_out(towards: float, tmp_path: Path):
    model = TREES["one tree of classes"]
    plan = compiled(model, "", signature_of(model, ""))
    splits = plan.arrays["threshold"]
    arrays = {**plan.arrays, "threshold": numpy.nextafter(splits, numpy.float32(towards))}
    assert not compare(model, plan, [], tmp_path).wrong
    assert "gets" in compare(model, replace(plan, arrays=arrays), [], tmp_path).wrong


def test_two_engines_that_refuse_every_row_prove_nothing(tmp_path: Path):
    model = LINEAR["numbers"]
    original, other = served(model, compiled(model, "", signature_of(model, "")), [], tmp_path)
    for rows in ([[1.0, 2.0], ["a"] * 10], []):
        found = compared(original, other, rows, Tolerance(), frozenset())
        assert (found.refused, found.wrong) == (len(rows), "no row that it was asked has an answer")


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize("name", ["each class against the others", "three classes", "two classes"])
def test_scores_that_outgrow_doubles_are_answered_alone_and_together_as_scikit_learn_does(name: str, tmp_path: Path):
    model = make_pipeline(MinMaxScaler((0, 1e3)), LINEAR[name]).fit(IRIS, SPECIES == 1 if name == "two classes" else SPECIES)
    original, other = served(model, compiled(model, "", signature_of(model, "")), [], tmp_path)
    large = 1e305
    # each product outgrows alone, so that the order of adding decides nothing
    rows = [[large, 0.0, 0.0, 0.0], [0.0, 0.0, large, large], [-large, -large, large, large], [0.0, large, 0.0, -large]]
    found = compared(original, other, rows, Tolerance(), frozenset({"predictions"}))
    assert not found.wrong


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (HistGradientBoostingClassifier(max_iter=2), "HistGradientBoostingClassifier has no compiled form"),
        (make_pipeline(FunctionTransformer(numpy.abs), Ridge()), "FunctionTransformer runs a function of your own"),
        (GradientBoostingClassifier(init=LogisticRegression(), n_estimators=2), "begins with another model"),
    ],
)
def test_what_has_no_compiled_form_says_why(model: Any, reason: str):
    model.fit(IRIS, SPECIES)
    with pytest.raises(Unfit, match=reason):
        compiled(model, "", signature_of(model, ""))


def test_columns_that_a_model_drops_take_no_engine_from_it_and_shift_no_position(tmp_path: Path):
    steps = make_column_transformer((StandardScaler(), [2]), (OneHotEncoder(handle_unknown="ignore"), [-1]))
    people = PEOPLE.assign(age=[20.0, 35.0, 41.0] * 10).reindex(columns=["city", "plan", "age"])
    people["kind"] = people["plan"]
    model = make_pipeline(steps, LogisticRegression()).fit(people, BOUGHT)
    assert_alike(model, [{"age": 20.0, "kind": "a"}, {"age": 33.0, "kind": "c"}], tmp_path)


def test_encoders_that_give_frames_compile(tmp_path: Path):
    steps = make_column_transformer((OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["plan"]))
    model = make_pipeline(steps, LogisticRegression()).set_output(transform="pandas").fit(PEOPLE, BOUGHT)
    assert_alike(model, [{"plan": "a"}, {"plan": "b"}], tmp_path)


def test_whole_numbers_beyond_doubles_are_no_categories_of_a_compiled_model():
    people = pandas.DataFrame({"id": [*range(40), *(2**53 + at for at in range(10))], "age": 1.0})
    steps = make_column_transformer((OneHotEncoder(), ["id"]), remainder="passthrough")
    model = make_pipeline(steps, LogisticRegression()).fit(people, people["id"] % 2)
    sample = [{"id": 0, "age": 1.0}, {"id": 3, "age": 1.0}]
    with pytest.raises(Unfit, match="id has whole numbers that no double tells apart"):
        compiled(model, "", signature_of(model, "", sample))


@pytest.mark.parametrize("start", ["1970-01-02", "2024-01-01"])  # the first in nanoseconds is a number like any other
def test_encoded_times_are_served_as_times_and_take_no_compiled_form(start: str):
    days = pandas.to_datetime([start, "2024-02-29"] * 15).astype("datetime64[ns]")
    table = pandas.DataFrame({"day": days, "age": 1.0})
    steps = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["day"]), remainder="passthrough")
    model = make_pipeline(steps, LogisticRegression()).fit(table, [0, 1] * 15)
    sample = [{"day": start, "age": 1.0}, {"day": "2024-02-29", "age": 1.0}]
    signature = signature_of(model, "", sample)
    assert [(feature.dtype, feature.nullable) for feature in signature.inputs] == [("datetime", False), ("float64", False)]
    entry = manifest.Model(name="m", framework="sklearn", format="joblib", path="", sha256="", signature=signature)
    assert ServedModel(entry, SklearnModel(model)).answer(sample)["predictions"] == [0, 1]
    with pytest.raises(Unfit, match="OneHotEncoder of times has no compiled form"):
        compiled(model, "", signature)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:Features .* are constant:UserWarning")
@pytest.mark.parametrize("hiding", [MinMaxScaler(clip=True), SelectKBest(k=3)])
def test_a_number_that_outgrows_doubles_on_its_way_is_refused_though_a_later_step_would_hide_it(hiding: Any, tmp_path: Path):
    model = make_pipeline(PolynomialFeatures(2), hiding, Ridge()).fit(IRIS, SPECIES)
    answers = loaded(compiled(model, "", signature_of(model, "")), tmp_path).predict
    assert answers(numpy.array([[1e100, 1.0, 1.0, 1.0]]))
    with pytest.raises(ValueError, match="infinity"):
        answers(numpy.array([[1.0, 1e200, 1.0, 1.0]]))


def assert_alike(model: Any, sample: list[Any], folder: Path) -> Compiled:
    plan = compiled(model, "", signature_of(model, "", sample))
    found = compare(model, plan, sample, folder)
    assert not found.wrong
    assert found.refused < found.rows
    return plan


def compare(model: Any, plan: Compiled, sample: list[Any], folder: Path) -> Any:
    signature = signature_of(model, "", sample)
    original, other = served(model, plan, sample, folder)
    rows = [*listed_rows(signature, sample), *edge_rows(signature, sample, plan.header, plan.arrays)]
    labels = frozenset({"predictions"} if hasattr(model, "classes_") else ())
    return compared(original, other, rows, Tolerance(), labels)


def served(model: Any, plan: Compiled, sample: list[Any], folder: Path) -> tuple[ServedModel, ServedModel]:
    """The original and its compiled form."""
    signature = signature_of(model, "", sample)
    entry = manifest.Model(name="m", framework="sklearn", format="joblib", path="model.plan", sha256="", signature=signature)
    again = manifest.Model(**{**vars(entry), "signature": plan.signature, "engine": manifest.Engine(plan.engine)})
    return ServedModel(entry, SklearnModel(model)), ServedModel(again, loaded(plan, folder))


def loaded(plan: Compiled, folder: Path) -> Any:
    (folder / "model.plan").write_bytes(plan_bytes(plan.header, plan.arrays))
    entry = manifest.Model("m", "sklearn", "plan", "model.plan", "", engine=manifest.Engine(plan.engine))
    return runtime_for(entry.runtime).load(entry, folder)


def signature_of(model: Any, method: str, sample: list[Any] = ()) -> Signature:  # type: ignore[assignment]
    if sample:
        return SklearnModel(model, method).signature(tuple(sample))
    return Signature(tuple(Feature(f"x{at}", minimum=-1.0, maximum=7.0) for at in range(model.n_features_in_)))
