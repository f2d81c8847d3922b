"""What a fitted model tells of itself, and how it is asked."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils import _array_api, validation

from mlship.server import manifest
from mlship.server.core import ServedModel
from mlship.server.problems import InputError
from mlship.server.runtimes import runtime_for
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.sklearn import SklearnModel
from mlship.server.runtimes.sklearn_parts import is_fitted
from mlship.server.runtimes.sklearn_plain import PlainArrays

ROWS = np.random.default_rng(0).normal(size=(40, 3))
LABELS = np.array([0, 1] * 20)
FRAME = pd.DataFrame(
    {
        "age": [20, 30, None, 50] * 10,
        "fare": [1.5, 2.0, 3.0, 4.0] * 10,
        "sex": ["m", "f", "m", None] * 10,
        "city": ["a", "b", "c", "a"] * 10,
        "id": range(40),
    }
)


class Ratio(TransformerMixin, BaseEstimator):
    """A user's own first step."""

    def fit(self, frame: Any, target: Any = None) -> Ratio:
        self.feature_names_in_ = frame.columns.to_numpy(dtype=object)
        self.n_features_in_ = len(frame.columns)
        return self

    def transform(self, frame: Any) -> Any:
        return frame.assign(ratio=frame["fare"] / 2)


class Month(Ratio):
    """Needs dates as pandas parses them."""

    def transform(self, frame: Any) -> Any:
        return frame.assign(when=frame["when"].dt.month)


class Lower(Ratio):
    def transform(self, frame: Any) -> Any:
        return frame.assign(ratio=1.0, city=frame["city"].str.lower().str.strip())


def columns(*numbers: str) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), list(numbers)),
            ("s", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), ["sex"]),
            ("c", OneHotEncoder(), ["city"]),
        ]
    )


def asked(estimator: Any, sample: list[Any]) -> tuple[manifest.Signature, dict[str, Any]]:
    model = SklearnModel(estimator)
    signature = model.signature(tuple(sample))
    return signature, ServedModel(entry(signature), model).answer(sample)


UNKNOWN = manifest.Signature()


def entry(signature: manifest.Signature = UNKNOWN) -> manifest.Model:
    return manifest.Model("m", "sklearn", "joblib", "model.joblib", "", signature=signature)


def test_a_pipeline_that_selects_columns_by_name_gets_a_frame_and_knows_its_inputs() -> None:
    model = make_pipeline(columns("age", "fare"), LogisticRegression()).fit(FRAME, LABELS)
    sample = [{"age": 30, "fare": 1.5, "sex": "m", "city": "a"}, {"age": None, "fare": 1, "sex": None, "city": "b"}]
    signature, answer = asked(model, sample)
    assert signature.container == "frame" and signature.named
    assert [(f.name, f.dtype, f.nullable, f.categories) for f in signature.inputs] == [
        ("age", "float64", True, None),
        ("fare", "float64", True, None),
        ("sex", "string", True, None),
        ("city", "string", False, ("a", "b", "c")),
    ]
    assert signature.inputs[1].minimum == 1.0 and signature.inputs[1].maximum == 1.5
    expected = model.predict(pd.DataFrame(sample).assign(id=0))
    assert answer["predictions"] == expected.tolist()
    assert [output.classes for output in signature.outputs] == [(0, 1), (0, 1)]


def test_the_same_is_known_without_a_sample() -> None:
    model = make_pipeline(columns("age", "fare"), LogisticRegression()).fit(FRAME, LABELS)
    signature = SklearnModel(model).signature(())
    assert [(f.dtype, f.nullable) for f in signature.inputs] == [
        ("float64", True),
        ("float64", True),
        ("string", True),
        ("string", False),
    ]


def test_columns_that_pass_an_own_first_step_keep_their_known_categories() -> None:
    model = make_pipeline(Ratio(), columns("age", "ratio"), LogisticRegression()).fit(FRAME.drop(columns="id"), LABELS)
    row = {"age": 30.0, "fare": 1.5, "sex": "m", "city": "a"}
    signature, _ = asked(model, [row])
    assert {f.name: f.categories for f in signature.inputs}["city"] == ("a", "b", "c")
    with pytest.raises(InputError, match=r'row 0, feature "city": expected one of a, b, c, got the string "z"|expected one of'):
        ServedModel(entry(signature), SklearnModel(model)).answer([{**row, "city": "z"}])


def test_an_own_step_that_corrects_spellings_leaves_the_categories_open() -> None:
    model = make_pipeline(Lower(), columns("age", "ratio"), LogisticRegression()).fit(FRAME.drop(columns="id"), LABELS)
    signature, answer = asked(model, [{"age": 30.0, "fare": 1.5, "sex": "m", "city": "a"}])
    assert {f.name: f.categories for f in signature.inputs}["city"] is None
    assert (
        ServedModel(entry(signature), SklearnModel(model)).answer([{"age": 30.0, "fare": 1.5, "sex": "m", "city": " A"}])
        == answer
    )


