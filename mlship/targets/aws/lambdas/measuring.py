"""What the releases have counted, as Lambda measured it: CloudWatch knows each version behind the alias (ExecutedVersion).

Lambda counts an error only where the function failed; an answer with 5xx is one to it. So the server writes a line for each of these
that CloudWatch counts (server/events/serving.py), and both are added. Duration's statistic TC says how many took at most so long
(docs.aws.amazon.com/AmazonCloudWatch, Statistics definitions, read 2026-11). All of it comes a minute at a time, and a minute or two
late: a step that is watched for less finds too few requests, which pauses it. What mlship itself asks through the alias is among it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mlship.targets.aws.door import Door
from mlship.targets.aws.lambdas.naming import LIVE
from mlship.targets.aws.lambdas.seen import Seen
from mlship.targets.base import Measures

PERIOD_S = 60
LONGEST_S = 86_400.0  # a day of minutes is what one call answers for both versions (100,800 data points: GetMetricData)
OF_LAMBDA, OF_SERVER = "AWS/Lambda", "mlship"
# Seconds: the bounds of the server's own histogram (server/board.py) from where Lambda's own share of a request is small.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MS = 1000.0


def measures(door: Door, name: str, seen: Seen, now: float) -> dict[str, Measures]:
    """By release id: since its version was published, a day at most."""
    versions = [seen.versions[number] for number in sorted(seen.live.shares if seen.live else ()) if number in seen.versions]
    if not versions:
        return {}
    begins = {one.number: max(one.since, now - LONGEST_S) // PERIOD_S * PERIOD_S for one in versions}
    told = door.all(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        MetricDataQueries=[query for one in versions for query in queries(name, one.number)],
        StartTime=datetime.fromtimestamp(min(begins.values()), UTC),
        EndTime=datetime.fromtimestamp(now, UTC),
        ScanBy="TimestampAscending",
    )
    return {one.of.release: _measured(told, one.number, begins[one.number], now) for one in versions}


def queries(name: str, version: str) -> Iterator[dict[str, Any]]:
    """Of one version: `v7_requests`, ..., `v7_within_3`. Pure."""
    executed = {"FunctionName": name, "Resource": f"{name}:{LIVE}", "ExecutedVersion": version}
    stats = {
        "requests": (OF_LAMBDA, "Invocations", "Sum"),
        "failed": (OF_LAMBDA, "Errors", "Sum"),
        "milliseconds": (OF_LAMBDA, "Duration", "Sum"),
        "answered": (OF_LAMBDA, "Duration", "SampleCount"),
        "refused": (OF_SERVER, "Failures", "Sum"),
        **{f"within_{number}": (OF_LAMBDA, "Duration", f"TC(:{bound * MS:g})") for number, bound in enumerate(BOUNDS)},
    }
    for which, (namespace, metric, stat) in stats.items():
        said = executed if namespace == OF_LAMBDA else {"FunctionName": name, "ExecutedVersion": version}
        dimensions = [{"Name": key, "Value": text} for key, text in said.items()]
        found = {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions}
        yield {"Id": f"v{version}_{which}", "MetricStat": {"Metric": found, "Period": PERIOD_S, "Stat": stat}}


def _measured(told: Sequence[Mapping[str, Any]], version: str, begins: float, now: float) -> Measures:
    """An id has an entry on each page that tells of it."""

    def total(which: str, since: float = begins) -> float:
        return math.fsum(
            value
            for entry in told
            if entry["Id"] == f"v{version}_{which}"
            for when, value in zip(entry["Timestamps"], entry["Values"], strict=True)
            if when.timestamp() >= since
        )

    within = {bound: total(f"within_{number}") for number, bound in enumerate(BOUNDS)}
    return Measures(
        requests=total("requests"),
        errors=total("failed") + total("refused"),
        buckets={**within, math.inf: total("answered")},
        rps=total("requests", now - 2 * PERIOD_S) / PERIOD_S,  # the last whole minute
        seconds=total("milliseconds") / MS,
    )
