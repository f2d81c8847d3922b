"""How many requests a copy is given at a time, where a platform has to be told: what `bench` measured of the very image."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from mlship.bench.records import Benches
from mlship.flows.context import Context
from mlship.releases.history import History
from mlship.targets.base import Deployment

TOLD = (("gcp", "cloud-run"),)  # the others let the server itself say what it cannot take
KEY = "concurrency"


def with_measured(context: Context, deployment: Deployment, history: History) -> Deployment:
    """The operating part with `concurrency`, unless mlship.yaml says it (scale.per_replica) or nothing was measured.

    The live release keeps the number that it was deployed with: it is fixed when its copies are made.
    """
    if (deployment.target, deployment.service) not in TOLD or (deployment.operating.get("scale") or {}).get("per_replica"):
        return deployment
    if history.same_as_live(deployment.release.served):
        found = history.operating.get(KEY)
    else:
        found = measured_concurrency(context, deployment.release.served.content)
    return replace(deployment, operating={**deployment.operating, KEY: found}) if found else deployment


def measured_concurrency(context: Context, content: str) -> int | None:
    """By Little's law no more are under way at the highest rate that keeps slo.p99, of whom 99 of 100 take no longer than that."""
    measured = Benches(context.home.images).of_content(content)
    if measured is None or not measured.highest_rate or not measured.slo_p99_s:
        return None
    return max(1, ceil(measured.highest_rate * measured.slo_p99_s))
