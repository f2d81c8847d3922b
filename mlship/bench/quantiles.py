"""Quantiles of measured times. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed; infinity where there are none. share: in [0, 1]."""
    if not ascending:
        return math.inf
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


def quantiles(ascending: Sequence[float], count: int) -> tuple[float, ...]:
    """`count` values that stand for all with equal weight: the quantiles (i + 1/2) / count, drawn straight between two measured.

    Hyndman and Fan's definition 5 (The American Statistician 50, 1996), which keeps the median and, nearly, the mean.
    """
    if not ascending:
        return ()
    return tuple(_between(ascending, (index + 0.5) / count * len(ascending) - 0.5) for index in range(count))


def _between(ascending: Sequence[float], at: float) -> float:
    low = min(max(math.floor(at), 0), len(ascending) - 1)
    high = min(low + 1, len(ascending) - 1)
    below, above = ascending[low], ascending[high]
    return min(below + (above - below) * min(max(at - low, 0.0), 1.0), above)  # never out of order by a rounding
