"""What the fitted parts of a model tell about each input column: its type, its known values, whether a hole is filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlship.server.runtimes.sklearn_parts import inside, kind_of

_ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
_FILLERS = ("SimpleImputer", "KNNImputer", "IterativeImputer", "MissingIndicator")
_TEXT = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")


@dataclass(frozen=True)
class Fact:
    """dtype: empty when nothing tells. categories: the closed set, None when open. refuses_null: an encoder that saw none."""

    dtype: str = ""
    categories: tuple[Any, ...] | None = None
    is_filled: bool = False
    refuses_null: bool = False


def facts(estimator: Any, names: Sequence[Any]) -> dict[Any, Fact]:
    """Column -> what is known of it; columns that nothing looks at are missing. names: as the model's input has them."""
    kind = kind_of(estimator)
    if kind == "Pipeline":
        return facts_of_steps([step for _, step in estimator.steps], names)
    if kind == "ColumnTransformer":
        return _of_columns(estimator, names)
    if kind in _ENCODERS:
        return _of_encoder(estimator, names)
    if kind in _FILLERS:
        dtype = "float64" if getattr(getattr(estimator, "_fit_dtype", None), "kind", "O") in "biuf" else ""
        return {name: Fact(dtype, is_filled=True) for name in names}
    if kind in _TEXT:
        return {name: Fact("string", refuses_null=True) for name in names}
    if kind.startswith("HistGradientBoosting") and getattr(estimator, "_preprocessor", None) is not None:
        return _of_boosted_categories(estimator, names)
    inner = inside(estimator)
    if inner is not None:
        return facts(inner, names)
    if kind == "FeatureUnion":
        return _merged([facts(part, names) for _, part in estimator.transformer_list if not isinstance(part, str)], names)
    if type(estimator).__module__.startswith("sklearn.") and kind != "FunctionTransformer":
        return {name: Fact("" if _keeps_types(kind) else "float64") for name in names}
    return {name: Fact() for name in names}


def _keeps_types(kind: str) -> bool:
    # trees of gradient boosting take pandas categories; the others of these pass columns on or hand them to parts of their own
    return kind.startswith(
        ("HistGradientBoosting", "Voting", "Stacking", "Bagging", "MultiOutput", "OneVs", "Calibrated", "Dummy")
    )


def facts_of_steps(steps: list[Any], names: Sequence[Any]) -> dict[Any, Fact]:
    """A filler hands the same columns to the next step; what other steps hand on are not the input's columns any more."""
    known: dict[Any, Fact] = {}
    for step in steps:
        if step is None or isinstance(step, str):
            continue
        found = facts(step, names)
        known = {name: _joined(known[name], found.get(name, Fact())) for name in known} if known else found
        is_plain_filler = kind_of(step) == "SimpleImputer" and not step.add_indicator
        if not is_plain_filler:
            break
    return known


def _of_columns(transformer: Any, names: Sequence[Any]) -> dict[Any, Fact]:
    found: list[dict[Any, Fact]] = []
    for _, part, wanted in transformer.transformers_:
        chosen = selected(wanted, names)
        if isinstance(part, str):
            found.append({name: Fact() for name in chosen} if part == "passthrough" else {})
        else:
            found.append(facts(part, chosen))
    return _merged(found, names)


def selected(wanted: Any, names: Sequence[Any]) -> list[Any]:
    """The columns that a ColumnTransformer's specification means: names, positions, a slice or a mask."""
    if isinstance(wanted, str):
        return [wanted]
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        return [names[wanted]]
    if isinstance(wanted, slice):
        return _sliced(wanted, names)
    if hasattr(wanted, "tolist"):
        wanted = wanted.tolist()
    listed = list(wanted) if not callable(wanted) else []
    if listed and all(isinstance(item, bool) for item in listed):
        return [name for name, is_in in zip(names, listed, strict=False) if is_in]
    return [item if isinstance(item, str) else names[item] for item in listed]


def _sliced(wanted: slice, names: Sequence[Any]) -> list[Any]:
    if not isinstance(wanted.start, str) and not isinstance(wanted.stop, str):
        return list(names[wanted])
    start = names.index(wanted.start) if wanted.start is not None else 0
    stop = names.index(wanted.stop) + 1 if wanted.stop is not None else len(names)  # names include their end, as in pandas
    return list(names[start:stop])


def _of_encoder(encoder: Any, names: Sequence[Any]) -> dict[Any, Fact]:
    is_closed = getattr(encoder, "handle_unknown", "") == "error"
    return {
        name: _of_times(categories) if categories.dtype.kind == "M" else _of_categories(categories.tolist(), is_closed)
        for name, categories in zip(names, getattr(encoder, "categories_", ()), strict=False)
    }


def _of_boosted_categories(estimator: Any, names: Sequence[Any]) -> dict[Any, Fact]:
    """The trees take holes, and what is no known category as a hole: the set is open."""
    known = facts(estimator._preprocessor, names)
    return {
        name: replace(fact, dtype=fact.dtype or "float64", is_filled=True, refuses_null=False) for name, fact in known.items()
    }


def _of_categories(values: list[Any], is_closed: bool) -> Fact:
    present = [value for value in values if not is_missing(value)]
    kinds = {type(value) for value in present}
    dtype = {frozenset({str}): "string", frozenset({bool}): "bool", frozenset({int}): "int64", frozenset({float}): "float64"}
    return Fact(
        dtype=dtype.get(frozenset(kinds), "any"),
        categories=tuple(present) if is_closed and kinds <= {str, bool, int, float} else None,
        refuses_null=len(present) == len(values),
    )


def _of_times(categories: Any) -> Fact:
    """Of datetime64, which a list would show as whole numbers, or as times without their nanoseconds."""
    import numpy

    return Fact("datetime", refuses_null=not numpy.isnat(categories).any())


def is_missing(value: Any) -> bool:
    """None, NaN, pandas' NA and NaT."""
    return value is None or value != value or type(value).__name__ in ("NAType", "NaTType")


def _merged(found: list[dict[Any, Fact]], names: Sequence[Any]) -> dict[Any, Fact]:
    """A column that goes to several parts is what all of them need."""
    merged: dict[Any, Fact] = {}
    for part in found:
        for name, fact in part.items():
            merged[name] = (
                _joined(merged[name], fact, is_filled=merged[name].is_filled and fact.is_filled) if name in merged else fact
            )
    return {name: merged[name] for name in names if name in merged}


def _joined(first: Fact, second: Fact, is_filled: bool | None = None) -> Fact:
    filled = first.is_filled or second.is_filled if is_filled is None else is_filled
    return replace(
        second,
        dtype=first.dtype or second.dtype,
        categories=first.categories if second.categories is None else second.categories,
        is_filled=filled,
        refuses_null=(first.refuses_null or second.refuses_null) and not filled,
    )
