"""Which engine computes a model's answers: what was asked for, and what trying it showed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

ORIGINAL = "original"
# A compiled engine that is clearly slower is not taken. Not nearer to 1: what is taken decides the lock, two measurements differ by
# a fifth, and an image of a third of the size that starts in a third of the time is worth some speed in the rare calls of many rows.
SLOWER = 0.5


@dataclass(frozen=True)
class Tried:
    """What the locked-down child found. engine: `` where the model has no compiled form. sha256: of the compiled file.

    rows: on how many the two were compared, refused: how many of these both refuse. difference: the largest of two numbers.
    seconds: rows in one call -> (original, compiled). reason: why there is no compiled form, or where the answers differ.
    """

    engine: str = ""
    sha256: str = ""
    rows: int = 0
    refused: int = 0
    difference: float = 0.0
    seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class EngineFacts:
    """The engine of a model, for its manifest, its record and people. name: `original`, `numpy`, `trees`.

    reason: why the original is kept; `` where it was asked for, and for another engine. The rest as in Tried.
    """

    name: str = ORIGINAL
    reason: str = ""
    sha256: str = ""
    rows: int = 0
    refused: int = 0
    difference: float = 0.0
    seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def choice(tried: Tried, *, measured: bool = True) -> EngineFacts:
    """measured: a compiled engine that is much slower is not taken; False where it was asked for by name."""
    if tried.reason:
        return EngineFacts(reason=f"{tried.engine} tried: {tried.reason}" if tried.engine else tried.reason)
    if measured and speed_up(tried.seconds) < SLOWER:
        return EngineFacts(reason=f"{tried.engine} tried: it is much slower", seconds=tried.seconds)
    return EngineFacts(tried.engine, "", tried.sha256, tried.rows, tried.refused, tried.difference, seconds=tried.seconds)


def refusal(wanted: str, tried: Tried) -> str:
    """Why an engine that was asked for by name cannot be had; `` where it can."""
    if tried.reason:
        return tried.reason
    if tried.engine != wanted:
        return f"the model compiles to the engine {tried.engine}"
    return ""


def speed_up(seconds: Mapping[str, tuple[float, float]]) -> float:
    """How many times as fast, the geometric mean of what was measured; 1 where nothing was."""
    ratios = [original / other for original, other in seconds.values() if other > 0]
    return prod(ratios) ** (1 / len(ratios)) if ratios else 1.0


def facts_from(kept: Mapping[str, Any]) -> EngineFacts:
    """From JSON; of records that know of no engine, the original."""
    seconds = {str(rows): (float(pair[0]), float(pair[1])) for rows, pair in kept.get("seconds", {}).items()}
    return EngineFacts(**{**kept, "seconds": seconds})
