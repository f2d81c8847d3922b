"""The signature of a fitted scikit-learn model: what its parts say, what its sample shows, and what it answers when asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from mlship.server import manifest
from mlship.server.core import ServedModel
from mlship.server.problems import InputError, ModelFailed
from mlship.server.runtimes import observed
from mlship.server.runtimes.sklearn_columns import Fact, facts
from mlship.server.runtimes.sklearn_own_steps import closed, facts_behind
from mlship.server.runtimes.sklearn_parts import kind_of, parts, takes_dicts, takes_text

MAX_PROBED = 300  # features that are asked one by one whether null may be
MAX_FEATURES = 100_000
_BY_NAME = ("ColumnTransformer", "FunctionTransformer")


class Asked(Protocol):
    """The loaded model: a LoadedModel that shows its estimator."""

    estimator: Any

    @property
    def title(self) -> str: ...

    def predict(self, rows: Any) -> Any: ...

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature: ...


def signature(model: Asked, sample: tuple[Any, ...]) -> manifest.Signature:
    """sample: rows as objects, lists or bare values; may be empty."""
    estimator = model.estimator
    if takes_text(estimator):
        found = manifest.Signature((manifest.Feature("text", "string"),), container="array")
    elif takes_dicts(estimator):
        found = manifest.Signature(container="list")
    else:
        found = _of_columns(model, sample)
    row = _first_row(found, sample)
    return replace(
        found, outputs=observed.observed_outputs(model, found, (row,) if row is not None else (), classes_of(estimator))
    )


def classes_of(estimator: Any) -> tuple[Any, ...] | None:
    """The labels of a classifier with one output, in the order of its probabilities."""
    classes = getattr(estimator, "classes_", None)
    if classes is None or not hasattr(classes, "tolist") or getattr(classes, "ndim", 1) != 1:
        return None
    return tuple(classes.tolist())


def _of_columns(model: Asked, sample: tuple[Any, ...]) -> manifest.Signature:
    estimator = model.estimator
    seen = observed.columns(sample)
    is_named = hasattr(estimator, "feature_names_in_")
    names = _names(estimator, seen)
    if len(names) > MAX_FEATURES:
        return manifest.Signature(container="array")
    known = _facts(estimator, names)
    is_selected = is_named and not (seen and isinstance(sample[0], list))
    inputs = tuple(
        _feature(name, known.get(name), seen.get(name, []), _is_fixed(estimator))
        for name in names
        if name in known or not is_selected or name in seen
    )
    by_name = is_named or (bool(seen) and isinstance(sample[0], dict))
    container: manifest.Container = "frame" if by_name and _needs_frame(estimator, inputs) else "array"
    found = manifest.Signature(inputs=inputs, container=container, named=by_name)
    found = _with_dates(model, found, sample) if sample else _with_numbers(model, found)
    found, known = _with_own_steps(model, found, known, sample)
    return replace(found, inputs=_with_nulls(model, found, known, sample))


def _with_own_steps(
    model: Asked, found: manifest.Signature, known: dict[str, Fact], sample: tuple[Any, ...]
) -> tuple[manifest.Signature, dict[str, Fact]]:
    """What parts behind the user's own first steps know, where the sample passes those unchanged and the model agrees."""
    taken = replace(found, inputs=tuple(replace(feature, nullable=True) for feature in found.inputs))
    behind = facts_behind(model.estimator, taken, sample)
    row = _first_row(taken, sample)
    if not behind or row is None:
        return found, known
    asked = ServedModel(_entry(taken), model)
    names = [feature.name for feature in found.inputs]
    for name in [name for name in names if name in behind]:
        place = names.index(name)
        known[name] = closed(behind[name], lambda value, at=place: _answers(asked, [*row[:at], value, *row[at + 1 :]]))  # type: ignore[misc]
    inputs = tuple(
        replace(feature, categories=known[feature.name].categories) if feature.name in behind else feature
        for feature in found.inputs
    )
    return replace(found, inputs=inputs), known


def _with_dates(model: Asked, found: manifest.Signature, sample: tuple[Any, ...]) -> manifest.Signature:
    """Words that are all dates become dates where the model fails on words: it was trained on what pandas parsed."""
    dated = {name for name, values in observed.columns(sample).items() if observed.are_dates(values)}
    inputs = tuple(
        replace(feature, dtype="datetime") if feature.name in dated and feature.dtype == "string" else feature
        for feature in found.inputs
    )
    if inputs == found.inputs or _takes(model, found, sample):
        return found
    as_dates = replace(found, inputs=inputs, container="frame")
    return as_dates if _takes(model, as_dates, sample) else found


def _with_numbers(model: Asked, found: manifest.Signature) -> manifest.Signature:
    """Columns that nothing tells of become numbers where the model fails on words and answers numbers: a function was first."""
    inputs = tuple(replace(feature, dtype="float64") if feature.dtype == "any" else feature for feature in found.inputs)
    if inputs == found.inputs or _takes(model, found, ()):
        return found
    as_numbers = replace(found, inputs=inputs)
    return as_numbers if _takes(model, as_numbers, ()) else found


def _takes(model: Asked, found: manifest.Signature, sample: tuple[Any, ...]) -> bool:
    taken = replace(found, inputs=tuple(replace(feature, nullable=True) for feature in found.inputs))
    row = _first_row(taken, sample)
    return row is not None and _answers(ServedModel(_entry(taken), model), row)


