"""The pause between two looks at Azure."""

from __future__ import annotations

from dataclasses import dataclass

from mlship.targets import waiting

POLL_S = 3.0


@dataclass(frozen=True)
class Waiting(waiting.Waiting):
    """As everywhere, with Azure's pause."""

    every_s: float = POLL_S
