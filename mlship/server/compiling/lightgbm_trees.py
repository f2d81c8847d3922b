"""LightGBM's trees, from its own text (src/io/tree.cpp of LightGBM 4.6, Tree::ToString): doubles throughout, as it computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.server.boosted_header import Header
from mlship.server.compiling import graph_bytes
from mlship.server.compiling.booster_trees import After, Boosted, Nodes, linked
from mlship.server.compiling.columns import Unfit
from mlship.server.compiling.ensembles import LEQ, MEMBER
from mlship.server.runtimes.boosted import BoosterSource

# ConvertOutput of src/objective/*.hpp; an objective that training was given as a function has no name
_AS_IT_IS = (
    *("", "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg"),
    "custom",
)
_EXP = ("poisson", "gamma", "tweedie")
_CATEGORY, _DEFAULT_LEFT = 1, 2  # bits of decision_type; the next two say what stands for a missing value
_NONE, _ZERO, _NAN = 0, 1, 2
_ALMOST_ZERO = 1.0000000180025095e-35  # kZeroThreshold of include/LightGBM/meta.h, 1e-35f


def lightgbm_trees(source: BoosterSource, header: Header) -> Boosted:
    """Raises Unfit."""
    head, *texts = source.booster.model_to_string().partition("\nend of trees")[0].split("\nTree=")
    said = dict(line.partition("=")[::2] for line in head.splitlines())
    outputs = int(said["num_tree_per_iteration"])
    nodes = Nodes()
    for place, text in enumerate(texts):
        _add(nodes, dict(line.partition("=")[::2] for line in text.splitlines()[1:]), place % outputs)
    if not texts:
        raise Unfit("it has no trees")
    trees = nodes.ensemble("float64", outputs)
    factor = outputs / len(texts) if "average_output" in said else 1.0
    after, kept = _after(header.objective, str(header.facts["settings"]), factor)
    return Boosted(header, trees, outputs, after, kept)


def _add(nodes: Nodes, tree: Mapping[str, str], target: int) -> None:
    """Inner nodes first, then leaves; children below 0 are leaves, -1 the first."""
    import numpy

    if tree.get("is_linear", "0") != "0":
        raise Unfit("its leaves hold linear models")
    value = _numbers(tree["leaf_value"], "float64")
    inner = len(value) - 1
    kinds = _numbers(tree.get("decision_type", "") if inner else "", "int64")
    feature = _numbers(tree.get("split_feature", "") if inner else "", "int64")
    split = _numbers(tree.get("threshold", "") if inner else "", "float64")
    first = nodes.count
    none: Any = numpy.zeros(len(value), dtype="int64")
    looks = kinds & _CATEGORY != 0
    nodes.add(
        # Tree::CategoricalDecision: what is in the set goes left, a missing value right
        _sets(tree, looks, split),
        feature=numpy.concatenate([feature, none]),
        split=numpy.concatenate([numpy.where(looks, 0, _beside_zero(split)), none]),
        mode=numpy.concatenate([numpy.where(looks, MEMBER, LEQ), none]),
        yes=numpy.concatenate([_children(tree, "left_child", inner), none]) + first,
        no=numpy.concatenate([_children(tree, "right_child", inner), none]) + first,
        holes_yes=numpy.concatenate([_holes_left(kinds, split) & ~looks, none != 0]),
        is_leaf=numpy.concatenate([numpy.zeros(inner, bool), none == 0]),
        weight=numpy.concatenate([numpy.zeros(inner), value]),
        target=numpy.full(inner + len(value), target),
    )


def _children(tree: Mapping[str, str], side: str, inner: int) -> Any:
    import numpy

    places = _numbers(tree.get(side, "") if inner else "", "int64")
    return numpy.where(places < 0, inner - places - 1, places)


def _beside_zero(split: Any) -> Any:
    """What is almost 0 counts as 0 (RowPairFunctionFromDenseMatric of src/c_api.cpp): the splits there, moved to the ends of that span."""
    import numpy

    below = numpy.nextafter(-_ALMOST_ZERO, -numpy.inf)
    return numpy.where(abs(split) > _ALMOST_ZERO, split, numpy.where(split < 0, below, _ALMOST_ZERO))


def _holes_left(kinds: Any, split: Any) -> Any:
    """Where NaN goes: it counts as 0 unless it was met in training. Raises Unfit where 0 counts as missing."""
    missing = kinds >> 2 & 3
    is_number = kinds & _CATEGORY == 0
    if (is_number & (missing == _ZERO)).any():
        raise Unfit("it takes 0 for a missing value")
    goes_left = kinds & _DEFAULT_LEFT != 0
    return (goes_left & (missing == _NAN)) | ((split >= 0) & (missing == _NONE) & is_number)


def _sets(tree: Mapping[str, str], looks: Any, split: Any) -> dict[int, tuple[int, ...]]:
    """Node -> categories, which stand as bits of 32 a word, those of each split behind the others."""
    chosen = looks.nonzero()[0].tolist()
    if not chosen:
        return {}
    bounds, words = _numbers(tree["cat_boundaries"], "int64"), _numbers(tree["cat_threshold"], "int64")
    spans = {node: words[bounds[int(split[node])] : bounds[int(split[node]) + 1]].tolist() for node in chosen}
    return {
        node: tuple(32 * at + bit for at, word in enumerate(span) for bit in range(32) if word >> bit & 1)
        for node, span in spans.items()
    }


def _after(objective: str, settings: str, factor: float) -> tuple[After, list[bytes]]:
    """What makes scores of sums, and the number that they are multiplied by before."""
    import numpy

    said = dict(word.partition(":")[::2] for word in settings.split())
    if objective in ("binary", "multiclassova", "cross_entropy", "xentropy"):
        link, factor = "Sigmoid", factor * float(said.get("sigmoid", 1))
    elif objective == "multiclass":
        link = "Softmax"
    elif objective in _EXP:
        link = "Exp"
    elif objective in _AS_IT_IS and "sqrt" not in said:
        link = "Identity"
    else:
        raise Unfit(f"its objective is {objective} {settings}".rstrip())
    if factor == 1:
        return linked(link), []

    def after(sums: str, scores: str) -> list[bytes]:
        return [graph_bytes.node("Mul", [sums, "factor"], "scaled"), *linked(link)("scaled", scores)]

    return after, [graph_bytes.tensor("factor", numpy.array([factor]))]


def _numbers(text: str, dtype: str) -> Any:
    import numpy

    return numpy.array([(float if dtype == "float64" else int)(word) for word in text.split()], dtype=dtype)