def test_a_forest_trained_on_a_frame_of_numbers_takes_an_array_and_knows_the_names() -> None:
    model = RandomForestClassifier(2, n_jobs=-1).fit(pd.DataFrame(ROWS, columns=["a", "b", "c"]), LABELS)
    signature, _ = asked(model, [{"a": 1, "b": 2, "c": 3}])
    assert (signature.container, signature.named) == ("array", True)
    assert [f.dtype for f in signature.inputs] == ["float64"] * 3


def test_null_is_normal_where_the_model_takes_it_and_only_there() -> None:
    linear, _ = asked(LogisticRegression().fit(ROWS, LABELS), [[1.0, 2.0, 3.0]])
    boosted, _ = asked(HistGradientBoostingClassifier(max_iter=2).fit(ROWS, LABELS), [[1, 2, 3]])
    assert not any(f.nullable for f in linear.inputs) and all(f.nullable for f in boosted.inputs)
    holed, answer = asked(HistGradientBoostingClassifier(max_iter=2).fit(ROWS, LABELS), [[1, 2, None], [1, None, None]])
    assert all(f.nullable for f in holed.inputs) and answer["predictions"]


def test_pandas_categories_reach_a_boosted_model_as_words() -> None:
    frame = FRAME[["sex", "fare"]].astype({"sex": "category"})
    model = HistGradientBoostingClassifier(max_iter=2).fit(frame, LABELS)
    signature, answer = asked(model, [{"sex": "f", "fare": 2.0}, {"sex": None, "fare": 2.0}])
    assert signature.container == "frame" and signature.inputs[0].dtype == "string"
    shown = pd.DataFrame({"sex": pd.Categorical(["f", None], categories=["f", "m"]), "fare": [2.0, 2.0]})
    assert answer["predictions"] == model.predict(shown).tolist()


def test_a_boosted_model_tells_its_categories_without_a_sample() -> None:
    frame = FRAME[["sex", "fare"]].assign(floor=pd.Categorical([1, 2] * 20)).astype({"sex": "category"})
    for model in (
        HistGradientBoostingClassifier(max_iter=2).fit(frame, LABELS),
        make_pipeline(HistGradientBoostingClassifier(max_iter=2)).fit(frame, LABELS),
    ):
        found = SklearnModel(model).signature(())
        assert [f.dtype for f in found.inputs] == ["string", "float64", "int64"]
        assert all(f.nullable for f in found.inputs) and found.container == "frame"


def test_words_that_are_dates_reach_a_model_as_dates_where_it_needs_them() -> None:
    frame = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=40, freq="7D"), "fare": FRAME["fare"]})
    model = make_pipeline(Month(), LinearRegression()).fit(frame, frame["when"].dt.month)
    signature, answer = asked(model, [{"when": "2024-03-04", "fare": 2.0}, {"when": "2024-05-01 10:00:00", "fare": 3.0}])
    assert [f.dtype for f in signature.inputs] == ["datetime", "float64"]
    assert answer["predictions"] == [pytest.approx(3.0), pytest.approx(5.0)]


@pytest.mark.parametrize("function", [np.log1p, np.log, np.abs])
def test_a_function_of_arrays_takes_numbers_without_a_sample(function: Any) -> None:
    rows = np.abs(ROWS) + 1
    model = make_pipeline(FunctionTransformer(function), LogisticRegression()).fit(rows, LABELS)
    found = SklearnModel(model).signature(())
    assert [feature.dtype for feature in found.inputs] == ["float64"] * 3
    asked_model = ServedModel(manifest.Model("m", "sklearn", "joblib", "m", "", signature=found), SklearnModel(model))
    assert asked_model.answer(rows[:3].tolist())["predictions"] == model.predict(rows[:3]).tolist()


def test_a_text_model_takes_bare_strings() -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good day", "bad day"], ["pos", "neg"])
    signature, answer = asked(model, ["good", "bad"])
    assert signature.inputs == (manifest.Feature("text", "string"),)
    assert answer["predictions"] == ["pos", "neg"]


def test_a_model_of_dicts_takes_them_as_they_come() -> None:
    model = make_pipeline(DictVectorizer(), LinearRegression()).fit([{"a": 1}, {"a": 2}], [1.0, 2.0])
    signature, answer = asked(model, [{"a": 2}])
    assert signature.container == "list" and answer["predictions"] == [pytest.approx(2.0)]


