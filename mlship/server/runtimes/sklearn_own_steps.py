"""Columns that pass unchanged through a user's own first steps: what scikit-learn's parts behind them know holds for the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mlship.server import manifest
from mlship.server.input.container import container_for
from mlship.server.input.validate import Validator
from mlship.server.problems import InputError
from mlship.server.runtimes.sklearn_columns import Fact, facts_of_steps
from mlship.server.runtimes.sklearn_parts import inside, kind_of

# what code that is given columns it does not expect raises
_RAISED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
UNKNOWN = "mlship: no such category"


def facts_behind(estimator: Any, found: manifest.Signature, sample: tuple[Any, ...]) -> dict[str, Fact]:
    """What is known of the columns that the own steps leave as they are, on the whole sample; nothing without a sample.

    found: a signature that takes the sample, nulls too. The steps' own errors mean that nothing is known.
    """
    own, rest = _own_steps(estimator)
    if not own or not rest or not sample or found.container != "frame":
        return {}
    try:
        frame = container_for(found).build([Validator(found).exact_table(list(sample))])
        after = frame
        for step in own:
            after = step.transform(after)
    except (InputError, *_RAISED):
        return {}
    columns = list(getattr(after, "columns", ()))
    kept = [name for name in frame.columns if name in columns and after[name].equals(frame[name])]
    known = facts_of_steps([step for _, step in rest], columns)
    return {name: known[name] for name in kept if name in known}


def closed(fact: Fact, is_taken: Callable[[Any], bool]) -> Fact:
    """The fact, without its closed set when the model takes a value outside of it: the own steps may correct spellings."""
    if fact.categories is None:
        return fact
    words = [value for value in fact.categories if isinstance(value, str)]
    others = {UNKNOWN} if words else set()
    for word in words[:3]:
        others |= {word.upper(), word.lower(), word.title(), f" {word} "}
    if not words or any(is_taken(value) for value in sorted(others - set(words))):
        return replace(fact, categories=None)
    return fact


def _own_steps(estimator: Any) -> tuple[list[Any], list[tuple[str, Any]]]:
    while inside(estimator) is not None:
        estimator = inside(estimator)
    if kind_of(estimator) != "Pipeline":
        return [], []
    steps = [(name, step) for name, step in estimator.steps if step is not None and not isinstance(step, str)]
    count = 0
    while count < len(steps) and _is_own(steps[count][1]):
        count += 1
    return [step for _, step in steps[:count]], steps[count:]


def _is_own(step: Any) -> bool:
    is_function = kind_of(step) == "FunctionTransformer"
    return hasattr(step, "transform") and (is_function or not type(step).__module__.startswith("sklearn."))
