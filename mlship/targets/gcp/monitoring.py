"""What Cloud Monitoring has counted between two moments, and latencies as it tells them (monitoring.v3)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mlship.targets.gcp.door import Door
from mlship.targets.gcp.paging import pages

LONGEST_S = 7 * 86_400  # how far back is counted; both measurements of a step begin at the same moment
_MINUTE_S, _MILLI = 60, 1e-3

Point = tuple[Mapping[str, Any], Mapping[str, Any]]  # labels of the metric, value


def counted(door: Door, filter: str, by: str, since: float, now: float) -> Iterator[Point]:
    """All of the time between as one point a series. by: the metric's label that parts them, empty for none."""
    width = max(_MINUTE_S, math.ceil((now - max(since, now - LONGEST_S)) / _MINUTE_S) * _MINUTE_S)
    asked = {
        "filter": filter,
        "interval.startTime": _text(now - width),
        "interval.endTime": _text(now),
        "aggregation.alignmentPeriod": f"{width}s",
        "aggregation.perSeriesAligner": "ALIGN_DELTA",
        "aggregation.crossSeriesReducer": "REDUCE_SUM",
        **({"aggregation.groupByFields": f"metric.label.{by}"} if by else {}),
    }
    for page in pages(door, f"https://monitoring.googleapis.com/v3/projects/{door.project}/timeSeries", asked):
        for one in page.get("timeSeries") or ():
            for point in one.get("points") or ():
                yield (one.get("metric") or {}).get("labels") or {}, point["value"]


def number(value: Mapping[str, Any]) -> float:
    return float(value.get("int64Value", value.get("doubleValue", 0)))


def latencies(values: Iterable[Mapping[str, Any]]) -> tuple[dict[float, float], float]:
    """Of distributions in milliseconds: seconds -> requests answered within, cumulative; and all of their seconds together."""
    amounts: dict[float, float] = {}
    seconds = 0.0
    for value in values:
        spread = value.get("distributionValue") or {}
        seconds += float(spread.get("mean", 0.0)) * float(spread.get("count", 0)) * _MILLI
        bounds = _bounds(spread.get("bucketOptions") or {})
        for place, amount in enumerate(spread.get("bucketCounts") or ()):
            bound = bounds[place] * _MILLI if place < len(bounds) else math.inf
            amounts[bound] = amounts.get(bound, 0.0) + float(amount)
    total, cumulative = 0.0, {}
    for bound in sorted({*amounts, math.inf} if amounts else amounts):
        total += amounts.get(bound, 0.0)
        cumulative[bound] = total
    return cumulative, seconds


def _bounds(options: Mapping[str, Any]) -> list[float]:
    """Upper bounds of all buckets but the last (monitoring.v3, BucketOptions)."""
    if "exponentialBuckets" in options:
        said = options["exponentialBuckets"]
        return [said["scale"] * said["growthFactor"] ** n for n in range(said["numFiniteBuckets"] + 1)]
    if "linearBuckets" in options:
        said = options["linearBuckets"]
        return [said.get("offset", 0.0) + said["width"] * n for n in range(said["numFiniteBuckets"] + 1)]
    return [float(bound) for bound in (options.get("explicitBuckets") or {}).get("bounds") or ()]


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
