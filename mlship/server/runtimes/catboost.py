"""CatBoost models: .cbm and JSON files, and what a pickle holds of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

from mlship.server import boosted_catboost, manifest
from mlship.server.boosted_header import Column, Header, Kind
from mlship.server.runtimes import observed
from mlship.server.runtimes.base import LoadedModel, LoadError
from mlship.server.runtimes.boosted import by_column, feature, with_outputs

_THREADS = 1  # one request is one batch: threads inside the model only wait for each other; the server's workers use the cores
_RAW = "RawFormulaVal"
_OBJECTS = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")


class CatboostRuntime:
    """Loads a file that save_model wrote, as `cbm` or `json`."""

    # with one thread it starts none, loading or asked, so a copy of the process can ask it too (tests/world/test_story_boosted.py)
    fork_safe = True

    def load(self, model: manifest.Model, root: Path) -> CatboostModel:
        """Raises LoadError; ImportError where there is no catboost."""
        import catboost

        loaded = catboost.CatBoost()
        try:
            loaded.load_model(str(root / model.path), format=model.format)
        except catboost.CatBoostError as error:
            raise LoadError(f"CatBoost {catboost.__version__} cannot read the file: {str(error)[:300]}") from error
        header = header_of(loaded)
        return CatboostModel(loaded, header, method=model.method, kind=_kind(header))


def of_object(estimator: Any, method: str) -> LoadedModel | None:
    """Of a model that was pickled."""
    name = type(estimator).__name__
    if name not in _OBJECTS:
        return None
    header = header_of(estimator)
    if name != "CatBoostClassifier":
        header = replace(header, task="value", labels=())
    return CatboostModel(
        estimator, header, title=name, method=method, kind=_kind(header) if name == "CatBoostRegressor" else _RAW
    )


def _kind(header: Header) -> str:
    """What a regressor's scores mean, as CatBoostRegressor takes them: the trees of Poisson give logarithms."""
    if header.objective.startswith(("Poisson", "Tweedie")):
        return "Exponent"
    return "RMSEWithUncertainty" if header.objective == "RMSEWithUncertainty" else _RAW


def take_one_thread(part: Any) -> None:
    """Of a model inside a pipeline, whose methods are asked without saying how many."""
    for name in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(part, name):
            setattr(part, name, partial(getattr(part, name), thread_count=_THREADS))


def header_of(model: Any) -> Header:
    """Of a loaded model. Raises LoadError for embeddings: a row of JSON has no form for them yet."""
    if model.get_embedding_feature_indices():
        raise LoadError("the model takes embeddings, which are not yet served; wrap it in a class of your own: model.loader")
    categories, texts = set(model.get_cat_feature_indices()), set(model.get_text_feature_indices())

    def kind(place: int) -> Kind:
        return "category" if place in categories else "text" if place in texts else "number"

    features = [(place, str(name), kind(place)) for place, name in enumerate(model.feature_names_)]
    return boosted_catboost.header_from(features, dict(model.get_metadata()))


class CatboostModel:
    """A CatBoost model behind the interface of the core. Raises LoadError for a method that it does not have."""

    def __init__(self, model: Any, header: Header, *, title: str = "", method: str = "", kind: str = _RAW) -> None:
        """kind: of the numbers that it gives, where it is no classifier, in CatBoost's words."""
        self._model = model
        self._kind = kind
        self._header = header
        self._method = method
        self._has_probabilities = header.task != "value"
        self._converts = [_CONVERTS[column.kind] for column in header.columns] if header.has_words else []
        self._roles = {
            f"{role}_features": [place for place, column in enumerate(header.columns) if column.kind == kind]
            for role, kind in (("cat", "category"), ("text", "text"))
        }
        self.title = title or header.objective or "trees"
        known = ["predict", *(["predict_proba"] if self._has_probabilities else [])]
        if method and method not in known:
            raise LoadError(f"{self.title} has no {method}; it has {', '.join(known)}")

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """rows: float64 array (batch, features), NaN for null; an array of objects where some columns hold words.

        Returns `predictions`, and for a classifier `probabilities`: (batch, classes), for several labels a row (batch, labels).
        """
        import catboost

        if not self._converts:
            pool = catboost.Pool(rows, thread_count=_THREADS)
        else:
            data = [[convert(value) for convert, value in zip(self._converts, row, strict=True)] for row in rows.tolist()]
            pool = catboost.Pool(
                data, thread_count=_THREADS, **{role: places for role, places in self._roles.items() if places}
            )
        if not self._has_probabilities:
            return {"predictions": self._asked(pool, self._kind)}
        if self._method:
            return {"predictions": self._asked(pool, "Class" if self._method == "predict" else "Probability")}
        return {"predictions": self._asked(pool, "Class"), "probabilities": self._asked(pool, "Probability")}

    def _asked(self, pool: Any, kind: str) -> Any:
        import catboost

        # of the class above all, because the others leave out or rename the kind
        values = catboost.CatBoost.predict(self._model, pool, prediction_type=kind, thread_count=_THREADS)
        is_column = kind == "Class" and values.ndim == 2 and values.shape[1] == 1  # of several classes
        return values[:, 0] if is_column else values

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        """Numbers may be null, categories and texts not: CatBoost refuses those. Any other category has an answer."""
        inputs = tuple(
            observed.with_range(_feature(column, values), values)
            for column, values in zip(self._header.columns, by_column(self._header, sample), strict=True)
        )
        return with_outputs(self, self._header, inputs, sample)


def _feature(column: Column, values: list[Any]) -> manifest.Feature:
    """Categories are words or whole numbers; which of them, only the sample shows."""
    if column.kind == "category":
        shown = observed.dtype_of(values)
        return manifest.Feature(column.name, shown if shown in ("string", "int64", "bool") else "any")
    return replace(feature(column, closed=False), nullable=column.kind == "number")


def _number(value: Any) -> Any:
    return nan if value is None else value


def _category(value: Any) -> Any:
    """As CatBoost hashes it: text, and numbers by their digits. Raises ValueError for what is neither."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int):
        raise ValueError(f"a category is a text or a whole number, not {str(value)[:60]!r}")
    return str(value)


_CONVERTS: dict[str, Callable[[Any], Any]] = {"category": _category, "number": _number, "truth": _number, "text": str}
