"""status: what is recorded, what really answers, and how well."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mlship.flows.context import Context, Where
from mlship.flows.hosts import endpoint_of
from mlship.flows.opening import Opened, history_or_error, opened, release_view
from mlship.flows.operating import strategy_of
from mlship.flows.results import Status, Traffic, UnderwayView
from mlship.frameworks.engine_choice import EngineFacts, facts_from
from mlship.releases.history import History
from mlship.releases.release import Release
from mlship.targets.base import Measures, Observed, Why
from mlship.targets.gates import quantile_s


def status(context: Context, where: Where, *, why: bool = False) -> Status:
    """why: asks each copy that is not well for its reasons. Raises MlshipError when the project was never deployed there."""
    place = opened(context, where)
    observed = place.target.observe()
    history = history_or_error(place, observed.history)
    return Status(
        project=place.name,
        environment=place.environment,
        target=place.target_name,
        region=place.region,
        account=place.account,
        endpoint=endpoint_of(place, observed),
        live=release_view(history.live_release),
        previous=release_view(history.rollback_candidate()),
        serving=observed.serving,
        observed=observed,
        engines=engines_of(history.live_release),
        generation=history.generation,
        since=live_since(history),
        traffic=traffic(place.target.measure()),
        underway=_underway(context, place, history),
        why=unwell(place.target.why(), observed, history) if why else (),
    )


def engines_of(release: Release | None) -> dict[str, EngineFacts]:
    """By model, in the release's order; the original where the record tells none. Pure."""
    if release is None:
        return {}
    return {model.name: facts_from(release.engines.get(model.name, {})) for model in release.served.models}


def live_since(history: History) -> float:
    """When the live release took over; 0 when none is live. Pure."""
    served = [entry for entry in history.entries if entry.action in ("deploy", "rollback") and entry.release == history.live]
    return served[-1].when if served else 0.0


def traffic(measures: Mapping[str, Measures]) -> tuple[Traffic, ...]:
    """Pure."""
    return tuple(
        Traffic(
            release=release,
            requests=round(counted.requests),
            errors=round(counted.errors),
            rps=round(counted.rps, 1),
            p50_ms=_milliseconds(counted, 0.5),
            p95_ms=_milliseconds(counted, 0.95),
            p99_ms=_milliseconds(counted, 0.99),
        )
        for release, counted in sorted(measures.items())
    )


def _milliseconds(counted: Measures, share: float) -> float | None:
    seconds = quantile_s(counted.buckets, share)
    return round(seconds * 1000, 2) if math.isfinite(seconds) else None


def unwell(found: tuple[Why, ...], observed: Observed, history: History) -> tuple[Why, ...]:
    """The copies that have something to say: not ready though wanted, started again, or ended for lack of memory. Pure.

    A kept copy of an older release is stopped, and well.
    """
    ready = {replica.name for replica in observed.replicas if replica.ready}
    wanted = {history.live, history.underway.release.id if history.underway else ""} | {
        replica.release for replica in observed.replicas
    }
    return tuple(
        entry
        for entry in found
        if entry.restarts or entry.out_of_memory or (entry.release in wanted and entry.replica not in ready)
    )


def _underway(context: Context, place: Opened, history: History) -> UnderwayView | None:
    begun = history.underway
    if begun is None:
        return None
    return UnderwayView(
        release=begun.release.id,
        before=begun.before,
        event=begun.event,
        strategy=strategy_of(begun.operating).name,
        step=begun.step,
        share=begun.share,
        since=begun.since,
        paused=begun.paused,
        attended_by="" if begun.paused else place.target.records.holder(context.clock()),
        mirror=begun.mirror,
        failed=begun.failed,
    )
