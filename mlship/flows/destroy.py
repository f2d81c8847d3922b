"""destroy: everything of one project in one environment goes from its target, and nothing else."""

from __future__ import annotations

from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.opening import UNREADABLE, Opened, opened
from mlship.flows.results import Destroyed
from mlship.targets.base import Action, InSharedPlace, Observed
from mlship.targets.lease import held
from mlship.targets.staying import staying


def prepare(context: Context, where: Where) -> tuple[str, ...]:
    """What will go, one line each; empty when there is nothing."""
    return _what_goes(opened(context, where))


def destroy(context: Context, where: Where) -> Destroyed:
    """Raises MlshipError with exit 7 when something could not be removed: running it again goes on."""
    import time

    place = opened(context, where)
    lines, stays = _what_goes(place), what_stays(place)
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
    return Destroyed(place.name, place.environment, place.target_name, (*lines, *outcome.notes), stays if lines else ())


def _what_goes(place: Opened) -> tuple[str, ...]:
    """Damaged or lost records are no reason to stay: whoever destroys needs no history."""
    try:
        return what_goes(place.target.observe())
    except MlshipError as error:
        if error.code not in UNREADABLE:
            raise
        return (f"everything of {place.name}; its records cannot be read ({error.where})",)


def what_stays(place: Opened) -> tuple[str, ...]:
    """Not said of records that cannot be read: they are what it would be said from."""
    try:
        history = place.target.records.read()
    except MlshipError as error:
        if error.code not in UNREADABLE:
            raise
        history = None
    shared = place.target.records.shared_place() if isinstance(place.target.records, InSharedPlace) else ""
    return (*staying(place.target_name, history), *([shared] if shared else []))


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
