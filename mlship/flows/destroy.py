"""destroy: everything of one project in one environment goes from its target, and nothing else."""

from __future__ import annotations

from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.opening import opened
from mlship.flows.results import Destroyed
from mlship.targets.base import Action, Observed
from mlship.targets.lease import held


def prepare(context: Context, where: Where) -> tuple[str, ...]:
    """What will go, one line each; empty when there is nothing."""
    return what_goes(opened(context, where).target.observe())


def destroy(context: Context, where: Where) -> Destroyed:
    """Raises MlshipError with exit 7 when something could not be removed: running it again goes on."""
    import time

    place = opened(context, where)
    lines = what_goes(place.target.observe())
    with held(place.target.records, context.who, context.clock, time.sleep, context.progress) as lease:
        lease.check()
        outcome = place.target.apply(Action("destroy"), None)
    if not outcome.ok:
        raise MlshipError(
            f"not everything of {place.name} could be removed: {outcome.cause}",
            fix="run the same command again",
            exit=Exit.NOT_RESTORED,
            code="destroy-incomplete",
            details=outcome.evidence,
        )
    return Destroyed(place.name, place.environment, place.target_name, (*lines, *outcome.notes))


def what_goes(observed: Observed) -> tuple[str, ...]:
    """Pure."""
    history = observed.history
    lines = [f"copy {replica.name} of {replica.release}" for replica in observed.replicas]
    if observed.endpoint:
        lines.append(f"endpoint {observed.endpoint}")
    if history is not None:
        lines += [f"release {release.id}" for release in history.releases]
        lines.append(f"history of {len(history.entries)} entr{'y' if len(history.entries) == 1 else 'ies'}")
    return tuple(lines)
