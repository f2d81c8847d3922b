"""Flows that need the cache from their beginning to their end."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from mlship.disk import locked_together
from mlship.flows.context import Context

Said = ParamSpec("Said")
Result = TypeVar("Result")


def holding_the_cache(flow: Callable[Concatenate[Context, Said], Result]) -> Callable[Concatenate[Context, Said], Result]:
    """The same flow; `mlship cache prune` waits for its end, and it for the prune's."""

    @wraps(flow)
    def holding(context: Context, /, *said: Said.args, **named: Said.kwargs) -> Result:
        with locked_together(context.home.in_use):
            return flow(context, *said, **named)

    return holding