@pytest.mark.parametrize(
    ("estimator", "shape"),
    [(KMeans(2, n_init=1), ()), (PCA(2), (2,)), (IsolationForest(n_estimators=2), ()), (LinearRegression(), (2,))],
)
def test_clusters_transformers_outliers_and_several_outputs_answer(estimator: Any, shape: tuple[int, ...]) -> None:
    estimator.fit(ROWS, ROWS[:, :2])
    signature, answer = asked(estimator, ROWS[:3].tolist())
    assert signature.outputs[0].shape == shape and len(answer["predictions"]) == 3


def test_probabilities_of_several_outputs_are_one_list_for_each_in_each_row() -> None:
    model = RandomForestClassifier(2).fit(ROWS, np.c_[LABELS, 1 - LABELS])
    _, answer = asked(model, ROWS[:3].tolist())
    assert np.array(answer["probabilities"]).shape == (3, 2, 2)


def test_a_search_answers_with_its_best_and_tells_of_it() -> None:
    inner = make_pipeline(columns("age", "fare"), LogisticRegression())
    search = GridSearchCV(inner, {"logisticregression__C": [1, 2]}, cv=2).fit(FRAME, LABELS)
    signature, _ = asked(search, [{"age": 30, "fare": 1.5, "sex": "m", "city": "a"}])
    assert signature.inputs[3].categories == ("a", "b", "c")


def test_numbers_as_categories_stay_whole() -> None:
    model = OrdinalEncoder().fit(pd.DataFrame({"size": [1, 2, 3]}))
    signature, _ = asked(model, [{"size": 2}])
    assert signature.inputs[0] == manifest.Feature("size", "int64", False, (1, 2, 3), 2.0, 2.0)


def test_exactly_the_named_method_is_called() -> None:
    model = SklearnModel(LogisticRegression().fit(ROWS, LABELS), "predict_proba")
    assert list(model.predict(ROWS)) == ["predictions"] and model.predict(ROWS)["predictions"].shape == (40, 2)


def test_a_method_that_the_model_lacks_is_named_with_those_it_has() -> None:
    with pytest.raises(LoadError, match="LinearRegression has no predict_proba; it has predict"):
        SklearnModel(LinearRegression().fit(ROWS, LABELS), "predict_proba")


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ({"model": 1, "columns": 2}, r"'model', 'columns', not a model; save the model alone: joblib.dump\(d\['model'\], path\)"),
        (LogisticRegression(), "the LogisticRegression in the file was never fitted"),
        (make_pipeline(StandardScaler().fit(ROWS), LinearRegression()), "the Pipeline in the file was never fitted"),
        (DBSCAN().fit(ROWS), "DBSCAN cannot answer new rows: it has neither predict nor transform"),
        ([1, 2], "the file holds a list, not a model with predict; save the fitted model itself"),
    ],
)  # fmt: skip
def test_a_file_without_a_model_says_what_it_holds(tmp_path: Path, saved: Any, words: str) -> None:
    joblib.dump(saved, tmp_path / "model.joblib")
    with pytest.raises(LoadError, match=words):
        runtime_for("sklearn").load(entry(), tmp_path)


def test_threads_inside_a_served_model_are_one(tmp_path: Path) -> None:
    joblib.dump(
        make_pipeline(StandardScaler(), RandomForestClassifier(2, n_jobs=-1)).fit(ROWS, LABELS), tmp_path / "model.joblib"
    )
    loaded: Any = runtime_for("sklearn").load(entry(), tmp_path)
    assert loaded.estimator[-1].n_jobs == 1


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_checks_that_one_model_does_without_are_made_for_the_other_in_the_same_thread() -> None:
    linear = SklearnModel(LogisticRegression().fit(ROWS, LABELS), is_checked=True)
    forest = SklearnModel(RandomForestClassifier(2).fit(ROWS, LABELS), is_checked=True)
    for _ in range(2):
        linear.predict(ROWS[:1])
        with pytest.raises(ValueError, match="too large"):
            forest.predict(ROWS[:1] + 1e39)  # infinite as float32, which trees compute in


@pytest.mark.parametrize(
    ("estimator", "has_own_code"),
    [(LogisticRegression(), False), (make_pipeline(FunctionTransformer(np.abs), LogisticRegression()), True)],
    ids=["a linear model", "a step of functions"],
)
def test_only_a_model_without_a_users_code_is_asked_with_the_loop_as_it_is(estimator: Any, has_own_code: bool) -> None:
    assert SklearnModel(estimator.fit(ROWS, LABELS)).has_own_code is has_own_code


def test_what_is_settled_of_a_loaded_model_is_not_asked_with_each_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joblib.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS), tmp_path / "model.joblib")
    loaded = runtime_for("sklearn").load(entry(), tmp_path)
    expected = loaded.predict(ROWS)
    asked: list[Any] = []
    for name in ("check_array", "_is_fitted"):
        monkeypatch.setattr(validation, name, lambda *arguments, **named: asked.append(arguments))
    assert {name: values.tolist() for name, values in loaded.predict(ROWS).items()} == {
        name: values.tolist() for name, values in expected.items()
    }
    assert not asked


