"""What each deployed model has counted, as Cloud Monitoring tells it: answers by their code, and their latencies.

The metrics `prediction/online/response_count` (labels deployed_model_id, response_code) and `prediction/online/prediction_latencies`
(in milliseconds; labels deployed_model_id, latency_type) of the resource aiplatform.googleapis.com/Endpoint: "Google Cloud metrics", a
stored copy read 2026-11. How late they come it does not say (those of private endpoints: 360 s): some minutes, from memory, verify. A
step that is to be judged has to bake for longer (checks.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlship.targets.base import Measures
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.monitoring import counted, latencies, number
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.vertex.seen import Deployed, Endpoint

METRIC = "aiplatform.googleapis.com/prediction/online/"
LATE_S = 240.0


def measures_of(door: Door, scope: Scope, callers: Endpoint, now: float) -> dict[str, Measures]:
    """release -> since its first deployed model that stands now was made."""
    return {release: _of_models(door, scope, callers.of(release), now) for release in {one.release for one in callers.deployed}}


def _of_models(door: Door, scope: Scope, deployed: Iterable[Deployed], now: float) -> Measures:
    """Of the siblings together."""
    requests = errors = 0.0
    spreads: list[Mapping[str, Any]] = []
    for one in deployed:
        asked = _filter(scope, one.id, "response_count")
        for labels, value in counted(door, asked, "response_code", one.since, now):
            requests += number(value)
            errors += number(value) if str(labels.get("response_code", "")).startswith("5") else 0.0
        asked = _filter(scope, one.id, "prediction_latencies")
        told = counted(door, asked, "latency_type", one.since, now)
        spreads += [value for labels, value in told if labels.get("latency_type", "total") == "total"]
    buckets, seconds = latencies(spreads)
    return Measures(requests, errors, buckets, seconds=seconds)


def _filter(scope: Scope, id: str, metric: str) -> str:
    return (
        f'metric.type="{METRIC}{metric}" AND resource.type="aiplatform.googleapis.com/Endpoint" AND '
        f'resource.label.endpoint_id="{scope.stem}" AND metric.label.deployed_model_id="{id}"'
    )
