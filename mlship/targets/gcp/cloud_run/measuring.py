"""What each release's instances have counted, as Cloud Monitoring tells it: requests by class of answer, and their latencies.

Points come up to three minutes late ("Google Cloud metrics", run.googleapis.com/request_count: sampled every 60 s, visible after up
to 180 s; from memory, verify): a step that is to be judged has to bake for longer (checks.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mlship.targets.base import Measures
from mlship.targets.gcp.cloud_run.seen import Seen
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.scope import Scope

COUNT, LATENCY = "run.googleapis.com/request_count", "run.googleapis.com/request_latencies"
LATE_S = 180.0
LONGEST_S = 7 * 86_400  # how far back is counted; both measurements of a step begin at the same moment
_MILLI = 1e-3


def measures_of(door: Door, scope: Scope, present: Seen, now: float) -> dict[str, Measures]:
    """release -> since its revision was made. present: as it was seen."""
    met = {share.revision for share in present.shares}
    return {
        one.release: _of_revision(door, scope, one.name, max(one.since, now - LONGEST_S), now)
        for one in present.revisions.values()
        if one.name in met
    }


def _of_revision(door: Door, scope: Scope, revision: str, since: float, now: float) -> Measures:
    counts = list(_series(door, scope, revision, COUNT, "metric.label.response_code_class", since, now))
    by_class: dict[str, float] = {}
    for labels, value in counts:
        name = str(labels.get("response_code_class", ""))
        by_class[name] = by_class.get(name, 0.0) + float(value.get("int64Value", value.get("doubleValue", 0)))
    buckets, seconds = _buckets(door, scope, revision, since, now)
    return Measures(sum(by_class.values()), by_class.get("5xx", 0.0), buckets, seconds=seconds)


def _buckets(door: Door, scope: Scope, revision: str, since: float, now: float) -> tuple[dict[float, float], float]:
    """Seconds -> requests answered within, cumulative; and all of their seconds together."""
    counted: dict[float, float] = {}
    seconds = 0.0
    for _, value in _series(door, scope, revision, LATENCY, "", since, now):
        spread = value.get("distributionValue") or {}
        seconds += float(spread.get("mean", 0.0)) * float(spread.get("count", 0)) * _MILLI
        bounds = _bounds(spread.get("bucketOptions") or {})
        for place, amount in enumerate(spread.get("bucketCounts") or ()):
            bound = bounds[place] * _MILLI if place < len(bounds) else math.inf
            counted[bound] = counted.get(bound, 0.0) + float(amount)
    total, cumulative = 0.0, {}
    for bound in sorted({*counted, math.inf} if counted else counted):
        total += counted.get(bound, 0.0)
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


def _series(
    door: Door, scope: Scope, revision: str, metric: str, by: str, since: float, now: float
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """All of the time between as one point a series."""
    width = max(60, math.ceil((now - since) / 60) * 60)
    asked = {
        "filter": f'metric.type="{metric}" AND resource.type="cloud_run_revision" AND '
        f'resource.label.service_name="{scope.stem}" AND resource.label.revision_name="{revision}"',
        "interval.startTime": _text(now - width),
        "interval.endTime": _text(now),
        "aggregation.alignmentPeriod": f"{width}s",
        "aggregation.perSeriesAligner": "ALIGN_DELTA",
        "aggregation.crossSeriesReducer": "REDUCE_SUM",
        **({"aggregation.groupByFields": by} if by else {}),
    }
    url = f"https://monitoring.googleapis.com/v3/projects/{door.project}/timeSeries"
    for one in door.http("GET", url, None, asked).get("timeSeries") or ():
        for point in one.get("points") or ():
            yield (one.get("metric") or {}).get("labels") or {}, point["value"]


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
