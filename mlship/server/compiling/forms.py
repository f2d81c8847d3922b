"""The compiled form of a model that is asked for: a plan for numpy, or an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlship.server import manifest
from mlship.server.compiling.columns import Unfit
from mlship.server.compiling.graphs import LIBRARIES, compiled_graph
from mlship.server.compiling.plans import compiled, split_pipeline
from mlship.server.runtimes.boosted import BoostedModel
from mlship.server.runtimes.onnx_compiled import ENGINE
from mlship.server.runtimes.plan_file import plan_bytes
from mlship.server.runtimes.sklearn import SklearnModel


@dataclass(frozen=True)
class Form:
    """engine: what computes it. content: the file. header, arrays: where its edges are. signature: what it takes and gives."""

    engine: str
    content: bytes
    header: Mapping[str, Any]
    arrays: Mapping[str, Any]
    signature: manifest.Signature


def form_of(loaded: Any, method: str, signature: manifest.Signature, *, is_graph: bool) -> Form:
    """loaded: as a runtime gives it. method, signature: the original's. Raises Unfit."""
    if not isinstance(loaded, (BoostedModel, SklearnModel)):
        raise Unfit("it has no compiled form")
    if is_graph:
        graph = compiled_graph(loaded, method, signature)
        return Form(ENGINE, graph.content, graph.header, graph.arrays, graph.signature)
    if isinstance(loaded, BoostedModel):
        raise Unfit(f"{loaded.title} has no form for numpy")
    plan = compiled(loaded.estimator, method, signature)
    return Form(plan.engine, plan_bytes(plan.header, plan.arrays), plan.header, plan.arrays, plan.signature)


def gains_from_graph(loaded: Any) -> bool:
    """Whether a model without a plan may have a graph: boosted trees, alone or behind steps of scikit-learn."""
    if isinstance(loaded, BoostedModel):
        return loaded.source.library in LIBRARIES
    _, final = split_pipeline(loaded.estimator) if isinstance(loaded, SklearnModel) else ([], None)
    return type(final).__module__.partition(".")[0] in LIBRARIES
