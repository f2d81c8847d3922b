"""What a command ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """payload: what --json adds to the envelope. text: for people. brief: all that --quiet prints, such as an id.

    is_verbatim: the text is not about this call, such as a pipeline, or its commands are whole: they are printed as they are.
    """

    text: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    brief: str = ""
    exit: int = 0
    is_verbatim: bool = False
