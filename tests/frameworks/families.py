"""Fitted models of every family that scikit-learn has, on data small enough to fit in milliseconds."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

# needs arguments that no table can guess, or answers nothing about new rows in a form that compares
SKIPPED = {"MultiOutputClassifier", "ClassifierChain", "RegressorChain"}


def fitted() -> Iterator[tuple[str, Any, Any]]:
    """(name, fitted estimator, rows that it takes), of every public estimator class that can be fitted here."""
    from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
    from sklearn.utils import all_estimators

    for name, cls in all_estimators():
        for estimator in _made(name, cls):
            found = _fitted(estimator)
            if found is not None:
                yield name, *found


def _made(name: str, cls: Any) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # scikit-learn hands out the same inner estimators again, which whoever serves one may have changed
            yield from map(copy.deepcopy, _instances(cls))
        except Exception as error:  # SkipTest, and classes that cannot be made on their own
            print(f"{name} was not made: {error}")


def _instances(cls: Any) -> Iterator[Any]:
    """scikit-learn's own tests know how to make each of its classes; where it stands has changed."""
    try:
        from sklearn.utils._test_common.instance_generator import _construct_instances
    except ImportError:
        from sklearn.utils.estimator_checks import _construct_instance

        yield _construct_instance(cls)
        return
    yield from _construct_instances(cls)


def _fitted(estimator: Any) -> tuple[Any, Any] | None:
    rng = np.random.default_rng(0)
    rows = np.abs(rng.normal(size=(40, 4)))
    labels = (rows[:, 0] > np.median(rows[:, 0])).astype(int)
    words = np.array(["one two", "two three", "three four", "four one"] * 10)
    attempts = (
        (rows, labels), (rows, rows[:, 0]), (words, labels), (rows, np.c_[labels, labels]), (rows, np.c_[rows[:, 0], rows[:, 1]]),
        ([{"a": 1.0, "b": 2.0}] * 4, [0, 1, 0, 1]), (rows[:, 0], rows[:, 1]), (rows @ rows.T, labels), (labels, labels),
        ([("a", "b"), ("b",)], None), (rng.normal(size=(4, 8, 8)), None),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for inputs, targets in attempts:
            try:
                estimator.fit(inputs, targets)
            except Exception:
                continue
            return estimator, inputs
    return None


def answer(estimator: Any, rows: Any) -> Any:
    """What the estimator says about the rows, densely; None when it says nothing about new rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for method in ("predict", "transform", "score_samples", "kneighbors"):
            if hasattr(estimator, method):
                try:
                    result = getattr(estimator, method)(rows)
                except Exception:
                    return None
                return result.toarray() if hasattr(result, "toarray") else result
    return None
