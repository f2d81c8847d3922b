"""What each deployed model has counted, as Cloud Monitoring tells it: answers by their code, and their latencies.

The metrics `prediction/online/response_count` (labels deployed_model_id, response_code) and `prediction/online/prediction_latencies`
(in milliseconds; labels deployed_model_id, latency_type) of the resource aiplatform.googleapis.com/Endpoint: "Google Cloud metrics",
sampled every 60 s and visible some minutes later; from memory, verify. A step that is to be judged has to bake for longer (checks.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mlship.targets.base import Measures
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.vertex.seen import Deployed, Endpoint

METRIC = "aiplatform.googleapis.com/prediction/online/"
LATE_S = 240.0
LONGEST_S = 7 * 86_400  # how far back is counted; both measurements of a step begin at the same moment
_MINUTE_S, _MILLI = 60, 1e-3

Point = tuple[Mapping[str, Any], Mapping[str, Any]]  # labels of the metric, value


def measures_of(door: Door, scope: Scope, callers: Endpoint, now: float) -> dict[str, Measures]:
    """release -> since its first deployed model that stands now was made."""
    return {release: _of_models(door, scope, callers.of(release), now) for release in {one.release for one in callers.deployed}}


def _of_models(door: Door, scope: Scope, deployed: Iterable[Deployed], now: float) -> Measures:
    """Of the siblings together."""
    requests = errors = seconds = 0.0
    counted: dict[float, float] = {}
    for one in deployed:
        since = max(one.since, now - LONGEST_S)
        for labels, value in _series(door, scope, one.id, "response_count", "response_code", since, now):
            amount = float(value.get("int64Value", value.get("doubleValue", 0)))
            requests += amount
            errors += amount if str(labels.get("response_code", "")).startswith("5") else 0.0
        for labels, value in _series(door, scope, one.id, "prediction_latencies", "latency_type", since, now):
            if labels.get("latency_type", "total") == "total":
                seconds += _added(counted, value.get("distributionValue") or {})
    return Measures(requests, errors, _cumulative(counted), seconds=seconds)


def _added(counted: dict[float, float], spread: Mapping[str, Any]) -> float:
    """Adds to the number of requests by upper bound in seconds; gives their seconds together."""
    bounds = _bounds(spread.get("bucketOptions") or {})
    for place, amount in enumerate(spread.get("bucketCounts") or ()):
        bound = bounds[place] * _MILLI if place < len(bounds) else math.inf
        counted[bound] = counted.get(bound, 0.0) + float(amount)
    return float(spread.get("mean", 0.0)) * float(spread.get("count", 0)) * _MILLI


def _cumulative(counted: Mapping[float, float]) -> dict[float, float]:
    total, found = 0.0, {}
    for bound in sorted({*counted, math.inf} if counted else counted):
        total += counted.get(bound, 0.0)
        found[bound] = total
    return found


def _bounds(options: Mapping[str, Any]) -> list[float]:
    """Upper bounds of all buckets but the last (monitoring.v3, BucketOptions)."""
    if "exponentialBuckets" in options:
        said = options["exponentialBuckets"]
        return [said["scale"] * said["growthFactor"] ** n for n in range(said["numFiniteBuckets"] + 1)]
    if "linearBuckets" in options:
        said = options["linearBuckets"]
        return [said.get("offset", 0.0) + said["width"] * n for n in range(said["numFiniteBuckets"] + 1)]
    return [float(bound) for bound in (options.get("explicitBuckets") or {}).get("bounds") or ()]


def _series(door: Door, scope: Scope, id: str, metric: str, by: str, since: float, now: float) -> Iterator[Point]:
    """All of the time between as one point a series."""
    width = max(_MINUTE_S, math.ceil((now - since) / _MINUTE_S) * _MINUTE_S)
    asked = {
        "filter": f'metric.type="{METRIC}{metric}" AND resource.type="aiplatform.googleapis.com/Endpoint" AND '
        f'resource.label.endpoint_id="{scope.stem}" AND metric.label.deployed_model_id="{id}"',
        "interval.startTime": _text(now - width),
        "interval.endTime": _text(now),
        "aggregation.alignmentPeriod": f"{width}s",
        "aggregation.perSeriesAligner": "ALIGN_DELTA",
        "aggregation.crossSeriesReducer": "REDUCE_SUM",
        "aggregation.groupByFields": f"metric.label.{by}",
    }
    url = f"https://monitoring.googleapis.com/v3/projects/{door.project}/timeSeries"
    for one in door.http("GET", url, None, asked).get("timeSeries") or ():
        for point in one.get("points") or ():
            yield (one.get("metric") or {}).get("labels") or {}, point["value"]


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
