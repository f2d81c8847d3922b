"""promote: a rollout that waits, or that nobody attends to, goes on. Works without a YAML, a checkout and a build."""

from __future__ import annotations

from mlship.flows.context import Context, Where
from mlship.flows.opening import history_or_error, opened
from mlship.flows.prepared import Prepared, concluded, prepared
from mlship.flows.results import Deployed
from mlship.targets.plan import promotion
from mlship.targets.rollout import Facts, underway_or_error
from mlship.targets.rollout import promote as promote_on


def prepare(context: Context, where: Where, *, full: bool = False) -> Prepared:
    """Decides what is left to do. full: all callers move now, whatever the steps. Raises MlshipError when nothing is under way."""
    place = opened(context, where)
    observed = place.target.observe()
    history_or_error(place, observed.history)
    underway_or_error(observed, "promote")
    return prepared(place, promotion(observed, full=full), observed, (), Facts(by=context.who))


def promote(context: Context, prepared: Prepared) -> Deployed:
    """Carries out what `prepare` decided. Raises what `targets.rollout.promote` raises."""
    target, facts, plan = prepared.opened.target, prepared.facts, prepared.plan
    return concluded(context, prepared, lambda world: promote_on(target, facts, world, full=plan.full, seen=plan.fingerprint))
