"""What each release's instances have counted, as Cloud Monitoring tells it: requests by class of answer, and their latencies.

Points come up to three minutes late ("Google Cloud metrics", run.googleapis.com/request_count: sampled every 60 s, visible after up
to 180 s, as public copies of it say of the latencies): a step that is to be judged has to bake for longer (checks.py).
"""

from __future__ import annotations

from mlship.targets.base import Measures
from mlship.targets.gcp.cloud_run.seen import Seen
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.monitoring import counted, latencies, number
from mlship.targets.gcp.scope import Scope

COUNT, LATENCY = "run.googleapis.com/request_count", "run.googleapis.com/request_latencies"
LATE_S = 180.0


def measures_of(door: Door, scope: Scope, present: Seen, now: float) -> dict[str, Measures]:
    """release -> since its revision was made. present: as it was seen."""
    met = {share.revision for share in present.shares}
    return {
        one.release: _of_revision(door, scope, one.name, one.since, now)
        for one in present.revisions.values()
        if one.name in met
    }


def _of_revision(door: Door, scope: Scope, revision: str, since: float, now: float) -> Measures:
    by_class: dict[str, float] = {}
    for labels, value in counted(door, _filter(scope, revision, COUNT), "response_code_class", since, now):
        name = str(labels.get("response_code_class", ""))
        by_class[name] = by_class.get(name, 0.0) + number(value)
    buckets, seconds = latencies(value for _, value in counted(door, _filter(scope, revision, LATENCY), "", since, now))
    return Measures(sum(by_class.values()), by_class.get("5xx", 0.0), buckets, seconds=seconds)


def _filter(scope: Scope, revision: str, metric: str) -> str:
    return (
        f'metric.type="{metric}" AND resource.type="cloud_run_revision" AND '
        f'resource.label.service_name="{scope.stem}" AND resource.label.revision_name="{revision}"'
    )
