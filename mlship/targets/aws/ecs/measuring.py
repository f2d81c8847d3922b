"""What the releases have counted, as the balancer measured it: each slot has a target group of its own, and so has its metrics.

The tasks' own /metrics are of no use here: the balancer sends a question to whichever task it likes, and none of them knows of the
others. The balancer counts what callers got, over all tasks: requests, answers with 5xx, connections that failed, and how many
requests took at most so long (statistic TC, docs.aws.amazon.com/AmazonCloudWatch, Statistics definitions, read 2026-11). These come a
minute at a time, and a minute or two late: a step that is watched for less finds too few requests, which pauses it. The few requests
with which mlship itself asks a release are among them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mlship.targets.aws.door import Door
from mlship.targets.aws.ecs.scaling import BALANCER_METRICS, PERIOD_S
from mlship.targets.aws.ecs.seen import Seen
from mlship.targets.base import Measures

LONGEST_S = 86_400.0  # a day of minutes is what one call answers for both slots (100,800 data points: GetMetricData)
# Seconds: the bounds of the server's own histogram (server/board.py) above what a network adds to a request anyway.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REQUESTS, _FAILED, _UNREACHED, _SECONDS = "requests", "failed", "unreached", "seconds"
_SUMS = {
    _REQUESTS: "RequestCount",
    _FAILED: "HTTPCode_Target_5XX_Count",
    _UNREACHED: "TargetConnectionErrorCount",
    _SECONDS: "TargetResponseTime",
}


def measures(door: Door, seen: Seen, now: float) -> dict[str, Measures]:
    """By release id: since the release is in its slot, a day at most."""
    slots = [slot for name, slot in sorted(seen.slots.items()) if seen.weights.get(name)]
    if not slots:
        return {}
    begins = {slot.name: max(slot.since, now - LONGEST_S) // PERIOD_S * PERIOD_S for slot in slots}
    told = door.all(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        MetricDataQueries=[query for slot in slots for query in queries(seen, slot.name)],
        StartTime=datetime.fromtimestamp(min(begins.values()), UTC),
        EndTime=datetime.fromtimestamp(now, UTC),
        ScanBy="TimestampAscending",
    )
    return {slot.release: _measured(told, slot.name, begins[slot.name], now) for slot in slots}


def queries(seen: Seen, slot: str) -> Iterator[dict[str, Any]]:
    """Of one slot: `a_requests`, ..., `a_within_3`. Pure."""
    group = {"Name": "TargetGroup", "Value": seen.outputs[f"Group{slot.upper()}"]}
    place = [group, {"Name": "LoadBalancer", "Value": seen.outputs["Balancer"]}]
    stats = {name: (metric, "Sum") for name, metric in _SUMS.items()}
    stats |= {f"within_{number}": ("TargetResponseTime", f"TC(:{bound:g})") for number, bound in enumerate(BOUNDS)}
    stats["answered"] = ("TargetResponseTime", "SampleCount")
    for name, (metric, stat) in stats.items():
        found = {"Namespace": BALANCER_METRICS, "MetricName": metric, "Dimensions": place}
        yield {"Id": f"{slot}_{name}", "MetricStat": {"Metric": found, "Period": PERIOD_S, "Stat": stat}}


def _measured(told: list[Mapping[str, Any]], slot: str, begins: float, now: float) -> Measures:
    """An id has an entry on each page that tells of it."""

    def total(name: str, since: float = begins) -> float:
        return math.fsum(
            value
            for entry in told
            if entry["Id"] == f"{slot}_{name}"
            for when, value in zip(entry["Timestamps"], entry["Values"], strict=True)
            if when.timestamp() >= since
        )

    within = {bound: total(f"within_{number}") for number, bound in enumerate(BOUNDS)}
    return Measures(
        requests=total(_REQUESTS),
        errors=total(_FAILED) + total(_UNREACHED),
        buckets={**within, math.inf: total("answered")},
        rps=total(_REQUESTS, now - 2 * PERIOD_S) / PERIOD_S,  # the last whole minute
        seconds=total(_SECONDS),
    )
