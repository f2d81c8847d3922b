"""Linear models: weights, intercept, and how scores become an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.server.compiling.columns import Columns, Dense, Joined, Looked, Source, Unfit, Words, dense
from mlship.server.compiling.heads import head_of, scores_head

CLASSIFIERS = (
    *("LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "LinearSVC", "RidgeClassifier", "RidgeClassifierCV"),
    *("Perceptron", "PassiveAggressiveClassifier", "LinearDiscriminantAnalysis", "MultinomialNB"),
)
REGRESSORS = (
    *("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "SGDRegressor", "LinearSVR"),
    *("Lars", "LarsCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "BayesianRidge", "ARDRegression", "HuberRegressor"),
    *("TheilSenRegressor", "OrthogonalMatchingPursuit", "PassiveAggressiveRegressor", "QuantileRegressor"),
)
LINEAR = frozenset((*CLASSIFIERS, *REGRESSORS))


def linear(estimator: Any, kind: str, method: str, source: Source, columns: Columns) -> dict[str, Any]:
    """The plan's `linear` and `head`. Raises Unfit."""
    import numpy

    is_bayes = kind == "MultinomialNB"
    coefficients = estimator.feature_log_prob_ if is_bayes else estimator.coef_
    if hasattr(coefficients, "toarray"):
        raise Unfit("its weights are sparse")
    weights = numpy.atleast_2d(numpy.asarray(coefficients, dtype="float64"))
    if weights.shape[1] != source.width:
        raise Unfit(f"{kind} has {weights.shape[1]} weights for {source.width} columns")
    constant = estimator.class_log_prior_ if is_bayes else estimator.intercept_
    intercept = numpy.zeros(len(weights)) + numpy.asarray(constant, dtype="float64").reshape(-1)
    said = {**_scores(weights, source, columns), "intercept": columns.keep(intercept)}
    return {"linear": said, "head": _head(estimator, kind, method)}


def _scores(weights: Any, source: Source, columns: Columns) -> dict[str, Any]:
    """Looked-up columns as the scores that they bring, the others as numbers times weights."""
    import numpy

    parts = source.parts if isinstance(source, Joined) else (source,)
    lookups: list[Mapping[str, Any]] = []
    texts: list[Mapping[str, Any]] = []
    numbers: list[Dense] = []
    of_numbers: list[Any] = []
    first = 0
    for part in parts:
        span = weights[:, first : first + part.width]
        first += part.width
        if isinstance(part, Looked):
            lookups.append({**part.node, "table": columns.keep(part.table @ span.T)})
        elif isinstance(part, Words):
            texts.append({**part.node, "weights": columns.keep(span.T)})
        else:
            numbers.append(dense(part, columns))
            of_numbers.append(span)
    said = {"lookups": lookups, "texts": texts}
    if not numbers:
        return {"dense": None, "weights": columns.keep(weights[:, :0]), **said}
    whole = numbers[0] if len(numbers) == 1 else dense(Joined(tuple(numbers)), columns)
    return {"dense": whole.node, "weights": columns.keep(numpy.concatenate(of_numbers, axis=1)), **said}


def _head(estimator: Any, kind: str, method: str) -> dict[str, Any]:
    if kind in REGRESSORS:
        if method not in ("", "predict"):
            raise Unfit(f"{kind} has no {method}")
        return scores_head(flat=getattr(estimator.coef_, "ndim", 1) == 1)
    if (
        getattr(estimator, "loss", "log_loss") not in _LOSSES_WITHOUT
        and kind == "SGDClassifier"
        and method != "decision_function"
    ):
        raise Unfit(f"SGDClassifier with loss={estimator.loss!r} has probabilities of its own")
    has_shares = hasattr(estimator, "predict_proba")
    link = _link(estimator, kind) if has_shares else "none"
    return head_of(estimator, method, link, has_shares=has_shares)


# of SGDClassifier: those without probabilities, and the one whose are those of a logistic regression
_LOSSES_WITHOUT = (
    *("log_loss", "hinge", "squared_hinge", "perceptron", "squared_error", "huber"),
    *("epsilon_insensitive", "squared_epsilon_insensitive"),
)


def _link(estimator: Any, kind: str) -> str:
    """One score is of two classes; of several, liblinear and SGD take each class against all others."""
    if kind == "MultinomialNB":
        return "softmax"
    if len(estimator.classes_) == 2:
        return "expit"
    is_each = kind == "SGDClassifier" or getattr(estimator, "solver", "") == "liblinear"
    return "ovr" if is_each or getattr(estimator, "multi_class", "") == "ovr" else "softmax"
