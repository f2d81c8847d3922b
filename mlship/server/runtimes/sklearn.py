"""scikit-learn models, and what is built to look like them: joblib, pickle and skops files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.pickle_load import load
from mlship.server.pickle_open import Refused
from mlship.server.runtimes import sklearn_signature
from mlship.server.runtimes.base import LoadedModel, LoadError
from mlship.server.runtimes.boosted import boosted, take_one_thread
from mlship.server.runtimes.sklearn_once import Checks, Once, is_linear
from mlship.server.runtimes.sklearn_parts import dense, is_fitted, parts, takes_text
from mlship.server.runtimes.sklearn_settled import settle_parts


class SklearnRuntime:
    """Loads through the exact-name reader; `trust` of the manifest entry is all that may be loaded besides."""

    fork_safe = True  # estimators are arrays and trees; OpenMP's threads (HistGradientBoosting) start when one is first asked

    def load(self, model: manifest.Model, root: Path) -> LoadedModel:
        """A booster's wrapper that stands alone is served as its booster. Raises LoadError, also for a model that reads files
        which a request names.

        ImportError, AttributeError: a package is missing or of another version than the file needs.
        """
        try:
            estimator, found = load(root / model.path, model.trust)
        except Refused as refused:
            raise LoadError(str(refused)) from refused
        if not any(hasattr(estimator, method) for method in ("predict", "transform", model.method or "predict")):
            raise LoadError(_no_model(estimator, found.keys))
        if not is_fitted(estimator):
            what = f"the {type(estimator).__name__} in the file was never fitted"
            raise LoadError(what) from Refused(what, "call fit before joblib.dump, and save it again", "not-fitted")
        if (alone := boosted(estimator, model.method)) is not None:
            return alone
        for part in parts(estimator):
            # one request is one batch: threads inside the model only wait for each other
            take_one_thread(part)
            if getattr(part, "n_jobs", None) not in (None, 1):
                part.n_jobs = 1
        settle_parts(estimator)
        return SklearnModel(estimator, model.method, are_floats(model.signature))


class SklearnModel:
    """A fitted estimator. method: what to call; empty for predict, or transform where there is no predict."""

    def __init__(self, estimator: Any, method: str = "", is_checked: bool = False) -> None:
        """is_checked: rows are float64 and finite when they come here. Raises LoadError when the estimator has no such method."""
        self.estimator = estimator
        self.has_own_code = not is_linear(estimator)
        self._takes_text = takes_text(estimator)
        self._method = method or ("predict" if hasattr(estimator, "predict") else "transform")
        self._has_probabilities = not method and self._method == "predict" and hasattr(estimator, "predict_proba")
        if not hasattr(estimator, self._method):
            known = [name for name in _METHODS if hasattr(estimator, name)]
            raise LoadError(
                f"{self.title} has no {self._method}; it has {', '.join(known) or 'no method that answers new rows'}"
            )
        self._once = Once(estimator) if self._has_probabilities else None
        self._checks = Checks(estimator, is_checked)
        # arrays are given on purpose where the model does not select by name
        warnings.filterwarnings("ignore", message="X does not have valid feature names")

    @property
    def title(self) -> str:
        return type(self.estimator).__name__

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """rows: DataFrame or array (batch, features) as the signature says; for a text model an array (batch, 1) of strings.

        Returns `predictions` and, for a classifier that has them, `probabilities`: (batch, classes), for several outputs a list
        of one such list for each output in each row. Raises whatever the estimator raises.
        """
        taken = rows[:, 0].tolist() if self._takes_text and getattr(rows, "ndim", 1) == 2 else rows
        self._checks.leave_out()
        if self._once is None:
            return {"predictions": dense(getattr(self.estimator, self._method)(taken))}
        predictions, probabilities = self._once.predict(taken)
        return {"predictions": dense(predictions), "probabilities": dense(probabilities)}

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        return sklearn_signature.signature(self, sample)


def are_floats(signature: manifest.Signature) -> bool:
    """True where the server lets nothing but finite numbers of float64 through."""
    features = signature.inputs
    return bool(features) and all(feature.dtype == "float64" and not feature.nullable for feature in features)


_METHODS = ("predict", "predict_proba", "decision_function", "transform", "score_samples")


def _no_model(estimator: Any, keys: tuple[str, ...]) -> str:
    kind = type(estimator).__name__
    if keys:
        shown = ", ".join(map(repr, keys[:6]))
        return f"the file holds a dict with {shown}, not a model; save the model alone: joblib.dump(d[{keys[0]!r}], path)"
    if hasattr(estimator, "fit"):
        return f"{kind} cannot answer new rows: it has neither predict nor transform"
    return f"the file holds a {kind}, not a model with predict; save the fitted model itself"
