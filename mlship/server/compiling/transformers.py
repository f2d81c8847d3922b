"""Steps before the last estimator as steps of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlship.server.compiling.columns import Columns, Dense, Raw, Source, Unfit, dense, joined, with_fill
from mlship.server.compiling.encoders import encoded
from mlship.server.compiling.texts import counted, weighed
from mlship.server.runtimes.sklearn_columns import is_missing, selected
from mlship.server.runtimes.sklearn_parts import kind_of

PRODUCTS = 5_000  # of polynomial features


def transformed(step: Any, source: Source, columns: Columns) -> Source:
    """What a fitted step makes of its source. Raises Unfit."""
    if isinstance(step, str):
        if step == "passthrough":
            return source
        raise Unfit(f"a step is {step}")
    if not type(step).__module__.startswith("sklearn."):
        raise Unfit(f"{type(step).__name__} is code of your own")
    kind = kind_of(step)
    if kind not in KNOWN:
        raise Unfit(f"the step {kind} has no compiled form")
    return KNOWN[kind](step, source, columns)


def _pipeline(step: Any, source: Source, columns: Columns) -> Source:
    for _, inner in step.steps:
        if inner is not None:
            source = transformed(inner, source, columns)
    return source


def _column_transformer(step: Any, source: Source, columns: Columns) -> Source:
    if not isinstance(source, Raw):
        raise Unfit("a ColumnTransformer behind other steps has no compiled form")
    if getattr(step, "transformer_weights", None):
        raise Unfit("transformer_weights have no compiled form")
    names = [columns.names[at] for at in source.at]
    # its positions count the columns that it was trained with, those too that it drops and nobody sends
    trained = [str(name) for name in getattr(step, "feature_names_in_", names)]
    parts: list[Source] = []
    for _, part, wanted in step.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        if chosen := [names.index(name) for name in selected(wanted, trained)]:
            parts.append(transformed(part, source.picked(chosen), columns))
    if not parts:
        raise Unfit("its ColumnTransformer keeps no column")
    return joined(parts, columns)


def _union(step: Any, source: Source, columns: Columns) -> Source:
    if getattr(step, "transformer_weights", None):
        raise Unfit("transformer_weights have no compiled form")
    parts = [part for _, part in step.transformer_list if part is not None and part != "drop"]
    return joined([transformed(part, source, columns) for part in parts], columns)


def _function(step: Any, source: Source, columns: Columns) -> Source:
    """Only the one that ColumnTransformer itself puts in for `passthrough`."""
    if step.func is not None:
        raise Unfit("FunctionTransformer runs a function of your own")
    return source


def _imputer(step: Any, source: Source, columns: Columns) -> Source:
    if not isinstance(source, Raw):
        raise Unfit("a SimpleImputer behind other steps has no compiled form")
    if not is_missing(step.missing_values):
        raise Unfit(f"missing_values={step.missing_values!r} has no compiled form")
    statistics = list(step.statistics_.tolist())
    keeps_empty = bool(getattr(step, "keep_empty_features", False)) or step.strategy == "constant"
    kept = [at for at, value in enumerate(statistics) if not is_missing(value) or keeps_empty]
    fills = [0.0 if is_missing(statistics[at]) else statistics[at] for at in kept]
    filled: Source = with_fill(source.picked(kept), fills)
    if getattr(step, "indicator_", None) is None:
        return filled
    marked = source.picked(step.indicator_.features_.tolist())
    if any(fill is not None for fill in marked.fill):
        raise Unfit("two fillers in a row, the second with add_indicator, have no compiled form")
    holes = Dense({"step": "holes", "columns": list(marked.at)}, marked.width)
    return joined([dense(filled, columns), holes], columns)


def _standard(step: Any, source: Source, columns: Columns) -> Source:
    minus = step.mean_ if step.with_mean else None
    return _each(source, columns, subtract=minus, divide=step.scale_ if step.with_std else None)


def _min_max(step: Any, source: Source, columns: Columns) -> Source:
    low, high = step.feature_range if step.clip else (None, None)
    width = source.width
    return _each(
        source,
        columns,
        multiply=step.scale_,
        add=step.min_,
        at_least=None if low is None else [float(low)] * width,
        at_most=None if high is None else [float(high)] * width,
    )


def _max_abs(step: Any, source: Source, columns: Columns) -> Source:
    if getattr(step, "clip", False):
        return _each(source, columns, divide=step.scale_, at_least=[-1.0] * source.width, at_most=[1.0] * source.width)
    return _each(source, columns, divide=step.scale_)


def _robust(step: Any, source: Source, columns: Columns) -> Source:
    minus = step.center_ if step.with_centering else None
    return _each(source, columns, subtract=minus, divide=step.scale_ if step.with_scaling else None)


def _each(source: Source, columns: Columns, **operations: Any) -> Source:
    """operations: in the order in which scikit-learn computes; None for what is left out."""
    kept = [[name, columns.keep(by)] for name, by in operations.items() if by is not None]
    after = dense(source, columns)
    return Dense({"step": "each", "after": after.node, "operations": kept}, after.width) if kept else after


def _polynomial(step: Any, source: Source, columns: Columns) -> Source:
    """Each product is one of a lower degree times one column; where that one is not asked for, it is made, too."""
    after = dense(source, columns)
    wanted = [tuple(power) for power in step.powers_.tolist()]
    if len(wanted) > PRODUCTS:
        raise Unfit(f"its PolynomialFeatures make {len(wanted)} columns")
    by_degree = _degrees(set(wanted), after.width)
    ones = int((0,) * after.width in wanted)
    order = [(0,) * after.width] * ones + [_unit(at, after.width) for at in range(after.width)]
    degrees = []
    for level in by_degree[1:]:
        first, place = len(order), {power: at for at, power in enumerate(order)}
        columns_of = [next(at for at, times in enumerate(power) if times) for power in level]
        factors = [place[_less(power, at)] for power, at in zip(level, columns_of, strict=True)]
        order.extend(level)
        degrees.append([first, len(order), columns.keep(factors, "<i8"), columns.keep(columns_of, "<i8")])
    place = {power: at for at, power in enumerate(order)}
    node = {
        "step": "products",
        "after": after.node,
        "width": len(order),
        "ones": ones,
        "degrees": degrees,
        "order": columns.keep([place[power] for power in wanted], "<i8"),
    }
    return Dense(node, len(wanted))


def _degrees(wanted: set[tuple[int, ...]], width: int) -> list[list[tuple[int, ...]]]:
    """The products by degree from 1 on, with all that they are made of."""
    most = max(map(sum, wanted), default=1)
    levels: list[set[tuple[int, ...]]] = [set() for _ in range(most + 1)]
    for power in wanted:
        levels[sum(power)].add(power)
    for degree in range(most, 1, -1):
        for power in levels[degree]:
            levels[degree - 1].add(_less(power, next(at for at, times in enumerate(power) if times)))
    levels[1] = {_unit(at, width) for at in range(width)} if most else set()
    return [sorted(level, reverse=True) for level in levels[1:]]


def _unit(at: int, width: int) -> tuple[int, ...]:
    return tuple(int(place == at) for place in range(width))


def _less(power: tuple[int, ...], at: int) -> tuple[int, ...]:
    return (*power[:at], power[at] - 1, *power[at + 1 :])


def _selector(step: Any, source: Source, columns: Columns) -> Source:
    kept: list[int] = step.get_support(indices=True).tolist()
    if isinstance(source, Raw):
        return source.picked(kept)
    after = dense(source, columns)
    return Dense({"step": "pick", "after": after.node, "columns": columns.keep(kept, "<i8")}, len(kept))


KNOWN: Mapping[str, Callable[[Any, Source, Columns], Source]] = {
    "Pipeline": _pipeline,
    "ColumnTransformer": _column_transformer,
    "FeatureUnion": _union,
    "FunctionTransformer": _function,
    "SimpleImputer": _imputer,
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "RobustScaler": _robust,
    "PolynomialFeatures": _polynomial,
    "CountVectorizer": counted,
    "TfidfVectorizer": counted,
    "TfidfTransformer": weighed,
    "OneHotEncoder": encoded,
    "OrdinalEncoder": encoded,
    "TargetEncoder": encoded,
    "VarianceThreshold": _selector,
    "SelectKBest": _selector,
    "SelectPercentile": _selector,
    "SelectFromModel": _selector,
    "RFE": _selector,
    "RFECV": _selector,
}
