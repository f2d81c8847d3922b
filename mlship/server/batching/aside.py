"""A model's call beside the event loop that it interrupts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def aside(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Calls it as if no loop ran in this thread: a model's own code may run one (asyncio.run), as it may in a thread."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return work(*arguments, **named)
    finally:
        asyncio._set_running_loop(loop)
