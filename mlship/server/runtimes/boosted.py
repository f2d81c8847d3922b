"""Boosted trees of any library behind the interface of the core: words to codes, scores to classes and probabilities.

Nothing of pandas is needed: a column of categories is coded by the words that the file itself holds, in their order, which is
what the libraries do with a DataFrame.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlship.server import manifest
from mlship.server.boosted_header import Column, Header
from mlship.server.runtimes import observed
from mlship.server.runtimes.base import LoadedModel, LoadError

Ask = Callable[[Any], Any]  # rows -> scores: (batch,), or (batch, classes), as the library gives them

# whose objects a pickle may hold; each has a file of its name here
_LIBRARIES = ("xgboost", "lightgbm", "catboost")


def boosted(estimator: Any, method: str) -> LoadedModel | None:
    """The model in a booster's scikit-learn wrapper, or in a booster that was pickled; None for anything else.

    method: of the manifest. Raises LoadError.
    """
    library = _runtime_of(estimator)
    found: LoadedModel | None = library.of_object(estimator, method) if library else None
    return found


def take_one_thread(part: Any) -> None:
    """Of a pipeline's part: where it is a booster's wrapper, it starts no threads when it is asked."""
    if (library := _runtime_of(part)) is not None:
        library.take_one_thread(part)


def _runtime_of(value: Any) -> Any:
    """The module that serves the library whose object this is; None for all others."""
    name = type(value).__module__.partition(".")[0]
    return importlib.import_module(f"mlship.server.runtimes.{name}") if name in _LIBRARIES else None


@dataclass(frozen=True)
class BoosterSource:
    """Where a model's trees are, for who compiles them. stop: of iterations, 0 for all. missing: the number that is none."""

    library: str = ""
    booster: Any = None
    stop: int = 0
    missing: float = float("nan")


class BoostedModel:
    """header: what the file says. ask: gives the library's scores for coded rows. title: for people."""

    def __init__(
        self,
        header: Header,
        ask: Ask,
        *,
        title: str = "",
        method: str = "",
        closed: bool = False,
        source: BoosterSource | None = None,
    ) -> None:
        """method: predict or predict_proba, `` for both. closed: the library fails on categories that it does not know.

        Raises LoadError for another method, or for probabilities of a model that has none.
        """
        self.header = header
        self.source = source or BoosterSource()
        self._ask = ask
        self._closed = closed
        self._has_probabilities = header.task != "value"
        self._method = method
        self._coder = Coder(header.columns) if header.has_words else None
        self.title = title or header.objective or "trees"
        known = ["predict", *(["predict_proba"] if self._has_probabilities else [])]
        if method and method not in known:
            raise LoadError(f"{self.title} has no {method}; it has {', '.join(known)}")

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """rows: float64 array (batch, features), NaN for null; an array of objects where some columns hold words.

        Returns `predictions`, and for a classifier `probabilities`: (batch, classes), for several labels a row (batch, labels).
        """
        scores = self._ask(rows if self._coder is None else self._coder.coded(rows))
        if not self._has_probabilities:
            return {"predictions": scores}
        predictions, probabilities = judged(self.header, scores)
        if self._method:
            return {"predictions": probabilities if self._method == "predict_proba" else predictions}
        return {"predictions": predictions, "probabilities": probabilities}

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        """Of the header; the sample gives ranges, and the shape of the answer. Null is taken in each column."""
        inputs = tuple(
            observed.with_range(feature(column, self._closed), values)
            for column, values in zip(self.header.columns, by_column(self.header, sample), strict=True)
        )
        return with_outputs(self, self.header, inputs, sample)


def judged(header: Header, scores: Any) -> tuple[Any, Any]:
    """Classes and probabilities of a classifier's scores; ties go to the first class, as the libraries decide them."""
    import numpy

    if header.task == "multilabel":
        return (scores > 0.5).astype("int64"), scores
    probabilities = numpy.column_stack((1.0 - scores, scores)) if scores.ndim == 1 else scores
    return numpy.asarray(header.labels)[probabilities.argmax(axis=1)], probabilities


def feature(column: Column, closed: bool) -> manifest.Feature:
    """How a caller writes the column's values."""
    if column.kind == "truth":
        return manifest.Feature(column.name, "bool", nullable=True)
    if column.kind == "category":
        dtype = "int64" if column.words is None else observed.dtype_of(column.words)
        return manifest.Feature(column.name, dtype, nullable=True, categories=column.words if closed else None)
    return manifest.Feature(column.name, "string" if column.kind == "text" else "float64", nullable=True)


def by_column(header: Header, sample: tuple[Any, ...]) -> list[list[Any]]:
    """The sample's values for each column: by name, or by place."""
    seen = observed.columns(sample)
    in_order = list(seen.values())
    by_place = len(in_order) == len(header.columns) and not (sample and isinstance(sample[0], dict))
    return [in_order[at] if by_place else seen.get(column.name, []) for at, column in enumerate(header.columns)]


def with_outputs(
    model: LoadedModel, header: Header, inputs: tuple[manifest.Feature, ...], sample: tuple[Any, ...]
) -> manifest.Signature:
    """The whole signature; without a sample a row is made up to see the answer's shape."""
    found = manifest.Signature(inputs=inputs, container="array", named=header.is_named)
    row = tuple(sample[:1]) or ([_made_up(feature, column) for feature, column in zip(inputs, header.columns, strict=True)],)
    outputs = observed.observed_outputs(model, found, row, header.labels or None)
    return manifest.Signature(inputs, outputs, "array", header.is_named)


def _made_up(feature: manifest.Feature, column: Column) -> Any:
    if column.words:
        return column.words[0]
    return {"string": "", "bool": False, "any": ""}.get(feature.dtype, 1)


class Coder:
    """Rows with words as an array of float64: each word as its place among the known ones, null and other words as NaN."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._codes = {
            place: {word: float(code) for code, word in enumerate(column.words)}
            for place, column in enumerate(columns)
            if column.kind == "category" and column.words is not None
        }

    def coded(self, rows: Any) -> Any:
        """rows: array of objects, (batch, features)."""
        import numpy

        nan = float("nan")
        array = numpy.empty(rows.shape, dtype="float64")
        for place in range(rows.shape[1]):
            column = rows[:, place].tolist()
            codes = self._codes.get(place)
            if codes is not None:
                array[:, place] = [codes.get(value, nan) for value in column]
            else:
                array[:, place] = [nan if value is None else value for value in column]
        return array
