"""The population stability index of what is served against model.reference. Standard library only: the CLI adds up copies with it.

PSI = sum over bins of (live share - reference share) * ln(live share / reference share). A bin that is empty on one side would make it
infinite: half a row is added to each bin of both sides (Jeffreys' prior for shares), which for an empty bin among 500 rows stands for
one row in a thousand. Bins that are empty on both sides do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from mlship.server.manifest import Histogram

STABLE, DRIFTED = 0.1, 0.25  # the usual words: below the first stable, below the second moving
# With as many rows as in the reference's bins, PSI of equal data is about (bins - 1) / rows: 0.04 for 21 bins and 500 rows.
LEAST_ROWS = 500
MOST_FEATURES = 100  # of a model, the first of its signature: so many series, and rows of a table that somebody reads
# Rows after which a row counts half. The window then holds 14,427 rows at most (HALF_LIFE / ln 2), whatever the rate of requests.
HALF_LIFE = 10_000
UNDER, OVER, OTHER, NULL = "under", "over", "other", "null"
_A_LITTLE = 0.5  # rows


def bin_names(histogram: Histogram) -> tuple[str, ...]:
    """In the order of its counts: `under`, `1`, ..., `over`, `null`, or `1`, ..., `other`, `null`."""
    if histogram.kind == "category":
        return (*map(str, range(1, len(histogram.values) + 1)), OTHER, NULL)
    return (UNDER, *map(str, range(1, len(histogram.edges))), OVER, NULL)


def psi(names: Sequence[str], reference: Sequence[float], live: Sequence[float]) -> float:
    """Of two rows of counts with these bins, none of them negative. 0 where either side has no rows.

    What lies beyond the reference's ends is counted with the first and the last bin: a few rows do in any two samples of the same.
    """
    pairs = [(was, now) for was, now in zip(_joined(names, reference), _joined(names, live), strict=True) if was or now]
    was_all, now_all = (sum(side) for side in zip(*pairs, strict=True)) if pairs else (0.0, 0.0)
    if not was_all or not now_all:
        return 0.0
    added = _A_LITTLE * len(pairs)
    total = 0.0
    for was, now in pairs:
        before, after = (was + _A_LITTLE) / (was_all + added), (now + _A_LITTLE) / (now_all + added)
        total += (after - before) * log(after / before)
    return total


def word(index: float, threshold: float = DRIFTED) -> str:
    """`stable`, `moving` or `drifted`."""
    return "drifted" if index >= threshold else "stable" if index < STABLE else "moving"


def _joined(names: Sequence[str], counts: Sequence[float]) -> list[float]:
    """Without the bins beyond the ends, unless there is one bin alone, beside which they say all."""
    if names[0] != UNDER or len(names) < 5:
        return list(counts)
    under, first, *middle, last, over, nulls = counts
    return [under + first, *middle, last + over, nulls]
