"""Real models are read without false alarms and answer as before. The whole of scikit-learn is in tests/world."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler

from mlship.server.pickle_load import load
from mlship.server.pickle_scan import allow, scan

ROWS = np.abs(np.random.default_rng(0).normal(size=(30, 3)))
LABELS = (ROWS[:, 0] > 0.6).astype(int)


def frame() -> Any:
    import pandas as pd

    return pd.DataFrame({"a": ROWS[:, 0], "b": ["x", "y", None] * 10})


def models() -> dict[str, tuple[Any, Any]]:
    from scipy.stats import loguniform

    by_type = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include="number")),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["b"]),
        ],
        remainder="passthrough",
    )
    words = np.array(["One two", "two Three", "three four"] * 10)
    return {
        "forest": (RandomForestClassifier(2).fit(ROWS, LABELS), ROWS),
        "boosting": (GradientBoostingClassifier(n_estimators=2).fit(ROWS, LABELS), ROWS),
        "histograms": (HistGradientBoostingClassifier(max_iter=2).fit(ROWS, LABELS), ROWS),
        "neighbours": (KNeighborsClassifier(algorithm="kd_tree").fit(ROWS, LABELS), ROWS),
        "gaussian process": (GaussianProcessClassifier().fit(ROWS, LABELS), ROWS),
        "calibrated": (CalibratedClassifierCV(LogisticRegression(), cv=2).fit(ROWS, LABELS), ROWS),
        "isotonic": (IsotonicRegression(out_of_bounds="clip").fit(ROWS[:, 0], LABELS), ROWS[:, 0]),
        "splines": (make_pipeline(SplineTransformer(), LogisticRegression()).fit(ROWS, LABELS), ROWS),
        "ufunc": (make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(ROWS, LABELS), ROWS),
        "selection": (make_pipeline(SelectKBest(f_classif, k=2), LogisticRegression()).fit(ROWS, LABELS), ROWS),
        "text": (make_pipeline(CountVectorizer(preprocessor=str.lower), LogisticRegression()).fit(words, LABELS), words),
        "frame": (make_pipeline(by_type, LogisticRegression()).fit(frame(), LABELS), frame()),
        "columns by index": (
            make_pipeline(
                ColumnTransformer([("n", SimpleImputer(), frame().select_dtypes("number").columns)]), LogisticRegression()
            ).fit(frame(), LABELS),
            frame(),
        ),
        "search": (GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2).fit(ROWS, LABELS), ROWS),
        "random search": (
            RandomizedSearchCV(LogisticRegression(), {"C": loguniform(0.1, 1)}, n_iter=2, cv=2, random_state=0).fit(
                ROWS, LABELS
            ),
            ROWS,
        ),
        "cached": (make_pipeline(StandardScaler(), LogisticRegression(), memory=joblib.Memory(None)).fit(ROWS, LABELS), ROWS),
    }


MODELS = models()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("protocol", [0, 5])
def test_a_pickled_model_answers_as_before(tmp_path: Path, name: str, protocol: int) -> None:
    estimator, rows = MODELS[name]
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(estimator, protocol))
    loaded, found = load(path)
    assert np.array_equal(loaded.predict(rows), estimator.predict(rows))
    assert found.format == "pickle" and found.versions["scikit-learn"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compress", [0, 3])
def test_a_joblib_model_answers_as_before(tmp_path: Path, name: str, compress: Any) -> None:
    estimator, rows = MODELS[name]
    path = tmp_path / "model.joblib"
    joblib.dump(estimator, path, compress=compress)
    loaded, _ = load(path)
    assert np.array_equal(loaded.predict(rows), estimator.predict(rows))


@pytest.mark.world  # skops takes seconds to import
@pytest.mark.parametrize("name", ["forest", "histograms", "frame", "search", "ufunc"])
def test_a_skops_model_answers_as_before(tmp_path: Path, name: str) -> None:
    import skops.io

    estimator, rows = MODELS[name]
    path = tmp_path / "model.skops"
    skops.io.dump(estimator, path)
    loaded, found = load(path)
    assert np.array_equal(loaded.predict(rows), estimator.predict(rows))
    assert found.format == "skops" and found.versions["scikit-learn"]


ARRAYS = {
    "fortran order": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big-endian": np.arange(5, dtype=">f8"),
    "records": np.array([(1, 2.0), (3, 4.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "text": np.array(["a", "long text"]),
    "dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "empty": np.zeros((0, 3)),
    "a scalar": np.array(3.0),
    "objects": np.array([{"a": 1}, None, "x"], dtype=object),
    "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    "large": np.arange(300_000.0),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("compress", [0, 1])
def test_every_kind_of_array_is_read_as_joblib_reads_it(tmp_path: Path, name: str, compress: int) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump({"before": 1, "array": ARRAYS[name], "after": [np.ones(3), "end"]}, path, compress=compress)
    loaded, _ = load(path)
    expected = joblib.load(path)
    assert (
        loaded["array"].dtype == expected["array"].dtype
        and loaded["array"].flags.f_contiguous == expected["array"].flags.f_contiguous
    )
    np.testing.assert_array_equal(loaded["array"], expected["array"])
    assert loaded["after"][1] == "end"


def test_an_array_of_a_memory_mapped_file_becomes_a_plain_array(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "data", dtype="f8", mode="w+", shape=(4,))
    joblib.dump([mapped], tmp_path / "model.joblib")
    loaded, _ = load(tmp_path / "model.joblib")
    assert type(loaded[0]) is np.ndarray and loaded[0].tolist() == [0.0] * 4


def test_an_own_class_needs_its_exact_name_in_trust(tmp_path: Path) -> None:
    from mlship.server.pickle_scan import Refused

    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02cchurn.features\nRare\n)\x81cchurn.features\nAge\n)\x81\x86.")
    with pytest.raises(
        Refused,
        match=r"churn\.features\.Age.*\(and to churn\.features\.Rare\).*model\.trust: \[churn\.features\.Age, churn\.features\.Rare\]",
    ):
        allow(scan(path))
    allow(scan(path), ("churn.features.Age", "churn.features.Rare"))
    with pytest.raises(Refused):
        allow(scan(path), ("churn.features", "churn.features.*"))


def test_trust_does_not_open_what_runs_programs(tmp_path: Path) -> None:
    from mlship.server.pickle_scan import Refused

    path = tmp_path / "model.pkl"
    path.write_bytes(b"cos\nsystem\n(Vx\ntR.")
    with pytest.raises(Refused, match="do not use this file"):
        allow(scan(path), ("os.system",))


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"c__main__\nRare\n)\x81.", "main-name", "refers to Rare of the training script itself (__main__); move Rare into a module"),
        (b"cchurn\nfit.<locals>.f\n.", "local-name", "a function inside a function; write it as a named function of a module"),
        (b"ccloudpickle.cloudpickle\n_make_function\n.", "code-name", "holds code saved by cloudpickle"),
    ],
)  # fmt: skip
def test_names_that_no_trust_can_help_say_how_to_save_again(tmp_path: Path, content: bytes, kind: str, words: str) -> None:
    from mlship.server.pickle_scan import Refused

    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02" + content)
    with pytest.raises(Refused) as caught:
        allow(scan(path))
    assert caught.value.kind == kind and words in str(caught.value)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_values_of_pandas_numpy_and_the_standard_library_are_loaded(tmp_path: Path) -> None:
    import collections
    import decimal
    import functools
    import re

    import pandas as pd
    from scipy import sparse
    from scipy.interpolate import interp1d

    table = frame().assign(c=pd.Categorical(["p", "q", "r"] * 10), d=pd.date_range("2020", periods=30, tz="UTC"))
    table["e"] = pd.array([1, None, 3] * 10, dtype="Int64")
    values = [
        table, table.set_index(["a", "b"]).index, pd.NaT, pd.NA, pd.Timestamp("2020", tz="UTC"), pd.Period("2020", "D"),
        pd.Interval(0, 1), pd.offsets.Day(2), pd.interval_range(0, 3), np.dtype([("a", "i4"), ("b", "f8", (2, 3))], align=True),
        np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")]), np.zeros(3, dtype=[("a", [("x", "f4"), ("y", "U3")]), ("t", ">i8")]),
        np.datetime64("2020", "s"), np.float64, np.matrix([[1]]), np.random.default_rng(0), np.random.SeedSequence(3),
        collections.defaultdict(list, {1: [2]}), collections.deque([1], 3), decimal.Decimal("1.5"), re.compile("a+"),
        functools.partial(np.clip, a_min=0), {1, 2}, complex(1, 2), sparse.eye(3).tocsr(), interp1d(ROWS[:, 0], ROWS[:, 1]),
    ]  # fmt: skip
    for protocol in (2, 5):
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(values, protocol))
        loaded, _ = load(tmp_path / "model.pkl")
        assert [type(value) for value in loaded] == [type(value) for value in values]
        assert loaded[0].equals(table) and loaded[9] == values[9] and loaded[-3:-1] != []