def _names(estimator: Any, seen: dict[str, list[Any]]) -> list[str]:
    """The model's own feature names; else as many as it was trained with; else those of the sample."""
    if hasattr(estimator, "feature_names_in_"):
        return [str(name) for name in estimator.feature_names_in_]
    count = getattr(estimator, "n_features_in_", None)
    if isinstance(count, int) and count != len(seen):
        return [f"x{index}" for index in range(count)]
    return list(seen)


def _facts(estimator: Any, names: list[str]) -> dict[str, Fact]:
    # a user's subclass may keep its parts in a form of its own: then the sample tells
    with suppress(AttributeError, TypeError, ValueError, LookupError):
        return facts(estimator, names)
    return {name: Fact() for name in names}


def _feature(name: str, fact: Fact | None, values: Sequence[Any], is_fixed: bool) -> manifest.Feature:
    shown = observed.dtype_of(values) if any(value is not None for value in values) else ""
    told = fact.dtype if fact is not None else ""
    if is_fixed and not told and shown != "string":
        told = "float64"
    dtype = told or shown or "any"
    categories = fact.categories if fact is not None else None
    return observed.with_range(manifest.Feature(name, dtype, categories=categories, nullable=fact is None), values)


def _is_fixed(estimator: Any) -> bool:
    """True when every part is scikit-learn's own: then a column of unknown type is a number."""
    return all(
        type(part).__module__.startswith("sklearn.") and kind_of(part) != "FunctionTransformer" for part in parts(estimator)
    )


def _needs_frame(estimator: Any, inputs: tuple[manifest.Feature, ...]) -> bool:
    """False only where columns are never selected by name and all are numbers: then an array gives the same, sooner."""
    is_plain = all(feature.dtype.startswith(("float", "int", "uint", "bool")) for feature in inputs)
    by_name = any(kind_of(part) in _BY_NAME or getattr(part, "_preprocessor", None) is not None for part in parts(estimator))
    return by_name or not is_plain or not _is_fixed(estimator)


def _with_nulls(
    model: Asked, found: manifest.Signature, known: dict[str, Fact], sample: tuple[Any, ...]
) -> tuple[manifest.Feature, ...]:
    """Whether null may be, is asked: the model answers a row with a hole or it does not.

    An encoder that ignores unknown values answers too; what it was never trained with is still no normal input.
    """
    open_inputs = tuple(replace(feature, nullable=True) for feature in found.inputs)
    row = _first_row(replace(found, inputs=open_inputs), sample)
    if row is None or not found.inputs:
        return tuple(replace(feature, nullable=_is_filled(known, feature)) for feature in found.inputs)
    asked = ServedModel(_entry(replace(found, inputs=open_inputs)), model)
    if not _answers(asked, row):
        return tuple(replace(feature, nullable=_is_filled(known, feature)) for feature in found.inputs)
    may_be = [not (known.get(feature.name) or Fact()).refuses_null for feature in found.inputs]
    if _answers(asked, [None if may else value for may, value in zip(may_be, row, strict=True)]):
        taken = may_be
    elif len(row) <= MAX_PROBED:
        taken = [may and _answers(asked, [*row[:index], None, *row[index + 1 :]]) for index, may in enumerate(may_be)]
    else:
        taken = [_is_filled(known, feature) for feature in found.inputs]
    return tuple(replace(feature, nullable=is_taken) for feature, is_taken in zip(found.inputs, taken, strict=True))


def _is_filled(known: dict[str, Fact], feature: manifest.Feature) -> bool:
    return feature.nullable or (known.get(feature.name) or Fact()).is_filled


def _answers(asked: ServedModel, row: list[Any]) -> bool:
    try:
        answer = asked.answer([row])
    except (InputError, ModelFailed):
        return False
    return None not in answer["predictions"]


def _entry(found: manifest.Signature) -> manifest.Model:
    return manifest.Model(name="", framework="sklearn", format="", path="", sha256="", signature=found)


def _first_row(found: manifest.Signature, sample: tuple[Any, ...]) -> Any:
    """A whole row in the signature's order: from the sample, else made of known categories and ones."""
    if not found.inputs:
        return sample[0] if sample else None
    if found.inputs[0].name == "text" and len(found.inputs) == 1:
        return [sample[0] if sample and isinstance(sample[0], str) else "text"]
    if sample and isinstance(sample[0], list):
        whole = [row for row in sample if isinstance(row, list) and len(row) == len(found.inputs)]
        return next((row for row in whole if None not in row), _first_values(whole, range(len(found.inputs))))
    if sample and isinstance(sample[0], dict):
        return _row_of_objects(found, sample)
    return [_made_up(feature) for feature in found.inputs]


def _row_of_objects(found: manifest.Signature, sample: tuple[Any, ...]) -> list[Any] | None:
    """As _first_values; only rows that name all features count."""
    names = [feature.name for feature in found.inputs]
    whole = [row for row in sample if isinstance(row, dict) and all(name in row for name in names)]
    return _first_values(whole, names)


def _first_values(rows: Sequence[Any], places: Sequence[Any]) -> list[Any] | None:
    """Of each column the first value that is not null; None without rows."""
    return [next((row[at] for row in rows if row[at] is not None), None) for at in places] if rows else None


def _made_up(feature: manifest.Feature) -> Any:
    if feature.categories:
        return feature.categories[0]
    return {"string": "", "bool": False, "any": "", "datetime": "2000-01-01"}.get(
        feature.dtype, 1
    )  # a logarithm of 0 is no answer
