"""abort: what is under way is taken back. Works without a YAML, a checkout and a build."""

from __future__ import annotations

from mlship.flows.context import Context, Where
from mlship.flows.hosts import endpoint_of
from mlship.flows.opening import history_or_error, opened, release_view
from mlship.flows.prepared import Prepared, prepared, seen_after, world_of
from mlship.flows.results import Aborted
from mlship.targets.plan import taking_back
from mlship.targets.rollout import Facts, underway_or_error
from mlship.targets.rollout import abort as abort_on


def prepare(context: Context, where: Where, *, reason: str = "") -> Prepared:
    """reason: kept with the release, which is rejected. Raises MlshipError when nothing is under way."""
    place = opened(context, where)
    observed = place.target.observe()
    history_or_error(place, observed.history)
    underway_or_error(observed, "abort")
    facts = Facts(by=context.who, reason=reason or f"aborted by {context.who.split(' pid ')[0]}")
    return prepared(place, taking_back(observed), observed, (), facts)


def abort(context: Context, prepared: Prepared) -> Aborted:
    """Carries out what `prepare` decided. Raises what `targets.rollout.abort` raises."""
    started = context.clock()
    place, facts = prepared.opened, prepared.facts
    rolled = abort_on(place.target, facts, world_of(context, place.host), facts.reason, seen=prepared.plan.fingerprint)
    release, (observed, unseen) = release_view(prepared.plan.deployment.release), seen_after(prepared, rolled.history)
    assert release is not None
    return Aborted(
        project=place.name,
        environment=place.environment,
        target=place.target_name,
        region=place.region,
        account=place.account,
        release=release,
        live=release_view(rolled.history.live_release),
        endpoint=endpoint_of(place, observed),
        reason=facts.reason,
        generation=rolled.history.generation,
        seconds=context.clock() - started,
        notes=(*rolled.notes, *unseen),
    )
