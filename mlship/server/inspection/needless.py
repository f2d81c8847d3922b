"""Columns that a model answers without: the target beside the inputs of a user's data is no input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlship.server import manifest
from mlship.server.core import ServedModel
from mlship.server.problems import InputError, ModelFailed
from mlship.server.runtimes.base import LoadedModel


def needless(entry: manifest.Model, loaded: LoadedModel, sample: list[Any], answers: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the inputs without which the whole sample gets the same answers; none where rows are no objects.

    Asks once for each column: parts of scikit-learn that know their columns refuse, the user's own parts mostly do not look.
    """
    if not all(isinstance(row, dict) for row in sample):
        return ()
    kept = entry.signature.inputs
    for feature in entry.signature.inputs:
        fewer = tuple(other for other in kept if other is not feature)
        if fewer and _answers(entry, loaded, sample, fewer) == answers:
            kept = fewer
    return tuple(feature.name for feature in entry.signature.inputs if feature not in kept)


def _answers(
    entry: manifest.Model, loaded: LoadedModel, sample: list[Any], inputs: tuple[manifest.Feature, ...]
) -> Mapping[str, Any] | None:
    narrower = replace(entry, signature=replace(entry.signature, inputs=inputs))
    rows = [{feature.name: row.get(feature.name) for feature in inputs} for row in sample]
    try:
        return ServedModel(narrower, loaded).answer(rows)
    except (InputError, ModelFailed):
        return None
