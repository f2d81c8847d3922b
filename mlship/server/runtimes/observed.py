"""What a sample shows: names, dtypes, ranges, and the shape of the answers to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mlship.server import manifest
from mlship.server.core import ServedModel
from mlship.server.problems import InputError, ModelFailed
from mlship.server.runtimes.base import LoadedModel

MAX_FEATURES = 10_000


def columns(sample: tuple[Any, ...]) -> dict[str, list[Any]]:
    """The sample by column: named by the keys of objects, `x0`, `x1` ... of lists, `value` of bare values."""
    if not sample:
        return {}
    if isinstance(sample[0], dict):
        names = list(dict.fromkeys(name for row in sample if isinstance(row, dict) for name in row))
        return {name: [row[name] for row in sample if isinstance(row, dict) and name in row] for name in names[:MAX_FEATURES]}
    if isinstance(sample[0], list):
        width = len(sample[0])
        return {f"x{index}": [row[index] for row in sample if len(row) == width] for index in range(min(width, MAX_FEATURES))}
    return {"value": list(sample)}


def dtype_of(values: Sequence[Any]) -> str:
    """`int64`, `float64`, `bool`, `string`, `datetime` where all values agree, null aside; else `any`."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int64" if None not in values else "float64"
    if kinds and kinds <= {int, float}:
        return "float64"
    return "string" if kinds == {str} else "any"


def are_dates(values: Sequence[Any]) -> bool:
    """True when every value is a date or time in ISO 8601, null aside, and there is one."""
    present = [value for value in values if value is not None]
    try:
        return bool([datetime.fromisoformat(value) for value in present])
    except (TypeError, ValueError):
        return False


def observed_features(sample: tuple[Any, ...]) -> tuple[manifest.Feature, ...]:
    """One feature for each column of the sample, nullable where a null stands in it."""
    return tuple(
        with_range(manifest.Feature(name, dtype_of(values), nullable=None in values), values)
        for name, values in columns(sample).items()
    )


def with_range(feature: manifest.Feature, values: Sequence[Any]) -> manifest.Feature:
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not numbers:
        return feature
    return manifest.Feature(feature.name, feature.dtype, feature.nullable, feature.categories, min(numbers), max(numbers))


def observed_outputs(
    loaded: LoadedModel, signature: manifest.Signature, sample: tuple[Any, ...], classes: tuple[Any, ...] | None = None
) -> tuple[manifest.Output, ...]:
    """The arrays of the answer to the sample's first row; `predictions` of unknown kind where it cannot be answered."""
    entry = manifest.Model(name="", framework="", format="", path="", sha256="", signature=signature)
    try:
        answer = ServedModel(entry, loaded).answer(list(sample[:1])) if sample else {}
    except (InputError, ModelFailed):
        answer = {}
    found = tuple(_output(name, values[0], classes) for name, values in answer.items() if isinstance(values, list) and values)
    return found or (manifest.Output("predictions", classes=classes),)


def _output(name: str, value: Any, classes: tuple[Any, ...] | None) -> manifest.Output:
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    is_one_of = name == "predictions" and not shape
    is_each = name == "probabilities" and classes is not None and shape == [len(classes)]
    return manifest.Output(name, dtype_of([value]), tuple(shape), classes if is_one_of or is_each else None)
