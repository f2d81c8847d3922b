"""The grammar of `model.holdout.min`: `auc: 0.8`, `rmse: 3.5`, `accuracy: baseline - 0.01`. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlship.config.words import clipped, either, nearest

MORE_IS_BETTER: Mapping[str, bool] = {
    "accuracy": True,
    "f1": True,
    "auc": True,
    "r2": True,
    "logloss": False,
    "rmse": False,
    "mae": False,
}
_RELATIVE = re.compile(r"\s*baseline\s*(?:([+-])\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*)?", re.ASCII)


@dataclass(frozen=True)
class Limit:
    """What a metric must reach. number: the limit itself, or what is added to the live release's figure (is_relative)."""

    metric: str
    number: float
    is_relative: bool = False

    def value(self, baseline: float | None) -> float | None:
        """The limit as a number; None where it takes a baseline and there is none."""
        if not self.is_relative:
            return self.number
        return None if baseline is None else baseline + self.number

    def holds(self, measured: float, limit: float) -> bool:
        return measured >= limit if MORE_IS_BETTER[self.metric] else measured <= limit

    @property
    def sign(self) -> str:
        return ">=" if MORE_IS_BETTER[self.metric] else "<="

    @property
    def text(self) -> str:
        """`>= 0.8`, `>= baseline - 0.01`."""
        if not self.is_relative:
            return f"{self.sign} {self.number:g}"
        moved = f" {'-' if self.number < 0 else '+'} {abs(self.number):g}" if self.number else ""
        return f"{self.sign} baseline{moved}"


def parse(metric: str, said: float | str) -> Limit:
    """Raises ValueError that says what to write."""
    if metric not in MORE_IS_BETTER:
        meant = nearest(metric, MORE_IS_BETTER)
        raise ValueError(
            f"{clipped(metric)} is not measured; {f'did you mean {meant}?' if meant else f'known: {either(tuple(MORE_IS_BETTER))}'}"
        )
    if not isinstance(said, str):
        if not math.isfinite(said):
            raise ValueError(f"{said} is no limit; write a number, or baseline - 0.01")
        return Limit(metric, float(said))
    found = _RELATIVE.fullmatch(said) if len(said) <= 60 else None
    if found is None:
        raise ValueError(f"{clipped(said)!r} is no limit; write a number, or baseline - 0.01")
    sign, number = found.groups()
    return Limit(metric, float(f"{sign}{number}") if number else 0.0, is_relative=True)
