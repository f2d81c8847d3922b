"""What each variant of the endpoint has counted, as CloudWatch tells it. Late by a minute or two; never made up.

Metrics of the namespace AWS/SageMaker by endpoint and variant: Invocations and Invocation5XXErrors are counts, ModelLatency is in
microseconds (docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html, read 2026-11). `TC(:x)` counts the values up to x
(docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html, from memory, verify).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlship.targets.aws.door import Door
from mlship.targets.aws.sagemaker.seen import Endpoint
from mlship.targets.base import Measures

NAMESPACE = "AWS/SageMaker"
BOUNDS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)
LONGEST_S = 86_400  # further back nothing is asked: an answer has a bound, and counters are subtracted
_US = 1_000_000


def measured(door: Door, endpoint: Endpoint, now: float) -> dict[str, Measures]:
    """release -> since the configuration that serves was made, at most a day. now: seconds since the epoch."""
    since = max(endpoint.since, now - LONGEST_S)
    period = max(math.ceil((now - since) / 60 / 1440) * 60, 60)
    window = {
        "StartTime": datetime.fromtimestamp(since - since % period, UTC),
        "EndTime": datetime.fromtimestamp(now - now % period + period, UTC),
    }
    found = {}
    for variant in endpoint.variants:
        queries = _queries(endpoint.name, variant.slot, period)
        told = door.all("cloudwatch", "get_metric_data", "MetricDataResults", MetricDataQueries=queries, **window)
        found[variant.release] = _measures({str(one["Id"]): sum(one.get("Values") or ()) for one in told})
    return found


def _queries(endpoint: str, slot: str, period: int) -> list[dict[str, Any]]:
    def query(name: str, metric: str, statistic: str) -> dict[str, Any]:
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": slot}]
        of = {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": dimensions}
        return {"Id": name, "MetricStat": {"Metric": of, "Period": period, "Stat": statistic}}

    within = [query(_id(bound), "ModelLatency", f"TC(:{round(bound * _US)})") for bound in BOUNDS_S]
    return [
        query("requests", "Invocations", "Sum"),
        query("errors", "Invocation5XXErrors", "Sum"),
        query("answered", "ModelLatency", "SampleCount"),
        query("latency", "ModelLatency", "Sum"),
        *within,
    ]


def _measures(told: Mapping[str, float]) -> Measures:
    answered = told.get("answered", 0.0)
    buckets = {bound: told.get(_id(bound), 0.0) for bound in BOUNDS_S} | {math.inf: answered}
    return Measures(told.get("requests", 0.0), told.get("errors", 0.0), buckets, seconds=told.get("latency", 0.0) / _US)


def _id(bound: float) -> str:
    return f"within{round(bound * _US)}"
