"""Decision trees as ONNX's TreeEnsemble (ai.onnx.ml 5), which compares and sums in the numbers that the original computes in.

What skl2onnx 1.20 and onnxmltools 1.16 write are the operators before it (TreeEnsembleClassifier, TreeEnsembleRegressor), whose answers
are float32 whatever they compute in: probabilities of a forest come out 8e-7 away, LightGBM's numbers 2e-4 of 300, and classes that
tie may change. They also take minutes for a forest of millions of nodes, and packages that have to fit every environment that trains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mlship.server.compiling import graph_bytes

# How a node compares its value: with its split, or with a set (TreeEnsemble of ai.onnx.ml 5); `yes` is where it goes where that holds.
LEQ, LT, MEMBER = 0, 1, 6


@dataclass(frozen=True)
class Ensemble:
    """Nodes of all trees in one numbering, as numpy arrays; leaves are nodes, too.

    dtype: `float32` or `float64`, of rows, splits and sums. yes, no: nodes; of a leaf anything. holes_yes: where NaN goes. root: node of
    each tree, in the order of summing. weight, target: what a leaf adds to which sum. targets: how many sums. members: the values of each
    node that looks in a set, in the order of these.
    """

    dtype: str
    feature: Any
    split: Any
    mode: Any
    yes: Any
    no: Any
    holes_yes: Any
    is_leaf: Any
    root: Any
    weight: Any
    target: Any
    targets: int
    members: tuple[tuple[int, ...], ...] = ()


def node_of(trees: Ensemble, taken: str, given: str) -> bytes:
    """The operator: rows (rows, features) -> sums (rows, targets), both of the ensemble's dtype."""
    import numpy

    whole = _without_bare_leaves(trees)
    inner, leaves = numpy.flatnonzero(~whole.is_leaf), numpy.flatnonzero(whole.is_leaf)
    place = numpy.where(whole.is_leaf, numpy.cumsum(whole.is_leaf), numpy.cumsum(~whole.is_leaf)) - 1
    yes, no = whole.yes[inner], whole.no[inner]
    return graph_bytes.node(
        "TreeEnsemble",
        [taken],
        given,
        domain="ai.onnx.ml",
        aggregate_function=1,  # sum
        post_transform=0,
        n_targets=whole.targets,
        tree_roots=place[whole.root],
        nodes_featureids=whole.feature[inner],
        nodes_splits=graph_bytes.tensor("splits", whole.split[inner].astype(whole.dtype)),
        nodes_modes=graph_bytes.tensor("modes", whole.mode[inner].astype("uint8")),
        nodes_truenodeids=place[yes],
        nodes_trueleafs=whole.is_leaf[yes],
        nodes_falsenodeids=place[no],
        nodes_falseleafs=whole.is_leaf[no],
        nodes_missing_value_tracks_true=whole.holes_yes[inner],
        leaf_weights=graph_bytes.tensor("weights", whole.weight[leaves].astype(whole.dtype)),
        leaf_targetids=whole.target[leaves],
        **_members(whole),
    )


def _members(trees: Ensemble) -> dict[str, Any]:
    """The sets one after the other, each ended by NaN."""
    import numpy

    if not trees.members:
        return {}
    listed = [value for values in trees.members for value in (*map(float, values), numpy.nan)]
    return {"membership_values": graph_bytes.tensor("members", numpy.array(listed, dtype=trees.dtype))}


def with_start(trees: Ensemble, start: Any) -> Ensemble:
    """Sums that begin with these numbers: they are the first trees, so that the sum is rounded as the original's."""
    import numpy

    count = len(trees.is_leaf)
    nothing: Any = numpy.zeros(len(start), dtype="int64")
    added: Any = numpy.arange(len(start)) + count
    return _longer(trees, nothing, nothing, nothing, numpy.ones(len(start), bool), start, numpy.arange(len(start)), added)


def _without_bare_leaves(trees: Ensemble) -> Ensemble:
    """The operator knows no tree that is a leaf: both ways of a node lead to it."""
    import numpy

    bare = trees.is_leaf[trees.root]
    if not bare.any():
        return trees
    leaves = trees.root[bare]
    nothing: Any = numpy.zeros(len(leaves), dtype="int64")
    root = trees.root.copy()
    root[bare] = numpy.arange(len(leaves)) + len(trees.is_leaf)
    longer = _longer(trees, nothing, leaves, leaves, numpy.zeros(len(leaves), bool), nothing, nothing, nothing[:0])
    return replace(longer, root=root)


def _longer(trees: Ensemble, feature: Any, yes: Any, no: Any, is_leaf: Any, weight: Any, target: Any, root: Any) -> Ensemble:
    """With more nodes at the end; root: of trees that go before the others."""
    import numpy

    nothing: Any = numpy.zeros(len(feature), dtype="int64")

    def joined(first: Any, then: Any) -> Any:
        return numpy.concatenate([first, then])

    return replace(
        trees,
        feature=joined(trees.feature, feature),
        split=joined(trees.split, nothing),
        mode=joined(trees.mode, nothing),
        yes=joined(trees.yes, yes),
        no=joined(trees.no, no),
        holes_yes=joined(trees.holes_yes, nothing.astype(bool)),
        is_leaf=joined(trees.is_leaf, is_leaf),
        weight=joined(trees.weight, weight),
        target=joined(trees.target, target),
        root=joined(root, trees.root),
    )
