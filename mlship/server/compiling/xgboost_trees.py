"""XGBoost's trees, from its own JSON (doc/model.schema in its sources): float32 throughout, as it computes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import inf, log
from typing import Any

from mlship.server.boosted_header import Header
from mlship.server.compiling import graph_bytes
from mlship.server.compiling.booster_trees import After, Boosted, Nodes, linked
from mlship.server.compiling.columns import Unfit
from mlship.server.compiling.ensembles import LT, MEMBER, with_start
from mlship.server.runtimes.boosted import BoosterSource

# src/objective/*.cc of XGBoost 3.2: what PredTransform makes of a sum, and what ProbToMargin makes of base_score
_SIGMOID = ("binary:logistic", "reg:logistic")
_LOGIT = (*_SIGMOID, "binary:logitraw")
_SOFTMAX = ("multi:softprob", "multi:softmax")  # the runtime asks both for probabilities
_EXP = ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft")
_AS_IT_IS = (
    *("reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror", "reg:quantileerror"),
    *("rank:pairwise", "rank:ndcg", "rank:map", "binary:logitraw", "reg:linear"),
)


def xgboost_trees(source: BoosterSource, header: Header) -> Boosted:
    """Raises Unfit."""
    import numpy

    if source.missing == source.missing:  # NaN is no number
        raise Unfit(f"the number {source.missing:g} stands for no value")
    booster = source.booster[: source.stop] if source.stop else source.booster
    learner = json.loads(bytes(booster.save_raw(raw_format="json")))["learner"]
    said = learner["gradient_booster"]
    if said["name"] not in ("gbtree", "dart"):
        raise Unfit(f"its booster is {said['name']}")
    model = said["gbtree"]["model"] if said["name"] == "dart" else said["model"]
    share = said.get("weight_drop") if said["name"] == "dart" else None
    numbers = learner["learner_model_param"]
    groups = max(1, int(numbers.get("num_class", 0)), int(numbers.get("num_target", 1)))
    nodes = Nodes()
    for place, (tree, group) in enumerate(zip(model["trees"], model["tree_info"], strict=True)):
        _add(nodes, tree, int(group), float(share[place]) if share else 1.0)
    objective = str(learner["objective"]["name"])
    start = numpy.array(_start(learner, objective, groups), dtype="float32")
    trees = with_start(nodes.ensemble("float32", groups), start)
    after, kept = _after(objective)
    return Boosted(header, trees, groups, after, kept)


def _add(nodes: Nodes, tree: Mapping[str, Any], group: int, share: float) -> None:
    import numpy

    if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
        raise Unfit("its trees give several numbers a leaf")
    left, right = numpy.array(tree["left_children"]), numpy.array(tree["right_children"])
    is_leaf = left == -1
    split = numpy.array(tree["split_conditions"], dtype="float32")
    first, sets = nodes.count, _sets(tree)
    looks = numpy.isin(numpy.arange(len(left)), list(sets))
    goes_left = numpy.array(tree["default_left"]) != 0
    nodes.add(
        sets,
        feature=numpy.array(tree["split_indices"]),
        split=numpy.where(is_leaf | looks, 0, split),
        mode=numpy.where(looks, MEMBER, LT),
        # common::Decision of XGBoost: what is in the set goes right
        yes=numpy.where(looks, right, left) + first,
        no=numpy.where(looks, left, right) + first,
        holes_yes=goes_left != looks,
        is_leaf=is_leaf,
        weight=numpy.where(is_leaf, split * numpy.float32(share), 0),
        target=numpy.full(len(left), group),
    )


def _sets(tree: Mapping[str, Any]) -> dict[int, tuple[int, ...]]:
    """Node -> categories."""
    nodes, begins, sizes = (tree.get(f"categories_{name}", ()) for name in ("nodes", "segments", "sizes"))
    return {
        int(node): tuple(tree["categories"][begin : begin + size])
        for node, begin, size in zip(nodes, begins, sizes, strict=True)
    }


def _start(learner: Mapping[str, Any], objective: str, groups: int) -> list[float]:
    """What the sums begin with. base_score stands there as an answer, one or one for each output."""
    said = json.loads(learner["learner_model_param"]["base_score"])
    scores = [float(score) for score in (said if isinstance(said, list) else [said])]
    margins = [_margin(score, objective) for score in scores]
    if len(margins) not in (1, groups):
        raise Unfit(f"it begins with {len(margins)} numbers for {groups} outputs")
    return margins * groups if len(margins) == 1 else margins


def _margin(score: float, objective: str) -> float:
    if objective in _LOGIT:
        if not 0 < score < 1:
            raise Unfit(f"its base_score is {score:g}")
        return -log(1 / score - 1)
    if objective in _EXP:
        return log(score) if score > 0 else -inf
    return score


def _after(objective: str) -> tuple[After, list[bytes]]:
    """What makes scores of sums, and the tensors that these nodes need."""
    import numpy

    one = graph_bytes.tensor("one", numpy.ones(1, dtype="float32"))
    if objective in _SIGMOID:
        return _sigmoid, [one]
    if objective in _SOFTMAX:
        return _softmax, [graph_bytes.tensor("classes", numpy.array([1]))]
    if objective in _EXP:
        return lambda sums, scores: _power(sums, scores), []
    if objective in _AS_IT_IS:
        return linked("Identity"), []
    raise Unfit(f"its objective is {objective}")


def _sigmoid(sums: str, scores: str) -> list[bytes]:
    """Step by step as common::Sigmoid of XGBoost computes: of 0.999 the last bit decides what is left for the other class."""
    return [
        graph_bytes.node("Neg", [sums], "turned"),
        *_power("turned", "power"),
        graph_bytes.node("Add", ["power", "one"], "whole"),
        graph_bytes.node("Div", ["one", "whole"], scores),
    ]


def _softmax(sums: str, scores: str) -> list[bytes]:
    """As common::Softmax: powers in float32, their sum in doubles."""
    return [
        graph_bytes.node("ReduceMax", [sums, "classes"], "most"),
        graph_bytes.node("Sub", [sums, "most"], "below"),
        *_power("below", "power"),
        graph_bytes.node("Cast", ["power"], "wide", to=graph_bytes.DOUBLE),
        graph_bytes.node("ReduceSum", ["wide", "classes"], "added"),
        graph_bytes.node("Cast", ["added"], "whole", to=graph_bytes.FLOAT),
        graph_bytes.node("Div", ["power", "whole"], scores),
    ]


def _power(taken: str, given: str) -> list[bytes]:
    """e to the power of it: rounded once, from a double, as the C library's expf does nearly always; onnxruntime's own is not as near."""
    return [
        graph_bytes.node("Cast", [taken], f"{given} wide", to=graph_bytes.DOUBLE),
        graph_bytes.node("Exp", [f"{given} wide"], f"{given} exact"),
        graph_bytes.node("Cast", [f"{given} exact"], given, to=graph_bytes.FLOAT),
    ]
