"""Decision trees, forests and gradient boosting by numpy alone, with the bits of the original.

All trees lie in one set of arrays. A node's children are neighbours, so that one step down is `left + (value > threshold)`; a leaf
is its own child. All rows go down all trees at once, level by level: so many calls of numpy as the deepest tree is deep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.runtimes.compiled import CompiledModel, compiled_model
from mlship.server.runtimes.plan_file import Plan
from mlship.server.runtimes.plan_heads import head_from
from mlship.server.runtimes.plan_steps import step_from

AT_ONCE = 16_384  # rows times trees in one pass: what of it is in use stays in the processor's cache
FEW = 16  # rows up to which a single tree is walked row by row
WALKED = 200_000  # nodes of a single tree that are also kept as Python's own numbers


class TreesRuntime:
    """Models that were compiled as engine `trees`."""

    fork_safe = True  # arrays

    def load(self, model: manifest.Model, root: Path) -> CompiledModel:
        """Raises LoadError."""
        return compiled_model(root / model.path, "trees", trees_from)


def trees_from(plan: Plan) -> Callable[[Any], Mapping[str, Any]]:
    """The plan's model as a function. Raises KeyError, ValueError for a plan that is none."""
    features = step_from(plan.header["features"], plan.arrays)
    trees = Trees(plan.header["trees"], plan.arrays)
    head = head_from(plan.header["head"])
    return lambda rows: head(trees.scores(features(rows)))


class Trees:
    """The trees of one model.

    said: {"depth", "rounds", "mean", "holes"}: levels below the roots; trees for each output, one after the other; whether the sum
    is divided by the number of trees; whether NaN may come, which goes where a node says. arrays: feature, threshold (float32),
    left, value (nodes, outputs of a tree), root, holes_left, and start: the scores that the sum begins with.
    """

    def __init__(self, said: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        import numpy

        self._numpy = numpy
        self._feature, self._threshold = arrays["feature"], arrays["threshold"]
        self._left, self._value, self._root = arrays["left"], arrays["value"], numpy.array(arrays["root"])
        self._start = numpy.array(arrays["start"])
        self._depth = int(said["depth"])
        self._divisor = float(len(self._root)) if said["mean"] else 0.0
        self._holes_left: Any = arrays["holes_left"] if said["holes"] else None
        self._rounds = int(said["rounds"])
        self._check()
        is_walked = len(self._root) == 1 and len(self._feature) <= WALKED
        self._nodes = (self._feature.tolist(), self._threshold.tolist(), self._left.tolist()) if is_walked else None

    def scores(self, numbers: Any) -> Any:
        """numbers: (rows, features). Returns float64 (rows, outputs).

        Raises ValueError for numbers that float32 does not hold, as the original does.
        """
        numpy = self._numpy
        with numpy.errstate(over="ignore"):
            values = numbers.astype("float32", order="C")
        if not numpy.isfinite(values).all():
            if self._holes_left is None or numpy.isinf(values).any():
                raise ValueError("Input X contains infinity or a value too large for dtype('float32').")
            leaves = self._leaves_with_holes
        else:
            leaves = self._leaves_in_python if self._nodes and len(values) <= FEW else self._leaves
            leaves = self._leaves_of_one if len(values) == 1 and not self._nodes else leaves
        step = max(1, AT_ONCE // len(self._root))
        if len(values) <= step:
            return self._summed(leaves(values), len(values))
        parts = [values[first : first + step] for first in range(0, len(values), step)]
        return numpy.concatenate([self._summed(leaves(part), len(part)) for part in parts])

    def _leaves(self, values: Any) -> Any:
        """The leaf of each row in each tree: (trees * rows,), tree after tree."""
        places, first = self._begun(values)
        flat = values.ravel()
        for _ in range(self._depth):
            columns = self._feature.take(places)
            columns += first
            right = flat.take(columns) > self._threshold.take(places)
            places = self._left.take(places)
            places += right
        return places

    def _leaves_with_holes(self, values: Any) -> Any:
        """As `_leaves`, where a value may be NaN."""
        numpy = self._numpy
        places, first = self._begun(values)
        flat = values.ravel()
        for _ in range(self._depth):
            met = flat.take(self._feature.take(places) + first)
            right = met > self._threshold.take(places)
            right |= numpy.isnan(met) & (self._holes_left.take(places) == 0)
            places = self._left.take(places) + right
        return places

    def _begun(self, values: Any) -> tuple[Any, Any]:
        """For each tree and row: the tree's root, and where the row begins among all values."""
        numpy = self._numpy
        count, width = values.shape
        return numpy.repeat(self._root, count), numpy.tile(numpy.arange(0, count * width, width), len(self._root))

    def _leaves_in_python(self, values: Any) -> list[int]:
        """Of the only tree: for few rows, Python walks it sooner than numpy is called for every level."""
        assert self._nodes is not None
        root = int(self._root[0])
        return [_walked(self._nodes, root, row) for row in values.tolist()]

    def _leaves_of_one(self, values: Any) -> Any:
        row, places = values[0], self._root
        feature, threshold, left, met = self._feature.take, self._threshold.take, self._left.take, row.take
        for _ in range(self._depth):
            places = left(places) + (met(feature(places)) > threshold(places))
        return places

    def _summed(self, leaves: Any, rows: int) -> Any:
        """One tree after the other, as the original adds them: another order would give other bits."""
        numpy = self._numpy
        met = self._value.take(leaves, axis=0).reshape(self._rounds, -1, rows, self._value.shape[1])
        met = met[:, 0] if met.shape[1] == 1 else met[..., 0].transpose(0, 2, 1)  # of several, each round has a tree for each
        start = numpy.broadcast_to(self._start, (1, *met.shape[1:]))
        whole = numpy.concatenate([start, met]) if self._start.any() else met
        # along the first axis numpy adds one after the other; a single sum it would take in pairs
        scores = numpy.add.accumulate(whole, axis=0)[-1] if whole[0].size == 1 else numpy.add.reduce(whole, axis=0)
        return scores / self._divisor if self._divisor else scores

    def _check(self) -> None:
        """What is read by place lies in the arrays: the loop looks no more. Raises ValueError."""
        nodes = len(self._feature)
        same = {len(self._threshold), len(self._left), len(self._value)} == {nodes}
        is_whole = all(len(at) and int(at.min()) >= 0 and int(at.max()) < nodes for at in (self._left, self._root))
        if not (same and is_whole and self._rounds > 0 and len(self._root) % self._rounds == 0):
            raise ValueError("its trees do not fit together")


def _walked(nodes: tuple[list[int], list[float], list[int]], place: int, row: list[float]) -> int:
    """The leaf of one row."""
    feature, threshold, left = nodes
    after = -1
    while place != after:
        after = place
        place = left[after] + (row[feature[after]] > threshold[after])
    return place
