"""A model that a build compiled to an ONNX graph of its trees: what comes before and after them stands in the file's metadata.

The graph gives sums or leaves in the numbers that the original computes in; encoders and classes are numpy's and Python's, as in
the other compiled engines.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlship.server.boosted_header import Column, Header
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.boosted import BoostedModel
from mlship.server.runtimes.compiled import CompiledModel, model_of_plan
from mlship.server.runtimes.onnx_session import session
from mlship.server.runtimes.plan_file import Plan, plan_from
from mlship.server.runtimes.plan_heads import head_from
from mlship.server.runtimes.plan_steps import step_from

ENGINE = "onnx"
KEY = "mlship"  # of the metadata: a plan file without trees, in base64
AT_ONCE = 2**20  # numbers of leaves in one pass
FEW = 8  # rows that are not worth sorting

Run = Callable[[Any], Any]  # rows of numbers -> the graph's output


def compiled_graph(path: Path) -> CompiledModel:
    """Raises LoadError, ImportError."""
    opened = session(path)
    try:
        content = b64decode(opened.get_modelmeta().custom_metadata_map.get(KEY, ""), validate=True)
    except (Error, ValueError):
        raise LoadError(f"{path.name} is damaged; build the image again") from None
    (given,) = (output.name for output in opened.get_outputs())
    (taken,) = (each.name for each in opened.get_inputs())
    asked = [given]

    def run(rows: Any) -> Any:
        return opened.run(asked, {taken: rows})[0]

    return model_of_plan(plan_from(content, path.name), path.name, ENGINE, lambda plan: _compute(plan, run))


def _compute(plan: Plan, run: Run) -> Callable[[Any], Mapping[str, Any]]:
    said = plan.header["features"]
    features = step_from(said, plan.arrays) if said else None
    if "boosted" in plan.header:
        booster = _booster(plan.header["boosted"], plan.header["title"], alike(run, plan.header["by"]))
        return booster.predict if features is None else lambda rows: booster.predict(features(rows))
    if features is None:
        raise ValueError("it has trees and no columns")
    scores, head = Scores(plan.header["trees"], plan.header["by"], run), head_from(plan.header["head"])
    return lambda rows: head(scores(features(rows)))


def alike(compute: Run, column: int) -> Run:
    """As `compute`, with rows that are near in a column one after the other.

    onnxruntime takes a tree and asks it row by row, and the processor guesses that a row goes the way of the last one. Each wrong
    guess costs more than a node: sorted by what most trees ask first, 32 rows of breast_cancer take 3.2 us each instead of 4.1.
    compute: rows -> scores, both of one length.
    """
    import numpy

    def computed(rows: Any) -> Any:
        if len(rows) < FEW:
            return compute(rows)
        order = rows[:, column].argsort()
        found = compute(rows.take(order, axis=0))
        scores = numpy.empty_like(found)
        scores[order] = found
        return scores

    return computed


class Scores:
    """Trees of scikit-learn: rows, float64 (rows, features), to their scores, float64 (rows, outputs)."""

    def __init__(self, said: Mapping[str, Any], by: int, run: Run) -> None:
        """said: {"gives", "dtype", "cells", "holes", "divisor", "votes"}: `sums`, or the numbers of the `leaves`, so many for a row, tree
        by tree; of the graph's rows; whether NaN may come; the number of trees of a mean, else 0; the number of trees that vote for one
        of two classes where only the votes for the second are summed, else 0. by: the column that most trees ask first."""
        import numpy

        self._numpy = numpy
        self._run = run
        self._dtype = str(said["dtype"])
        self._takes_holes, self._divisor = bool(said["holes"]), float(said["divisor"])
        self._votes = float(said["votes"])
        self._step = max(1, AT_ONCE // int(said["cells"])) if said["gives"] == "leaves" else 0
        self._scores = alike(self._of_leaves if self._step else self._sums, by)

    def __call__(self, numbers: Any) -> Any:
        """Raises ValueError for numbers that float32 does not hold, as the original does."""
        numpy = self._numpy
        with numpy.errstate(over="ignore"):
            values = numbers.astype("float32", order="C")
        if not numpy.isfinite(values).all() and (not self._takes_holes or numpy.isinf(values).any()):
            raise ValueError("Input X contains infinity or a value too large for dtype('float32').")
        scores = self._shared_out(self._scores(values)) if self._votes else self._scores(values)
        return scores / self._divisor if self._divisor else scores

    def _sums(self, values: Any) -> Any:
        return self._run(values.astype(self._dtype, copy=False)).astype("float64", copy=False)

    def _shared_out(self, second: Any) -> Any:
        """second: (rows, 1), the votes for the second class. Returns the votes for both."""
        votes = self._numpy.empty((len(second), 2))
        votes[:, 1] = second[:, 0]
        self._numpy.subtract(self._votes, votes[:, 1], out=votes[:, 0])
        return votes

    def _of_leaves(self, values: Any) -> Any:
        """One tree after the other, as the original adds them: another order would give other bits."""
        add = self._numpy.add.reduce
        if len(values) <= self._step:
            return add(self._run(values), axis=0)
        parts = (values[first : first + self._step] for first in range(0, len(values), self._step))
        return self._numpy.concatenate([add(self._run(part), axis=0) for part in parts])


def _booster(said: Mapping[str, Any], title: str, run: Run) -> BoostedModel:
    """said: {"library", "flat", "method", "header"}. flat: one number a row, no list of one."""
    columns = tuple(
        Column(**{**column, "words": None if column["words"] is None else tuple(column["words"])})
        for column in said["header"]["columns"]
    )
    header = Header(**{**said["header"], "columns": columns, "labels": tuple(said["header"]["labels"])})
    ask = _ASKED[said["library"]](run, bool(said["flat"]))
    return BoostedModel(header, ask, title=title, method=said["method"])


def _as_xgboost(run: Run, flat: bool) -> Run:
    """In float32; what is too large for it is infinite, as it is in inplace_predict."""
    import numpy

    def ask(rows: Any) -> Any:
        with numpy.errstate(over="ignore"):
            values = rows.astype("float32", order="C")
        scores = run(values)
        return scores[:, 0] if flat else scores

    return ask


def _as_lightgbm(run: Run, flat: bool) -> Run:
    import numpy

    def ask(rows: Any) -> Any:
        scores = run(numpy.ascontiguousarray(rows, dtype="float64"))
        return scores[:, 0] if flat else scores

    return ask


_ASKED: Mapping[str, Callable[[Run, bool], Run]] = {"xgboost": _as_xgboost, "lightgbm": _as_lightgbm}