def test_an_unknown_framework_is_refused() -> None:
    with pytest.raises(LoadError, match="no runtime for matlab; it knows sklearn, "):
        runtime_for("matlab")


OWN = """
class Model:
    inputs = {"a": "float64", "b": "string?"}
    def load(self, path): self.factor = float(path.read_text())
    def predict(self, rows): return [row["a"] * self.factor for row in rows]
class NoPredict:
    def load(self, path): pass
class Strange(Model):
    container = "tensor"
class Untyped(Model):
    inputs = {"a": "number"}
class Bare(Model):
    inputs = None
    def predict(self, rows): return {"answer": rows}
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ownnet.py").write_text(OWN)
    (tmp_path / "weights").write_text("2")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "ownnet", raising=False)
    return tmp_path


def own_entry(name: str) -> manifest.Model:
    return manifest.Model("m", "python", "none", "weights", "", loader=f"ownnet:{name}")


def test_a_users_own_class_is_asked_and_its_inputs_are_checked(own: Path) -> None:
    model = runtime_for("python").load(own_entry("Model"), own)
    signature = model.signature(({"a": 2.0, "b": None},))
    served = ServedModel(dataclasses.replace(own_entry("Model"), signature=signature), model)
    assert served.answer([{"a": 3, "b": None}]) == {"predictions": [6.0]}
    assert [(f.name, f.dtype, f.nullable, f.minimum) for f in signature.inputs] == [
        ("a", "float64", False, 2.0),
        ("b", "string", True, None),
    ]
    with pytest.raises(InputError):
        served.answer([{"a": None, "b": "x"}])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NoPredict", "ownnet:NoPredict has no method predict; a model needs load"),
        ("Strange", "says container = 'tensor'; write frame, array or list"),
        ("Missing", "the module ownnet has no class Missing"),
    ],
)
def test_a_class_that_is_no_model_says_what_it_lacks(own: Path, name: str, words: str) -> None:
    with pytest.raises(LoadError, match=words):
        runtime_for("python").load(own_entry(name), own)


def test_a_loader_names_module_and_class(own: Path) -> None:
    with pytest.raises(LoadError, match=r"model\.loader is 'ownnet'; write module:Class"):
        runtime_for("python").load(dataclasses.replace(own_entry("x"), loader="ownnet"), own)


def test_a_method_that_the_class_lacks_is_named(own: Path) -> None:
    with pytest.raises(LoadError, match="Model has no method score_samples"):
        runtime_for("python").load(dataclasses.replace(own_entry("Model"), method="score_samples"), own)


def test_inputs_name_known_types(own: Path) -> None:
    with pytest.raises(LoadError, match="inputs says that a is 'number'; known: bool, int8"):
        runtime_for("python").load(own_entry("Untyped"), own).signature(())


def test_a_dict_without_predictions_is_refused(own: Path) -> None:
    with pytest.raises(LoadError, match="answered a dict without predictions: answer"):
        runtime_for("python").load(own_entry("Bare"), own).predict([1])


def test_a_model_that_would_read_files_named_in_requests_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("good bad")
    model = make_pipeline(TfidfVectorizer(input="filename"), LogisticRegression()).fit([str(text), str(text)], [0, 1])
    joblib.dump(model, tmp_path / "model.joblib")
    with pytest.raises(LoadError, match=r"TfidfVectorizer\(input='filename'\) would read files of the server"):
        runtime_for("sklearn").load(entry(), tmp_path)


class Remembers(LinearRegression):
    """Of the user's own module: what it learned has names of its own."""

    def fit(self, rows: Any, target: Any) -> Remembers:
        self._mean = float(np.mean(target))
        return self


@pytest.mark.parametrize(
    "estimator",
    [
        Remembers().fit(ROWS, LABELS),
        make_pipeline(StandardScaler().fit(ROWS), Remembers().fit(ROWS, LABELS)),
        GridSearchCV(LogisticRegression(), {"C": [1.0]}).fit(ROWS, LABELS),
        make_pipeline(FunctionTransformer()),
    ],
)
def test_what_may_have_learned_under_names_of_its_own_counts_as_fitted(estimator: Any) -> None:
    assert is_fitted(estimator)


def test_what_scikit_learn_1_8_gives_by_place_reaches_it_so() -> None:
    plain = PlainArrays(_array_api, None, {"array_api_dispatch": False})
    short = plain._expit(lambda X, xp=None: (X, xp))
    assert short(ROWS, np)[1] is np
    assert np.allclose(short(ROWS), 1 / (1 + np.exp(-ROWS)))
