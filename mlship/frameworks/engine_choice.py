"""Which engine computes a model's answers: what was asked for, and what trying it showed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

ORIGINAL = "original"
GRAPH = "onnx"
INT8 = "int8"  # a graph of ONNX with its matrices in 8 bits (model.quantize)
REFERENCE, HOLDOUT = "reference", "holdout"  # files of rows that a model's keys name
# A compiled engine that is clearly slower is not taken. Not nearer to 1: what is taken decides the lock, two measurements differ by
# a fifth, and an image of a third of the size that starts in a third of the time is worth some speed in the rare calls of many rows.
SLOWER = 0.5
# onnxruntime is 41 MB of an image, and a worker with it takes twice the memory of one with numpy alone.
GRAPH_GAINS = 1.5


@dataclass(frozen=True)
class Cost:
    """What a model lost by int8. measure: `accuracy`, `auc` or `r2`, of the model before and after, on `rows` of model.holdout.

    allowed: how much of it may be lost. sizes: bytes of the file before and after.
    """

    measure: str
    before: float
    after: float
    rows: int
    allowed: float
    sizes: tuple[int, int]

    @property
    def loss(self) -> float:
        """Nothing where it became better."""
        return max(0.0, self.before - self.after)


@dataclass(frozen=True)
class Tried:
    """What the locked-down child found. engine: `` where the model has no compiled form. sha256: of the compiled file.

    rows: on how many the two were compared, refused: how many of these both refuse. difference: the largest of two numbers.
    kinds: of how many the rows are `sample`, `reference`, `holdout`, `generated`.
    seconds: rows in one call -> (original, compiled). reason: why there is no compiled form, or where the answers differ. gains: an
    ONNX graph may be quicker than it, or may be there where nothing else is.
    """

    engine: str = ""
    sha256: str = ""
    rows: int = 0
    refused: int = 0
    difference: float = 0.0
    seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reason: str = ""
    kinds: Mapping[str, int] = field(default_factory=dict)
    gains: bool = False


@dataclass(frozen=True)
class EngineFacts:
    """The engine of a model, for its manifest, its record and people. name: `original`, `numpy`, `trees`, `onnx`, `int8`.

    reason: why nothing was taken that might be better; `` where it was asked for. cost: of int8. The rest as in Tried.
    """

    name: str = ORIGINAL
    reason: str = ""
    sha256: str = ""
    rows: int = 0
    refused: int = 0
    difference: float = 0.0
    seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    kinds: Mapping[str, int] = field(default_factory=dict)
    cost: Cost | None = None


def choice(tried: Tried, *, measured: bool = True) -> EngineFacts:
    """measured: a compiled engine that is much slower is not taken; False where it was asked for by name."""
    if tried.reason:
        return EngineFacts(reason=f"{tried.engine} tried: {tried.reason}" if tried.engine else tried.reason)
    if measured and speed_up(tried.seconds) < SLOWER:
        return EngineFacts(reason=f"{tried.engine} tried: it is much slower", seconds=tried.seconds)
    return EngineFacts(tried.engine, "", tried.sha256, tried.rows, tried.refused, tried.difference, tried.seconds, tried.kinds)


def best(plan: Tried, graph: Tried | None) -> EngineFacts:
    """Of what numpy computes and an ONNX graph. graph: None where it was not looked at, for it cannot gain anything."""
    first = choice(plan)
    if graph is None:
        return first
    second = choice(graph)
    if second.name == ORIGINAL:
        return replace(first, reason=f"{first.reason}; {second.reason}" if first.reason and plan.engine else second.reason)
    if first.name != ORIGINAL and speed_up(graph.seconds) < GRAPH_GAINS * speed_up(plan.seconds):
        return replace(first, reason=f"{GRAPH} tried: it is not much quicker")
    return second


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
    cost = kept.get("cost")
    return EngineFacts(
        **{**kept, "seconds": seconds, "cost": Cost(**{**cost, "sizes": tuple(cost["sizes"])}) if cost else None}
    )
