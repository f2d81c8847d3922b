"""predict and predict_proba of one batch, with what both need computed once, and without checks that the server has made.

Nothing is computed in another way than scikit-learn does: its own methods run, and where both call the same method with the very
same array, the second call is given a copy of the first one's result. So the answers are equal by construction, ties included:
classes by argmax of the probabilities would not be (two scores that differ may have equal probabilities).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

from mlship.server.runtimes.sklearn_parts import kind_of

# methods by which predict and predict_proba of scikit-learn's classifiers come to their answers, of one argument, without state
SHARED = ("decision_function", "predict_proba", "_raw_predict", "_forward_pass_fast")

# Alone in front of the caller's rows, these refuse only what is not finite in float64, which the server has refused before. Behind
# other steps, and in trees (float32), a number may become infinite on the way: there scikit-learn goes on looking.
LINEAR = (
    *(
        "LogisticRegression",
        "LogisticRegressionCV",
        "LinearRegression",
        "Ridge",
        "RidgeCV",
        "RidgeClassifier",
        "Lasso",
        "LassoCV",
    ),
    *("ElasticNet", "ElasticNetCV", "SGDClassifier", "SGDRegressor", "LinearSVC", "LinearSVR", "Perceptron"),
)


class Once:
    """The two methods of a classifier for one batch after the other; from one thread at a time."""

    def __init__(self, estimator: Any) -> None:
        self._before, self._last = _steps(estimator)
        self._memos = [Memo(self._last, name) for name in SHARED if _is_own(self._last, name)]

    def predict(self, rows: Any) -> tuple[Any, Any]:
        """What predict and predict_proba give for the rows."""
        for step in self._before:
            rows = step.transform(rows)
        try:
            return self._last.predict(rows), self._last.predict_proba(rows)
        finally:
            for memo in self._memos:
                memo.forget()


class Memo:
    """Stands for a method of an estimator, and remembers the last array that it was given with what came out."""

    def __init__(self, estimator: Any, name: str) -> None:
        self._method: Callable[..., Any] = getattr(estimator, name)
        self._given: Any = None
        self._result: Any = None
        setattr(estimator, name, self)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if len(arguments) != 1 or named:
            return self._method(*arguments, **named)
        if arguments[0] is not self._given:
            result = self._method(*arguments)
            if not hasattr(result, "dtype"):  # several outputs: a list of arrays
                return result
            self._given, self._result = arguments[0], result
        # the callers write into it
        return self._result.copy()

    def forget(self) -> None:
        """Lets go of the arrays."""
        self._given = self._result = None


class Checks:
    """scikit-learn's configuration of the thread in which a model is asked: set where it changes, not once a call.

    What is set holds for every model that the thread asks, also for one whose numbers have to be looked at.
    """

    _set: ClassVar[dict[int, bool]] = {}  # thread -> whether it takes all numbers for finite

    def __init__(self, estimator: Any, is_checked: bool) -> None:
        """is_checked: every value that the model receives is known to be a finite float64."""
        self._assume_finite = is_checked and is_linear(estimator)

    def leave_out(self) -> None:
        """Turns off, in this thread, what need not be checked."""
        thread = threading.get_ident()
        if self._set.get(thread) is self._assume_finite:
            return
        import sklearn

        sklearn.set_config(assume_finite=self._assume_finite, skip_parameter_validation=True)
        self._set[thread] = self._assume_finite


def is_linear(estimator: Any) -> bool:
    """True for a linear model of scikit-learn's own that stands alone."""
    return kind_of(estimator) in LINEAR and _is_sklearns(estimator)


def _steps(estimator: Any) -> tuple[list[Any], Any]:
    """What Pipeline.predict does: transform by each step, then ask the last; for anything else no steps."""
    if type(estimator).__name__ != "Pipeline" or not _is_sklearns(estimator):
        return [], estimator
    *before, last = [step for _, step in estimator.steps]
    return [step for step in before if step is not None and not isinstance(step, str)], last


def _is_own(estimator: Any, name: str) -> bool:
    """True where the method and those that call it are scikit-learn's: a user's own class may have state."""
    return _is_sklearns(estimator) and callable(getattr(estimator, name, None))


def _is_sklearns(estimator: Any) -> bool:
    return type(estimator).__module__.startswith("sklearn.")
