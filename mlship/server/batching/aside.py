"""A model's call beside the event loop that it interrupts."""

from __future__ import annotations

from asyncio import _get_running_loop, _set_running_loop
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def aside(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Calls it as if no loop ran in this thread: a model's own code may run one (asyncio.run), as it may in a thread."""
    loop = _get_running_loop()
    if loop is None:
        return work(*arguments, **named)
    _set_running_loop(None)
    try:
        return work(*arguments, **named)
    finally:
        _set_running_loop(loop)
