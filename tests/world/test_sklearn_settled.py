"""Every estimator of scikit-learn gives the same answers and the same errors when what is settled is not asked again."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from joblib import parallel_config
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils import _array_api, extmath, parallel, validation

from mlship.server.runtimes.sklearn_settled import settle_parts

sys.path.insert(0, str(Path(__file__).parents[1] / "frameworks"))
from families import fitted

pytestmark = pytest.mark.world

METHODS = ("predict", "predict_proba", "decision_function", "transform", "score_samples")
OF_ARRAYS = ("get_namespace", "get_namespace_and_device", "check_same_namespace", "move_to", "_expit")
ASKED = (
    *("check_is_fitted", "validate_data", "_check_n_features", "Parallel", "delayed", "get_config", "safe_sparse_dot"),
    *OF_ARRAYS,
)


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """Everything is asked by scikit-learn itself again, whatever models this process has loaded before."""
    own = {
        **{name: getattr(validation, name) for name in ("check_is_fitted", "validate_data", "_check_n_features")},
        "Parallel": parallel.Parallel,
        "delayed": parallel.delayed,
        "get_config": sklearn.get_config,
        "safe_sparse_dot": extmath.safe_sparse_dot,
        **{name: getattr(_array_api, name) for name in OF_ARRAYS},
    }
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("sklearn.")]
    before = [(module, name, vars(module)[name]) for module in modules for name in ASKED if name in vars(module)]
    for module, name, was in before:
        if is_short(was):
            setattr(module, name, own[name])
    yield
    for module, name, was in before:
        setattr(module, name, was)


def is_short(asked: Any) -> bool:
    maker = getattr(asked, "__module__", "") or type(asked).__module__
    return maker.startswith("mlship.") or getattr(asked, "__name__", "") == "_get_threadlocal_config"


@contextmanager
def settled(estimator: Any) -> Iterator[list[str]]:
    """With the short ways, which are gone afterwards; gives the names of what was replaced."""
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("sklearn.")]
    before = [(module, name, vars(module)[name]) for module in modules for name in ASKED if name in vars(module)]
    settle_parts(estimator)
    try:
        yield [name for module, name, was in before if vars(module)[name] is not was]
    finally:
        for module, name, was in before:
            setattr(module, name, was)


def wrong_and_right(rows: Any) -> Iterator[Any]:
    """The rows in every form in which an array can come, and arrays that are refused."""
    yield rows
    yield rows[:1]
    if not isinstance(rows, np.ndarray) or rows.dtype != np.float64 or rows.ndim != 2:
        return
    frozen = rows[:3].copy()
    frozen.flags.writeable = False
    holed, endless = rows[:3].copy(), rows[:3].copy()
    holed[1, 0], endless[2, 1] = np.nan, -np.inf
    yield from (rows[:3].astype("float32"), np.asfortranarray(rows[:3]), frozen, rows[:9:3], rows[:3].round().astype(int))
    yield from (holed, holed.astype("float32"), endless, rows[:3] + 1e39, rows[:3, :-1], np.c_[rows, rows][:3], rows[:0])
    yield from (rows[0], rows[:3].tolist(), rows[:3].astype(object), rows[:3, :, None], rows[:3].astype("longdouble"))


def outcome(ask: Callable[[Any], Any], rows: Any) -> Any:
    """What came out, bit by bit, and what became of the rows; or what was raised, in its words."""
    given = rows.copy(order="K") if isinstance(rows, np.ndarray) else rows
    if isinstance(rows, np.ndarray):
        given.flags.writeable = rows.flags.writeable
    try:
        result = ask(given)
    except Exception as error:
        return type(error), str(error)
    return _bits(result), _bits(given)


def _bits(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_bits(item) for item in value]
    dense = value.toarray() if hasattr(value, "toarray") else value
    if hasattr(dense, "tobytes"):
        # objects have no bytes of their own, and ten of a long double's sixteen mean something
        has_bytes = dense.dtype.kind != "O" and dense.dtype != np.longdouble
        return dense.dtype.str, dense.shape, dense.tobytes() if has_bytes else dense.astype("U32").tolist()
    return dense


def test_every_estimator_answers_and_refuses_the_same() -> None:
    seen: set[str] = set()
    replaced: set[str] = set()
    drawn: set[str] = set()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, estimator, rows in fitted():
            for method in METHODS:
                if not hasattr(estimator, method):
                    continue
                ask = getattr(estimator, method)
                expected = [outcome(ask, form) for form in wrong_and_right(rows)]
                if outcome(ask, rows) != expected[0]:
                    drawn.add(name)
                    continue
                with settled(estimator) as names:
                    told = [[outcome(ask, form) for form in wrong_and_right(rows)] for _ in range(2)]
                for again in told:
                    differing = [place for place, was in enumerate(expected) if again[place] != was]
                    assert not differing, (name, method, [(expected[place], again[place]) for place in differing])
                seen.add(name)
                replaced.update(names)
    assert len(seen) > 150
    assert drawn <= {"BernoulliRBM", "DummyClassifier"}  # answers at random
    assert replaced == set(ASKED)


def test_a_forest_that_is_to_use_several_jobs_uses_them_and_answers_the_same() -> None:
    rows, labels = make_classification(60, 6, random_state=0)
    forest = RandomForestClassifier(8, random_state=0).fit(rows, labels)
    expected = forest.predict_proba(rows)
    with settled(forest):
        for jobs in (None, 1, 2):
            forest.n_jobs = jobs
            assert np.array_equal(forest.predict_proba(rows), expected)
        forest.n_jobs = None
        with parallel_config("threading", n_jobs=2):
            assert np.array_equal(forest.predict_proba(rows), expected)


def test_a_model_that_is_not_fitted_is_still_refused() -> None:
    rows, labels = make_classification(60, 6, random_state=0)
    with settled(RandomForestClassifier(2).fit(rows, labels)), pytest.raises(ValueError, match="not fitted"):
        RandomForestClassifier(2).predict(rows)


def test_where_other_arrays_are_dispatched_scikit_learn_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels = make_classification(60, 6, random_state=0)
    model = LogisticRegression().fit(rows, labels)
    with settled(model):
        assert len(model.decision_function(rows)) == 60
        # scikit-learn asks scipy's own switch, which only a new process could turn on
        monkeypatch.setitem(sklearn._config._get_threadlocal_config(), "array_api_dispatch", True)
        with pytest.raises(RuntimeError, match="SCIPY_ARRAY_API"):
            model.decision_function(rows)
