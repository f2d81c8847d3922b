"""What a graph of tensors takes, as features of a row; and rows as the tensors that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlship.server.manifest import Container, Feature, Signature
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.observed import MAX_FEATURES, columns

BY_FLOATS = {"float32", "float64"}  # what rows of numbers come as without a detour


@dataclass(frozen=True)
class Input:
    """One tensor that a graph takes. dtype: in the manifest's words, `` for others. shape: -1 for any length; () is not told."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """How features make inputs: each its own, or all in turn the columns of the one table. No features: rows as wide as they come."""

    inputs: tuple[Input, ...]
    features: tuple[Feature, ...]
    container: Container
    is_one_table: bool = False

    def signature(self, sample: tuple[Any, ...]) -> Signature:
        """Features of one table have the names of the sample's columns, where it has as many."""
        if not self.is_one_table:
            return Signature(self.features, (), self.container, named=bool(self.features))
        names = list(columns(sample)) if sample and isinstance(sample[0], dict) else []
        is_named = len(names) == len(self.features) > 0
        given = names if is_named else [feature.name for feature in self.features]
        inputs = tuple(Feature(name, feature.dtype) for name, feature in zip(given, self.features, strict=True))
        return Signature(inputs, (), self.container, named=is_named, tensor=self.inputs[0].name)

    def blank(self) -> Any:
        """One row of nothing, as the container gives rows; None where the width is not known."""
        import numpy

        if not self.features:
            return None
        if self.container == "array":
            return numpy.zeros((1, len(self.features)), self.features[0].dtype)
        return {feature.name: _blank(numpy, feature) for feature in self.features}


def layout(inputs: Sequence[Input]) -> Layout:
    """Raises LoadError for an input that does not take one value a row."""
    for given in inputs:
        _require_rows(given)
    if len(inputs) == 1:
        (only,) = inputs
        is_table = len(only.shape) == 2 and 1 < only.shape[1] <= MAX_FEATURES
        if is_table:
            features = tuple(Feature(f"x{index}", only.dtype) for index in range(only.shape[1]))
            return Layout(tuple(inputs), features, "array" if only.dtype in BY_FLOATS else "tensors", is_one_table=True)
        if not only.shape or (len(only.shape) == 2 and only.shape[1] < 0 and only.dtype in BY_FLOATS):
            return Layout(tuple(inputs), (), "array", is_one_table=True)
    features = tuple(Feature(given.name, given.dtype, shape=_of_row(given.shape)) for given in inputs)
    return Layout(tuple(inputs), features, "tensors")


def feeds(known: Layout, rows: Any) -> dict[str, Any]:
    """Input name -> tensor. rows: as the container gives them."""
    import numpy

    if known.is_one_table:
        (only,) = known.inputs
        table = rows if known.container == "array" else numpy.stack(list(rows.values()), axis=1)
        return {only.name: _typed(numpy, only, table)}
    return {
        given.name: rows[given.name].reshape(-1, 1) if given.shape[1:] == (1,) else rows[given.name] for given in known.inputs
    }


def _require_rows(given: Input) -> None:
    if not given.dtype:
        raise LoadError(f"the input {given.name} is no tensor of numbers or strings; export the model with tensors alone")
    if given.shape and given.shape[0] > 1:
        raise LoadError(
            f"the input {given.name} takes {given.shape[0]} rows at a time, no more and no fewer; "
            "export the model with a dynamic batch axis"
        )


def _of_row(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A column of one value is that value."""
    return () if shape[1:] == (1,) else shape[1:]


def _typed(numpy: Any, only: Input, table: Any) -> Any:
    """Rows of unknown width are float64, and of whatever rank they came."""
    return table if only.dtype == "string" else table.astype(only.dtype, copy=False)


def _blank(numpy: Any, feature: Feature) -> Any:
    shape = (1, *(max(size, 1) for size in feature.shape))
    if feature.dtype == "string":
        return numpy.full(shape, "", dtype=object)
    return numpy.zeros(shape, feature.dtype)
