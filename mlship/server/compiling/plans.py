"""A fitted scikit-learn model -> a plan for one of the compiled engines, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from mlship.server import manifest
from mlship.server.compiling.columns import Columns, Raw, Source, Unfit
from mlship.server.compiling.forests import FORESTS, forest
from mlship.server.compiling.linear import LINEAR, linear
from mlship.server.compiling.transformers import transformed
from mlship.server.input.dtypes import NUMERIC
from mlship.server.runtimes.sklearn_parts import kind_of

METHODS = ("", "predict", "predict_proba", "decision_function")


@dataclass(frozen=True)
class Compiled:
    """engine: `numpy` or `trees`. header, arrays: of the plan file. signature: what the compiled model takes and gives."""

    engine: str
    header: Mapping[str, Any]
    arrays: Mapping[str, Any]
    signature: manifest.Signature


def compiled(estimator: Any, method: str, signature: manifest.Signature) -> Compiled:
    """method: what is called, `` for predict with what stands beside it. signature: of the original. Raises Unfit."""
    if method not in METHODS:
        raise Unfit(f"serve.method is {method}")
    if not signature.inputs:
        raise Unfit("its features are not known")
    if any(feature.shape for feature in signature.inputs):
        raise Unfit("its features are arrays in themselves")
    if any(feature.dtype in ("float32", "float16") for feature in signature.inputs):
        raise Unfit("its features are float32, and so it computes")
    steps, final = split_pipeline(estimator)
    columns = Columns(signature)
    source: Source = Raw.all_of(columns)
    for step in steps:
        source = transformed(step, source, columns)
    kind = _kind(final)
    if kind in LINEAR:
        engine, header = "numpy", linear(final, kind, method, source, columns)
    elif kind in FORESTS:
        engine, header = "trees", forest(final, kind, method, source, columns)
    else:
        raise Unfit(f"{kind} has no compiled form")
    taken = compiled_signature(signature)
    said = {**header, "engine": engine, "title": type(estimator).__name__, "signature": asdict(taken)}
    return Compiled(engine, said, columns.arrays, taken)


def compiled_signature(signature: manifest.Signature) -> manifest.Signature:
    """The same rows, in a form that needs no pandas. What was a frame is none of an array: protocols tell callers which."""
    is_array = signature.container == "array" and all(feature.dtype in NUMERIC for feature in signature.inputs)
    return replace(signature, container="array" if is_array else "columns")


def split_pipeline(estimator: Any) -> tuple[list[Any], Any]:
    """What comes before the last estimator, flat, and that one."""
    if not _is_sklearns(estimator):
        return [], estimator
    if kind_of(estimator) == "FrozenEstimator":
        return split_pipeline(estimator.estimator)
    if hasattr(estimator, "best_estimator_"):
        return split_pipeline(estimator.best_estimator_)
    if kind_of(estimator) != "Pipeline":
        return [], estimator
    *before, last = [step for _, step in estimator.steps]
    inner, final = split_pipeline(last)
    return [*(step for step in before if step is not None and step != "passthrough"), *inner], final


def _kind(estimator: Any) -> str:
    """The name of a class of scikit-learn's own. Raises Unfit for any other."""
    if not _is_sklearns(estimator):
        raise Unfit(f"{type(estimator).__name__} is code of your own")
    return kind_of(estimator)


def _is_sklearns(estimator: Any) -> bool:
    return type(estimator).__module__.startswith("sklearn.")
