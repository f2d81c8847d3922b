"""What revisions have answered, as Azure Monitor counts it: requests, those that failed, and their time on the average.

Its metrics are some minutes late, and know no quantiles: gates by p95_ms and the like are refused before anything is changed
(preflight). Metric `Requests` by revisionName and statusCodeCategory (learn.microsoft.com/azure/container-apps, "Monitor metrics").
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlship.targets.azure.container_apps.seen import Seen
from mlship.targets.azure.door import Door
from mlship.targets.base import Measures

METRICS_API = "2023-10-01"
MOST_S = 86_400.0  # of the past: what is older is the same before and after
_FAILED = ("5xx",)


def measured(door: Door, seen: Seen, now: float) -> dict[str, Measures]:
    """release -> what its active revisions have answered since they were made."""
    active = {one.suffix: one for one in seen.revisions if one.active}
    if not active:
        return {}
    begins = max(min(one.since for one in active.values()), now - MOST_S)
    told = door.arm(
        "GET",
        f"{seen.path}/providers/Microsoft.Insights/metrics",
        METRICS_API,
        metricnames="Requests",
        aggregation="Total",
        interval="FULL",
        timespan=f"{_time(begins)}/{_time(now)}",
        **{"$filter": "revisionName eq '*' and statusCodeCategory eq '*'"},
    )
    counted: dict[str, tuple[float, float]] = dict.fromkeys((one.release for one in active.values()), (0.0, 0.0))
    for series in _series(told):
        said = {one["name"]["value"].lower(): one["value"] for one in series.get("metadatavalues") or ()}
        found = active.get(str(said.get("revisionname", "")).rpartition("--")[2])
        if found is not None:
            many = sum(float(point.get("total") or 0) for point in series.get("data") or ())
            failed = many if str(said.get("statuscodecategory", "")).lower() in _FAILED else 0.0
            requests, errors = counted[found.release]
            counted[found.release] = (requests + many, errors + failed)
    return {release: Measures(requests, errors) for release, (requests, errors) in counted.items()}


def _series(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [series for metric in told.get("value") or () for series in metric.get("timeseries") or ()]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
