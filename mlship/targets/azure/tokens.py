"""Tokens of Entra, each asked for once. azure-identity keeps none of `az login`: there each one is a process that takes a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

LEFT_S = 300.0  # before its end a token is not used any more


class Tokens:
    """A credential as azure-core asks it; inner: the one that it stands for. Kept for the length of a command, and nowhere else."""

    def __init__(self, inner: Any, clock: Callable[[], float] = time.time) -> None:
        self._inner = inner
        self._clock = clock
        self._kept: dict[tuple[Any, ...], Any] = {}

    def get_token(self, *scopes: str, **options: Any) -> Any:
        """claims: why a token was turned away (continuous access evaluation): then it is another one that is wanted."""
        claims = options.pop("claims", None)
        key = (scopes, *sorted(options.items()))
        kept = None if claims else self._kept.get(key)
        if kept is None or kept.expires_on - self._clock() < LEFT_S:
            kept = self._kept[key] = self._inner.get_token(*scopes, **options, **({"claims": claims} if claims else {}))
        return kept
