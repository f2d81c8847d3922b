"""What the balancer's metrics say of the requests that it led: a stand-in for CloudWatch, which no emulator fills with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MINUTE_S = 60
_WITHIN = re.compile(r"TC\(:(?P<most>[0-9.e-]+)\)")


@dataclass(frozen=True)
class Led:
    """One request. group: of targets, as its metrics call it. seconds: until the target answered."""

    group: str
    when: float
    status: int
    seconds: float


def metric_data(led: Iterable[Led], said: Mapping[str, Any]) -> dict[str, Any]:
    """GetMetricData: an entry for each query, with a value for each minute that has one."""
    found = [one for one in led if said["StartTime"].timestamp() <= one.when <= said["EndTime"].timestamp()]
    return {"MetricDataResults": [_told(found, query) for query in said["MetricDataQueries"]]}


def _told(led: Iterable[Led], query: Mapping[str, Any]) -> dict[str, Any]:
    metric, stat = query["MetricStat"]["Metric"], query["MetricStat"]["Stat"]
    assert metric["Namespace"] == "AWS/ApplicationELB" and query["MetricStat"]["Period"] == MINUTE_S
    (group,) = [one["Value"] for one in metric["Dimensions"] if one["Name"] == "TargetGroup"]
    minutes: dict[float, list[Led]] = {}
    for one in led:
        if one.group == group:
            minutes.setdefault(one.when // MINUTE_S * MINUTE_S, []).append(one)
    values = {minute: value for minute, several in minutes.items() if (value := _value(several, metric["MetricName"], stat))}
    return {
        "Id": query["Id"],
        "Label": metric["MetricName"],
        "Timestamps": [datetime.fromtimestamp(minute, UTC) for minute in sorted(values)],
        "Values": [values[minute] for minute in sorted(values)],
        "StatusCode": "Complete",
    }


def _value(led: list[Led], metric: str, stat: str) -> float:
    """Metrics of the balancer are there only where there is something to count."""
    if stat == "Sum":
        return float(sum(_COUNTED[metric](one) for one in led))
    assert metric == "TargetResponseTime", metric
    answered = [one.seconds for one in led if one.status]
    if stat == "SampleCount":
        return float(len(answered))
    within = _WITHIN.fullmatch(stat)
    assert within is not None, f"CloudWatch has no statistic {stat}"
    return float(sum(seconds <= float(within["most"]) for seconds in answered))


_COUNTED: Mapping[str, Callable[[Led], float]] = {
    "RequestCount": lambda one: 1,
    "HTTPCode_Target_5XX_Count": lambda one: one.status >= 500,
    "TargetConnectionErrorCount": lambda one: not one.status,
    "TargetResponseTime": lambda one: one.seconds if one.status else 0.0,
}
