"""The grammar of `rollout.gates`: `p95_ms < 40`, `error_rate < 0.5%`. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from mlship.config.words import clipped, either, nearest

Operator = Literal["<", "<=", ">", ">="]

# What is counted while callers use the release; the others are known before.
MEASURED = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms", "error_rate", "requests")
METRICS = (*MEASURED, "prediction_change")
SHARES = ("error_rate", "prediction_change")

_HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_GATE = re.compile(r"\s*([A-Za-z0-9_]+)\s*(<=|>=|<|>)\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(%?)\s*", re.ASCII)


@dataclass(frozen=True)
class Gate:
    """What must hold of a new release. limit: milliseconds, requests, or a share (0.005 for 0.5%)."""

    metric: str
    operator: Operator
    limit: float

    def holds(self, value: float) -> bool:
        return _HOLDS[self.operator](value, self.limit)

    @property
    def is_measured(self) -> bool:
        """Whether callers have to use the release before it can be judged."""
        return self.metric in MEASURED

    @property
    def wants_more(self) -> bool:
        """Whether more of it is wanted: what is too little of a number that grows may still come."""
        return self.operator in (">", ">=")

    def text(self, value: float) -> str:
        """A value of this gate for people: `0.5 %`, `22 ms`, `812`."""
        if self.metric in SHARES:
            return f"{value * 100:.3g} %"
        return f"{value:.3g} ms" if self.metric.endswith("_ms") else f"{value:.0f}"

    @property
    def wanted(self) -> str:
        """`< 0.5 %`."""
        number = f"{self.limit * 100:g} %" if self.metric in SHARES else f"{self.limit:g}"
        return f"{self.operator} {number}"


def parse(text: str) -> Gate:
    """`p95_ms < 40`, `error_rate <= 0.5%`, `prediction_change < 0.1`. Raises ValueError that says what to write."""
    found = _GATE.fullmatch(text) if len(text) <= 80 else None
    if found is None:
        raise ValueError(f'{clipped(text)!r} is not a gate; write for example "p95_ms < 40" or "error_rate < 0.5%"')
    metric, sign, number, percent = found.groups()
    if metric not in METRICS:
        meant = nearest(metric, METRICS)
        hint = f"did you mean {meant}?" if meant else f"known: {either(METRICS)}"
        raise ValueError(f"{clipped(metric)} is not measured; {hint}")
    if percent and metric not in SHARES:
        raise ValueError(f"{metric} is no share of anything; write {metric} {sign} {number}")
    limit = float(number) / 100 if percent else float(number)
    if metric in SHARES and not percent and limit > 1:
        raise ValueError(f"{metric} is a share: {number} would be {limit * 100:g} %; write {metric} {sign} {number}%")
    return Gate(metric, sign, limit)  # type: ignore[arg-type]  # the expression lets no other operator through
