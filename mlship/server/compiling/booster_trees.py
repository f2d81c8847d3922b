"""What the trees of XGBoost and of LightGBM have in common: nodes, gathered tree by tree, and what becomes of their sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlship.server.boosted_header import Header
from mlship.server.compiling import graph_bytes
from mlship.server.compiling.columns import Unfit
from mlship.server.compiling.ensembles import Ensemble

After = Callable[[str, str], list[bytes]]


@dataclass(frozen=True)
class Boosted:
    """after: nodes that make scores of sums, by the names of both. kept: tensors of these nodes."""

    header: Header
    trees: Ensemble
    outputs: int
    after: After
    kept: list[bytes] = field(default_factory=list)


def linked(link: str) -> After:
    """link: an operator of ONNX, or `Identity`."""

    def after(sums: str, scores: str) -> list[bytes]:
        settings: dict[str, Any] = {"axis": 1} if link == "Softmax" else {}
        return [graph_bytes.node(link, [sums], scores, **settings)]

    return after


@dataclass
class Nodes:
    """Nodes while they are gathered, tree after tree."""

    feature: list[Any] = field(default_factory=list)
    split: list[Any] = field(default_factory=list)
    mode: list[Any] = field(default_factory=list)
    yes: list[Any] = field(default_factory=list)
    no: list[Any] = field(default_factory=list)
    holes_yes: list[Any] = field(default_factory=list)
    is_leaf: list[Any] = field(default_factory=list)
    weight: list[Any] = field(default_factory=list)
    target: list[Any] = field(default_factory=list)
    root: list[int] = field(default_factory=list)
    members: list[tuple[int, ...]] = field(default_factory=list)
    count: int = 0

    def add(self, sets: Mapping[int, tuple[int, ...]], **columns: Any) -> None:
        """Arrays of one length, of one tree, whose first node is its root; `yes` and `no` are places among all nodes.

        sets: node -> the values that it looks for. Raises Unfit.
        """
        if not all(sets.values()):
            raise Unfit("one of its splits is a set of no categories")
        self.members += [sets[node] for node in sorted(sets)]
        self.root.append(self.count)
        for name, values in columns.items():
            getattr(self, name).append(values)
        self.count += len(columns["feature"])

    def ensemble(self, dtype: str, targets: int) -> Ensemble:
        import numpy

        def joined(parts: list[Any]) -> Any:
            return numpy.concatenate(parts)

        return Ensemble(
            dtype,
            joined(self.feature),
            joined(self.split),
            joined(self.mode),
            joined(self.yes),
            joined(self.no),
            joined(self.holes_yes),
            joined(self.is_leaf),
            numpy.array(self.root),
            joined(self.weight),
            joined(self.target),
            targets,
            tuple(self.members),
        )
