"""What the releases have counted: requests and errors at the front, latencies in the replicas' own histograms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from mlship.targets.asked import asked
from mlship.targets.base import Measures, Spreads
from mlship.targets.docker import spec, traffic
from mlship.targets.docker.asking import ask_inside
from mlship.targets.docker.fleet import Fleet
from mlship.targets.docker.observing import Seen
from mlship.targets.scraped import METRICS, counted, together


def measures(seen: Seen, fleet: Fleet, own_key: Callable[[], str] = str) -> dict[str, Measures]:
    """By release id. Counts of the front are added up over its restarts; a replica that was started again begins anew.

    own_key: for releases whose callers are judged.
    """
    releases = set(traffic.shares(seen.document))
    buckets: dict[str, dict[float, float]] = {release: {} for release in releases}
    seconds: dict[str, float] = dict.fromkeys(releases, 0.0)
    spreads: dict[str, Spreads] = {release: {} for release in releases}
    for container in seen.replicas:
        release = container.labels[spec.RELEASE]
        if not container.is_running or release not in releases:
            continue
        address = container.addresses.get(fleet.scope.network, "")
        answer = asked(partial(ask_inside, fleet.ask, address), METRICS, own_key)
        if answer.status == 200:
            found = counted(answer.body.decode(errors="replace"))
            buckets[release] = added(buckets[release], found.buckets)
            seconds[release] += found.seconds
            spreads[release] = together(spreads[release], found.spreads)
    totals = seen.state.totals.get("servers", {})
    return {
        release: Measures(
            requests=_sum(totals, release, "requests"),
            errors=_sum(totals, release, "errors"),
            buckets=buckets[release],
            rps=_sum(seen.state.servers, release, "rate"),
            seconds=seconds[release],
            spreads=spreads[release],
        )
        for release in sorted(releases)
    }


def added(one: Mapping[float, float], other: Mapping[float, float]) -> dict[float, float]:
    """Cumulative counts of two replicas, whose servers have the same bounds."""
    return {bound: one.get(bound, 0.0) + other.get(bound, 0.0) for bound in sorted({*one, *other})}


def _sum(servers: Mapping[str, Mapping[str, object]], release: str, what: str) -> float:
    found = [entry.get(what, 0) for name, entry in servers.items() if spec.release_of(name) == release]
    return float(sum(value for value in found if isinstance(value, int | float)))
