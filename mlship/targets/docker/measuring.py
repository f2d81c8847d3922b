"""What the releases have counted: requests and errors at the front, latencies in the replicas' own histograms."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from mlship.targets.base import Measures
from mlship.targets.docker import spec, traffic
from mlship.targets.docker.asking import METRICS, ask_inside
from mlship.targets.docker.fleet import Fleet
from mlship.targets.docker.observing import Seen

HISTOGRAM = "mlship_request_seconds"
_LINE = re.compile(r"(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+\d+)?")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')


def measures(seen: Seen, fleet: Fleet) -> dict[str, Measures]:
    """By release id. Counts of the front are added up over its restarts; a replica that was started again begins anew."""
    releases = set(traffic.shares(seen.document))
    buckets: dict[str, dict[float, float]] = {release: {} for release in releases}
    seconds: dict[str, float] = dict.fromkeys(releases, 0.0)
    for container in seen.replicas:
        release = container.labels[spec.RELEASE]
        if not container.is_running or release not in releases:
            continue
        answer = ask_inside(fleet.ask, container.addresses.get(fleet.scope.network, ""), METRICS)
        if answer.status == 200:
            found, took = latencies(answer.body.decode(errors="replace"))
            buckets[release] = added(buckets[release], found)
            seconds[release] += took
    totals = seen.state.totals.get("servers", {})
    return {
        release: Measures(
            requests=_sum(totals, release, "requests"),
            errors=_sum(totals, release, "errors"),
            buckets=buckets[release],
            rps=_sum(seen.state.servers, release, "rate"),
            seconds=seconds[release],
        )
        for release in sorted(releases)
    }


def latencies(text: str) -> tuple[dict[float, float], float]:
    """Bound in seconds -> requests within it, over all labels, and the sum of all latencies: of one replica's /metrics.

    The text format of Prometheus, version 0.0.4. Lines of anything else are passed over.
    """
    buckets: dict[float, float] = {}
    seconds = 0.0
    for name, labels, value in samples(text):
        if name == f"{HISTOGRAM}_bucket" and "le" in labels:
            bound = float(labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + value
        elif name == f"{HISTOGRAM}_sum":
            seconds += value
    return buckets, seconds


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in text.splitlines():
        found = _LINE.fullmatch(line.strip()) if not line.startswith("#") else None
        if found is None:
            continue
        try:
            value = float(found["value"])
        except ValueError:
            continue
        if math.isfinite(value):
            yield found["name"], dict(_LABEL.findall(found["labels"] or "")), value


def added(one: Mapping[float, float], other: Mapping[float, float]) -> dict[float, float]:
    """Cumulative counts of two replicas, whose servers have the same bounds."""
    return {bound: one.get(bound, 0.0) + other.get(bound, 0.0) for bound in sorted({*one, *other})}


def _sum(servers: Mapping[str, Mapping[str, object]], release: str, what: str) -> float:
    found = [entry.get(what, 0) for name, entry in servers.items() if spec.release_of(name) == release]
    return float(sum(value for value in found if isinstance(value, int | float)))
