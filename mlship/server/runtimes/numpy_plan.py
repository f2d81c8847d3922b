"""Linear models by numpy alone: the numbers times their weights, and what encoded columns and words bring is looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.runtimes.compiled import CompiledModel, compiled_model
from mlship.server.runtimes.plan_file import Plan
from mlship.server.runtimes.plan_heads import head_from
from mlship.server.runtimes.plan_steps import lookup_from, step_from
from mlship.server.runtimes.plan_words import words_from


class NumpyRuntime:
    """Models that were compiled as engine `numpy`."""

    fork_safe = True  # arrays

    def load(self, model: manifest.Model, root: Path) -> CompiledModel:
        """Raises LoadError."""
        return compiled_model(root / model.path, "numpy", linear_from)


def linear_from(plan: Plan) -> Callable[[Any], Mapping[str, Any]]:
    """The plan's model as a function. Raises KeyError, ValueError for a plan that is none."""
    header = plan.header
    head = head_from(header["head"])
    scored = _scores_from(header["linear"], plan.arrays)
    return lambda rows: head(scored(rows))


def _scores_from(said: Mapping[str, Any], arrays: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Rows -> float64 (rows, outputs). said: {"dense", "weights", "intercept", "lookups", "texts"}.

    dense: None where everything is looked up.
    """
    import numpy

    dense = step_from(said["dense"], arrays) if said["dense"] else None
    # scikit-learn multiplies by the transposed view of its weights, and the order in memory may decide the last bit
    weights = numpy.array(arrays[said["weights"]]).T
    intercept = numpy.array(arrays[said["intercept"]])
    texts = [words_from(node, arrays) for node in said["texts"]]
    lookups = [(lookup_from(node, arrays), numpy.array(arrays[node["table"]])) for node in said["lookups"]]

    def scored(rows: Any) -> Any:
        if dense is not None:
            numbers = dense(rows)
            scores = numbers @ weights + intercept
            if not _all_finite(numpy, scores) and not numpy.isfinite(numbers).all():
                raise ValueError("Input contains NaN, infinity or a value too large for the model")
        else:
            scores = intercept
        for places, table in lookups:
            scores = scores + table.take(places(rows), axis=0)
        for text in texts:
            scores = scores + text(rows)
        return scores

    return scored


def _all_finite(numpy: Any, scores: Any) -> bool:
    if scores.size <= 16:
        return all(map(isfinite, scores.ravel().tolist()))
    return bool(numpy.isfinite(scores).all())
