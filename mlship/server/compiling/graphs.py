"""A fitted model -> an ONNX graph of its trees, with what comes before and after them, or the reason why there is none."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from mlship.server import manifest
from mlship.server.boosted_header import Header
from mlship.server.compiling import graph_bytes
from mlship.server.compiling.booster_trees import Boosted
from mlship.server.compiling.columns import Columns, Raw, Source, Unfit, dense
from mlship.server.compiling.ensembles import LEQ, Ensemble, node_of, with_start
from mlship.server.compiling.lightgbm_trees import lightgbm_trees
from mlship.server.compiling.plans import Compiled, compiled, compiled_signature, split_pipeline
from mlship.server.compiling.transformers import transformed
from mlship.server.compiling.xgboost_trees import xgboost_trees
from mlship.server.runtimes.boosted import BoostedModel, BoosterSource, boosted
from mlship.server.runtimes.onnx_compiled import ENGINE, KEY
from mlship.server.runtimes.plan_file import plan_bytes

_OF_TREES = ("feature", "threshold", "left", "value", "root", "holes_left", "start")
LIBRARIES: Mapping[str, Callable[[BoosterSource, Header], Boosted]] = {"xgboost": xgboost_trees, "lightgbm": lightgbm_trees}
_MOST_LEAVES = 2**24  # of one tree: its leaves are counted in float32


@dataclass(frozen=True)
class CompiledGraph:
    """content: the .onnx file. header, arrays: where its edges are, as of a plan. signature: what it takes and gives."""

    content: bytes
    header: Mapping[str, Any]
    arrays: Mapping[str, Any]
    signature: manifest.Signature


def compiled_graph(loaded: Any, method: str, signature: manifest.Signature) -> CompiledGraph:
    """loaded: as a runtime gives it. method: what is called, `` for what is usual. signature: the original's. Raises Unfit."""
    if isinstance(loaded, BoostedModel):
        if not signature.inputs:
            raise Unfit("its features are not known")
        return _of_booster(loaded, method, signature, None)
    steps, final = split_pipeline(loaded.estimator)
    if (last := boosted(final, method)) is not None and isinstance(last, BoostedModel):
        return _of_booster(last, method, signature, steps)
    plan = compiled(loaded.estimator, method, signature)
    if plan.engine != "trees":
        raise Unfit(f"the model compiles to the engine {plan.engine}")
    return _of_forest(plan)


class _Graph(NamedTuple):
    """said: how its output becomes scores, see runtimes/onnx_compiled.py."""

    nodes: list[bytes]
    taken: bytes
    given: bytes
    said: dict[str, Any]
    kept: tuple[bytes, ...] = ()


def _of_forest(plan: Compiled) -> CompiledGraph:
    found = _sums(plan) if _has_one_number_a_leaf(plan.arrays) else _leaves(plan)
    trees = plan.header["trees"]
    said = {**found.said, "holes": trees["holes"], "divisor": float(len(plan.arrays["root"])) if trees["mean"] else 0.0}
    as_before = {name: plan.header[name] for name in ("title", "signature", "features", "head")}
    header = {**as_before, "engine": ENGINE, "trees": said, "by": _first_asked(plan.arrays["feature"][plan.arrays["root"]])}
    arrays = {name: array for name, array in plan.arrays.items() if name not in _OF_TREES}
    content = graph_bytes.model(found.nodes, found.taken, found.given, found.kept, _said(header, arrays))
    return CompiledGraph(content, plan.header, plan.arrays, plan.signature)


def _has_one_number_a_leaf(arrays: Mapping[str, Any]) -> bool:
    """Or one and zeros, as in forests that are grown until each leaf has rows of one class only."""
    value = arrays["value"]
    return bool(value.shape[1] == 1 or ((value[_is_leaf(arrays)] != 0).sum(axis=1) <= 1).all())


def _sums(plan: Compiled) -> _Graph:
    """What the trees add up to; in doubles, unless they count."""
    import numpy

    arrays = plan.arrays
    of_tree = len(arrays["root"]) // int(plan.header["trees"]["rounds"])  # outputs with trees of their own
    width = arrays["value"].shape[1]
    target = _tree_of_node(arrays) % of_tree if width == 1 else arrays["value"].argmax(axis=1)
    weight = arrays["value"].sum(axis=1)  # of what is one number and zeros
    outputs, start = max(of_tree, width), arrays["start"]
    counts = bool((weight[_is_leaf(arrays)] == 1).all()) and not start.any()  # and float32 counts exactly, up to 2**24
    votes = len(arrays["root"]) if counts and width == 2 else 0
    if votes:  # for the second of two classes; those for the first are the others, and one sum is less to do than two
        weight, target, outputs = arrays["value"][:, 1], numpy.zeros_like(target), 1
    ensemble = _ensemble(arrays, "float32" if counts else "float64", weight, target, outputs)
    if start.any():
        ensemble = with_start(ensemble, numpy.array(numpy.broadcast_to(start, (outputs,))))
    taken = graph_bytes.value("rows", ensemble.dtype, "N", "columns")
    given = graph_bytes.value("sums", ensemble.dtype, "N", outputs)
    return _Graph([node_of(ensemble, "rows", "sums")], taken, given, {"gives": "sums", "dtype": ensemble.dtype, "votes": votes})


