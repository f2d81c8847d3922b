"""Every classifier of scikit-learn answers the same when what predict and predict_proba share is computed once."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators

from mlship.server.runtimes.sklearn import SklearnModel

pytestmark = pytest.mark.world

AROUND_ANOTHER = ("ClassifierChain", "FixedThresholdClassifier", "OneVsRestClassifier", "SelfTrainingClassifier")
OF_SEVERAL = ("StackingClassifier", "VotingClassifier")


def fitted(name: str, kind: Any, rows: Any, labels: Any) -> Any:
    """None where the classifier has no probabilities or does not take such rows."""
    settings: dict[str, Any] = {}
    if name in AROUND_ANOTHER:
        settings = {"estimator": LogisticRegression()}
    if name in OF_SEVERAL:
        settings = {"estimators": [("a", LogisticRegression()), ("b", LogisticRegression(C=0.1))]}
    if name == "VotingClassifier":
        settings["voting"] = "soft"
    try:
        model = kind(**settings).fit(rows, labels)
    except (TypeError, ValueError, IndexError):
        return None
    return model if hasattr(model, "predict_proba") else None


@pytest.mark.parametrize("classes", [2, 3])
def test_every_classifier_answers_the_same(classes: int) -> None:
    rows, labels = make_classification(150, 8, n_informative=5, n_classes=classes, random_state=0)
    rows = np.abs(rows).round()  # ties, and what naive Bayes on counts takes
    names = np.array(["no", "yes", "perhaps"])[labels]
    seen = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, kind in all_estimators("classifier"):
            model = fitted(name, kind, rows, names)
            if model is None:
                continue
            reference = copy.deepcopy(model)
            asked = SklearnModel(model)
            for size in (1, 64):
                told = asked.predict(rows[:size])
                assert np.array_equal(told["predictions"], reference.predict(rows[:size])), name
                assert np.array_equal(told["probabilities"], reference.predict_proba(rows[:size])), name
            seen += 1
    assert seen > 20


def test_a_pipeline_transforms_once_and_answers_the_same() -> None:
    rows, labels = make_classification(150, 8, random_state=0)
    model = make_pipeline(StandardScaler(), "passthrough", LogisticRegression()).fit(rows, labels)
    reference = copy.deepcopy(model)
    told = SklearnModel(model).predict(rows)
    assert np.array_equal(told["predictions"], reference.predict(rows))
    assert np.array_equal(told["probabilities"], reference.predict_proba(rows))
