"""A fitted scikit-learn object seen as its parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_TEXT = frozenset({"CountVectorizer", "TfidfVectorizer", "HashingVectorizer"})
_DICTS = frozenset({"DictVectorizer", "FeatureHasher"})
# attributes under which meta-estimators keep the one that answers for them
INNER = ("best_estimator_", "regressor_", "estimator_", "final_estimator_")
_MANY = ("estimators_", "calibrated_classifiers_", "transformer_list", "steps", "transformers_")


def parts(estimator: Any) -> Iterator[Any]:
    """The object and every fitted part in it, outermost first, each once."""
    seen: set[int] = set()
    waiting = [estimator]
    while waiting:
        part = waiting.pop(0)
        if id(part) in seen or isinstance(part, str) or part is None:
            continue
        seen.add(id(part))
        yield part
        waiting.extend(_children(part))


def takes_text(estimator: Any) -> bool:
    """True when each row is one text, not a list of features."""
    return kind_of(first_step(estimator)) in _TEXT


def takes_dicts(estimator: Any) -> bool:
    """True when each row is a dict of any keys."""
    return kind_of(first_step(estimator)) in _DICTS


def first_step(estimator: Any) -> Any:
    """What sees the rows first."""
    while True:
        inner = inside(estimator)
        if inner is not None:
            estimator = inner
        elif kind_of(estimator) == "Pipeline" and estimator.steps:
            real = [step for _, step in estimator.steps if step is not None and not isinstance(step, str)]
            if not real:
                return estimator
            estimator = real[0]
        elif kind_of(estimator) in ("FeatureUnion", "VotingClassifier", "VotingRegressor"):
            fitted = [part for part in _children(estimator) if not isinstance(part, str)]
            if not fitted:
                return estimator
            estimator = fitted[0]
        else:
            return estimator


def inside(estimator: Any) -> Any:
    """The fitted estimator that a search or wrapper answers with; None when there is none, or when there are several."""
    if kind_of(estimator) == "FrozenEstimator":
        return estimator.estimator
    if kind_of(estimator) in ("StackingClassifier", "StackingRegressor"):
        return None
    for name in INNER:
        inner = getattr(estimator, name, None)
        # boosters keep an unfitted template under the same name
        if inner is not None and hasattr(inner, "n_features_in_" if hasattr(estimator, "n_features_in_") else "fit"):
            return inner
    return None


def is_fitted(estimator: Any) -> bool:
    """Whether fit was ever called. Only what says so itself and scikit-learn's own predictors are judged, by the rule of its
    check_is_fitted: what was learned is kept under names that end with one underscore. Others may keep it under any name.
    """
    last = estimator
    while kind_of(last) == "Pipeline" and last.steps:
        last = last.steps[-1][1]
    if isinstance(last, type) or last is None:
        return True
    if (told := getattr(last, "__sklearn_is_fitted__", None)) is not None:
        return bool(told())
    if not type(last).__module__.startswith("sklearn.") or not hasattr(last, "predict"):
        return True
    return any(name.endswith("_") and not name.startswith("__") for name in vars(last))


def dense(values: Any) -> Any:
    """Arrays of any kind as numpy arrays; several outputs' probabilities as one list for each row."""
    if type(values).__module__ == "numpy":
        return values
    if hasattr(values, "toarray"):
        return values.toarray()
    if hasattr(values, "to_numpy"):
        return values.to_numpy()
    if isinstance(values, list) and values and all(hasattr(value, "ndim") and value.ndim == 2 for value in values):
        return [[value[row].tolist() for value in values] for row in range(len(values[0]))]
    return values


def _children(part: Any) -> list[Any]:
    found = [inside(part)]
    for name in _MANY:
        several = getattr(part, name, None)
        if several is None or isinstance(several, str):
            continue
        if hasattr(several, "ravel"):
            several = several.ravel().tolist()
        for item in several:
            found.append(item[1] if isinstance(item, tuple) and len(item) in (2, 3) else getattr(item, "estimator", item))
    return [item for item in found if item is not None]


def kind_of(part: Any) -> str:
    """The class name of scikit-learn's own classes, also through subclasses of users."""
    for cls in type(part).__mro__:
        if cls.__module__.startswith("sklearn."):
            return cls.__name__
    return type(part).__name__