def _leaves(plan: Compiled) -> _Graph:
    """Trees with several numbers a leaf: which leaf of each tree is met, and its numbers, which are added outside in order.

    A leaf of TreeEnsemble adds to one sum only. So each tree has a sum of its own, and what a leaf adds is its place.
    """
    import numpy

    arrays = plan.arrays
    is_leaf = _is_leaf(arrays)
    tree = _tree_of_node(arrays)
    among = numpy.cumsum(is_leaf) - 1  # of all leaves
    first = among[arrays["root"]] + ~is_leaf[arrays["root"]]  # of each tree
    count = len(arrays["root"])
    if int(numpy.bincount(tree[is_leaf]).max()) > _MOST_LEAVES:
        raise Unfit("one of its trees has too many leaves")
    ensemble = _ensemble(arrays, "float32", (among - first[tree]) * is_leaf, tree, count)
    nodes = [
        node_of(ensemble, "rows", "places"),
        graph_bytes.node("Cast", ["places"], "whole", to=graph_bytes.INT64),
        graph_bytes.node("Add", ["whole", "first"], "among"),
        graph_bytes.node("Transpose", ["among"], "turned", perm=numpy.array([1, 0])),
        graph_bytes.node("Gather", ["values", "turned"], "met", axis=0),
    ]
    kept = (
        graph_bytes.tensor("first", first.astype("int64")),
        graph_bytes.tensor("values", numpy.ascontiguousarray(arrays["value"][is_leaf])),
    )
    width = arrays["value"].shape[1]
    taken = graph_bytes.value("rows", "float32", "N", "columns")
    given = graph_bytes.value("met", "float64", count, "N", width)
    return _Graph(nodes, taken, given, {"gives": "leaves", "dtype": "float32", "cells": count * width, "votes": 0}, kept)


def _ensemble(arrays: Mapping[str, Any], dtype: str, weight: Any, target: Any, targets: int) -> Ensemble:
    """Of a plan's arrays: thresholds are float32, which decide for every float32 as the original does."""
    import numpy

    left = arrays["left"]
    return Ensemble(
        dtype=dtype,
        feature=arrays["feature"],
        split=arrays["threshold"],
        mode=numpy.full(len(left), LEQ),
        yes=left,
        no=numpy.minimum(left + 1, len(left) - 1),
        holes_yes=arrays["holes_left"].astype(bool),
        is_leaf=_is_leaf(arrays),
        root=arrays["root"],
        weight=weight,
        target=target,
        targets=targets,
    )


def _is_leaf(arrays: Mapping[str, Any]) -> Any:
    """A leaf is its own child."""
    import numpy

    return arrays["left"] == numpy.arange(len(arrays["left"]))


def _tree_of_node(arrays: Mapping[str, Any]) -> Any:
    import numpy

    sizes = numpy.diff([*arrays["root"].tolist(), len(arrays["left"])])
    return numpy.repeat(numpy.arange(len(sizes)), sizes)


def _of_booster(model: BoostedModel, method: str, signature: manifest.Signature, steps: list[Any] | None) -> CompiledGraph:
    """steps: those of scikit-learn before it; None where it stands alone."""
    library = model.source.library
    if library not in LIBRARIES:
        raise Unfit(f"{model.title} has no compiled form")
    found = LIBRARIES[library](model.source, model.header)
    columns = Columns(signature)
    features = _features(steps, columns, found.header) if steps is not None else None
    taken = compiled_signature(signature) if features else signature
    header = {
        "engine": ENGINE,
        "title": "Pipeline" if features else model.title,
        "signature": asdict(taken),
        "features": features,
        "boosted": {"library": library, "flat": found.outputs == 1, "method": method, "header": _kept_of(found.header)},
        "by": _first_asked(found.trees.feature[found.trees.root]),
    }
    dtype = found.trees.dtype
    nodes = [node_of(found.trees, "rows", "sums"), *found.after("sums", "scores")]
    content = graph_bytes.model(
        nodes,
        graph_bytes.value("rows", dtype, "N", len(found.header.columns)),
        graph_bytes.value("scores", dtype, "N", found.outputs),
        found.kept,
        _said(header, columns.arrays),
    )
    return CompiledGraph(content, _edges(found, features), _splits(found), taken)


def _first_asked(features: Any) -> int:
    """The column that most trees ask first. features: of their roots."""
    import numpy

    return int(numpy.bincount(features, minlength=1).argmax())


def _features(steps: list[Any], columns: Columns, header: Header) -> dict[str, Any]:
    source: Source = Raw.all_of(columns)
    for step in steps:
        source = transformed(step, source, columns)
    found = dense(source, columns)
    if found.width != len(header.columns):
        raise Unfit(f"it takes {len(header.columns)} columns, its steps make {found.width}")
    return dict(found.node)


def _kept_of(header: Header) -> dict[str, Any]:
    """What answering needs of it."""
    return asdict(replace(header, facts={}, columns=tuple(replace(column, span=None) for column in header.columns)))


def _edges(found: Boosted, features: dict[str, Any] | None) -> dict[str, Any]:
    """As of a plan: which columns pass to the trees, and which words are known."""
    every = list(range(len(found.header.columns)))
    words = [] if features else [column.words for column in found.header.columns]
    return {"features": features or {"step": "take", "columns": every}, "words": words}


def _splits(found: Boosted) -> dict[str, Any]:
    import numpy

    at = numpy.flatnonzero(~found.trees.is_leaf & (found.trees.mode <= 1))
    return {"threshold": found.trees.split[at], "feature": found.trees.feature[at]}


def _said(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, str]:
    return {KEY: b64encode(plan_bytes(header, arrays)).decode()}
