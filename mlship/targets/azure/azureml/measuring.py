"""What Azure Monitor counted of each deployment. It comes by the minute, some minutes late, and knows four percentiles.

Metrics of workspaces/onlineEndpoints (learn.microsoft.com/azure/azure-monitor, "Supported metrics", read 2026-11): RequestsPerMinute by
deployment and statusCodeClass, RequestLatency (the mean), _P50, _P90, _P95 and _P99 by deployment, in milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mlship.targets.azure.azureml.seen import Placed, Seen
from mlship.targets.azure.azureml.site import METRICS_API, Site
from mlship.targets.azure.door import Door
from mlship.targets.base import Measures

REQUESTS, MEAN = "RequestsPerMinute", "RequestLatency"
PERCENTILES: Mapping[str, float] = {
    "RequestLatency_P50": 0.5,
    "RequestLatency_P90": 0.9,
    "RequestLatency_P95": 0.95,
    "RequestLatency_P99": 0.99,
}
BOUNDS = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.03,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.5,
    0.75,
    1.0,
    2.0,
    5.0,
    10.0,
    60.0,
    math.inf,
)
LONGEST_S = 24 * 3600.0  # Azure answers so many points at most
MINUTE_S = 60.0
LATE_MINUTES = 2  # the newest minutes are not whole yet: what was counted must never become less
_FAILED = "5xx"


def measured(door: Door, site: Site, seen: Seen, now: float) -> dict[str, Measures]:
    """release -> what was counted since its deployment was made, at most a day ago."""
    found = {}
    for release, placed in seen.placed.items():
        began, ends = _span(placed, now)
        found[release] = _of(door, site, release, began, ends) if ends > began else Measures()
    return found


def _span(placed: Placed, now: float) -> tuple[float, float]:
    ends = math.floor(now / MINUTE_S - LATE_MINUTES) * MINUTE_S
    began = max(placed.since, ends - LONGEST_S)
    return math.floor(began / MINUTE_S) * MINUTE_S, ends


def _of(door: Door, site: Site, release: str, began: float, ends: float) -> Measures:
    path = f"{site.endpoint_path}/providers/Microsoft.Insights/metrics"
    asked = {"timespan": f"{_iso(began)}/{_iso(ends)}", "interval": "PT1M", "aggregation": "Average"}
    by_class = f"deployment eq '{release}' and statusCodeClass eq '*'"
    told = door.arm("GET", path, METRICS_API, **asked, metricnames=REQUESTS, **{"$filter": by_class})
    names = ",".join((MEAN, *PERCENTILES))
    slow = door.arm("GET", path, METRICS_API, **asked, metricnames=names, **{"$filter": f"deployment eq '{release}'"})
    return measures_from(told, slow)


def measures_from(requests: Mapping[str, Any], latencies: Mapping[str, Any]) -> Measures:
    """Never faster than Azure says: between two percentiles, all requests are as slow as the slower one; in a minute whose mean is not
    told, all are as slow as the slowest that is.
    """
    counted: dict[str, float] = {}
    failed = 0.0
    for _, kind, when, number in _points(requests):
        counted[when] = counted.get(when, 0.0) + number
        failed += number if kind == _FAILED else 0.0
    slow: dict[str, dict[float, float]] = {}
    means: dict[str, float] = {}
    for metric, _, when, number in _points(latencies):
        if metric == MEAN:
            means[when] = number / 1000
        else:
            slow.setdefault(when, {})[PERCENTILES[metric]] = number / 1000
    buckets = {bound: sum(number * _share(slow.get(when, {}), bound) for when, number in counted.items()) for bound in BOUNDS}
    slowest = {when: max(known.values()) for when, known in slow.items()}
    seconds = sum(number * means.get(when, slowest.get(when, 0.0)) for when, number in counted.items())
    return Measures(sum(counted.values()), failed, buckets, _rate(counted), seconds)


def _share(percentiles: Mapping[float, float], bound: float) -> float:
    """Of the requests of a minute, those that were surely answered within the bound (in seconds)."""
    if math.isinf(bound):
        return 1.0
    return max((share for share, seconds in percentiles.items() if seconds <= bound), default=0.0)


def _points(told: Mapping[str, Any]) -> Iterator[tuple[str, str, str, float]]:
    """(metric, class of the status, minute, number) of every point that has one."""
    for metric in told.get("value") or ():
        for series in metric.get("timeseries") or ():
            said = {one["name"]["value"].lower(): one["value"] for one in series.get("metadatavalues") or ()}
            for point in series.get("data") or ():
                if point.get("average") is not None:
                    yield metric["name"]["value"], said.get("statuscodeclass", ""), point["timeStamp"], float(point["average"])


def _rate(counted: Mapping[str, float]) -> float:
    return counted[max(counted)] / MINUTE_S if counted else 0.0


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
