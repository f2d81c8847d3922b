"""Decision trees, forests and gradient boosting as one set of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlship.server.compiling.columns import Columns, Source, Unfit, dense
from mlship.server.compiling.heads import head_of, scores_head

TREES = ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")
MEANS = ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor")
BOOSTED = ("GradientBoostingClassifier", "GradientBoostingRegressor")
FORESTS = frozenset((*TREES, *MEANS, *BOOSTED))
DEEPEST = 200  # levels; every one is a round of the loop for all rows


def forest(estimator: Any, kind: str, method: str, source: Source, columns: Columns) -> dict[str, Any]:
    """The plan's `features`, `trees` and `head`. Raises Unfit."""
    features = dense(source, columns)
    if features.width != estimator.n_features_in_:
        raise Unfit(f"{kind} takes {estimator.n_features_in_} columns, its steps make {features.width}")
    boosted = kind in BOOSTED
    trees = _trees(estimator, kind)
    depth = max(int(tree.max_depth) for tree in trees)
    if depth > DEEPEST:
        raise Unfit(f"its deepest tree has {depth} levels")
    _keep_nodes(trees, float(estimator.learning_rate) if boosted else 1.0, columns)
    start = _start(estimator) if boosted else [0.0] * columns.arrays["value"].shape[1]
    _put(columns, "start", start)
    said = {
        "depth": depth,
        "rounds": len(estimator.estimators_) if kind not in TREES else 1,
        "mean": kind in MEANS,
        "holes": bool(columns.arrays["holes_left"].any()) or _takes_holes(estimator, kind),
    }
    return {"features": features.node, "trees": said, "head": _head(estimator, kind, method)}


def _head(estimator: Any, kind: str, method: str) -> dict[str, Any]:
    if kind.endswith("Regressor"):
        if method not in ("", "predict"):
            raise Unfit(f"{kind} has no {method}")
        return scores_head(flat=getattr(estimator, "n_outputs_", 1) == 1)
    if kind not in BOOSTED:
        if method == "decision_function":
            raise Unfit(f"{kind} has no {method}")
        if getattr(estimator, "n_outputs_", 1) != 1:
            raise Unfit("it answers with several outputs at once")
        return head_of(estimator, method, "none", has_shares=True)
    link = "expit" if len(estimator.classes_) == 2 else "softmax"
    if estimator.loss == "exponential" and method != "decision_function":
        raise Unfit("gradient boosting with loss='exponential' has probabilities of its own")
    return head_of(estimator, method, link, has_shares=True, at_zero=1)


def _trees(estimator: Any, kind: str) -> list[Any]:
    if kind in TREES:
        return [estimator.tree_]
    members = estimator.estimators_
    return [member.tree_ for member in (members.ravel().tolist() if hasattr(members, "ravel") else members)]


def _start(estimator: Any) -> list[float]:
    """The scores that boosting begins with: the same for every row, unless another model gives them."""
    import numpy

    if estimator.init_ != "zero" and type(estimator.init_).__name__ not in ("DummyClassifier", "DummyRegressor"):
        raise Unfit("gradient boosting that begins with another model has no compiled form")
    row = numpy.zeros((1, estimator.n_features_in_), dtype="float32")
    return [float(score) for score in estimator._raw_predict_init(row)[0]]


def _takes_holes(estimator: Any, kind: str) -> bool:
    """Whether NaN is let through to the trees."""
    support = getattr(estimator, "_support_missing_values", None)
    if kind in TREES and support is not None:
        import numpy

        return bool(support(numpy.zeros((1, estimator.n_features_in_))))
    first = estimator.estimators_[0] if kind in MEANS else None
    return first is not None and _takes_holes(first, type(first).__name__)


def _keep_nodes(trees: Sequence[Any], rate: float, columns: Columns) -> None:
    """All trees' nodes, each tree level by level, so that children are neighbours."""
    import numpy

    parts: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "value", "holes_left")}
    roots: list[int] = []
    first = 0
    for tree in trees:
        order, place = _by_level(tree)
        is_leaf = tree.children_left[order] < 0
        at_home = numpy.arange(len(order))
        parts["feature"].append(numpy.where(is_leaf, 0, tree.feature[order]))
        parts["threshold"].append(numpy.where(is_leaf, numpy.float32(numpy.inf), rounded_down(tree.threshold[order])))
        parts["left"].append(numpy.where(is_leaf, at_home, place[tree.children_left[order]]) + first)
        parts["value"].append(_values(tree)[order] * rate)
        parts["holes_left"].append(is_leaf | _goes_left(tree)[order])
        roots.append(first)
        first += len(order)
    for name, dtype in (("feature", "<i8"), ("threshold", "<f4"), ("left", "<i8"), ("value", "<f8"), ("holes_left", "|u1")):
        columns.arrays[name] = numpy.concatenate(parts[name]).astype(dtype)
    _put(columns, "root", roots, "<i8")


def _by_level(tree: Any) -> tuple[Any, Any]:
    """Nodes in the order in which they are kept, and the place of each."""
    import numpy

    left, right = tree.children_left.tolist(), tree.children_right.tolist()
    order = [0]
    for node in order:  # grows while it is read
        if left[node] >= 0:
            order += (left[node], right[node])
    place: Any = numpy.zeros(len(left), dtype="int64")
    place[order] = numpy.arange(len(order))
    return numpy.array(order), place


def _values(tree: Any) -> Any:
    """(nodes, outputs): shares of the classes, or one number for each output."""
    value = tree.value
    return value[:, 0, :] if value.shape[1] == 1 else value[:, :, 0]


def _goes_left(tree: Any) -> Any:
    """Where NaN goes left. Versions before 1.3 do not say, and take no NaN."""
    import numpy

    said = getattr(tree, "missing_go_to_left", None)
    return numpy.zeros(tree.node_count, dtype=bool) if said is None else numpy.asarray(said, dtype=bool)


def rounded_down(thresholds: Any) -> Any:
    """The largest float32 at or below each: every float32 is on the same side of it as of the threshold itself."""
    import numpy

    with numpy.errstate(over="ignore"):
        near = thresholds.astype("float32")
    below = numpy.nextafter(near, numpy.float32(-numpy.inf))
    return numpy.where(near.astype("float64") > thresholds, below, near)


def _put(columns: Columns, name: str, array: Any, dtype: str = "<f8") -> None:
    import numpy

    columns.arrays[name] = numpy.ascontiguousarray(array, dtype=dtype)
