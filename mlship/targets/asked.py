"""Asking a service that judges its callers: again, with mlship's own key, where the first answer was 401."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mlship.targets.base import Answer, Request


def asked(ask: Callable[[Request], Answer], request: Request, own_key: Callable[[], str]) -> Answer:
    """own_key: fetched only when it is needed; empty where the target has none."""
    answer = ask(request)
    if answer.status != 401:
        return answer
    key = own_key()
    return ask(replace(request, key=key)) if key else answer
