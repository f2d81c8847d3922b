"""renew: security updates of what callers come through, without touching the release. Works without a YAML and a build."""

from __future__ import annotations

from dataclasses import dataclass

from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.hosts import endpoint_of
from mlship.flows.opening import Opened, history_or_error, opened
from mlship.flows.operating import deployment_from_operating
from mlship.flows.prepared import world_of
from mlship.flows.results import Renewed, RenewView
from mlship.releases.history import Entry, History
from mlship.releases.records import LeaseLost
from mlship.targets.base import Deployment, FrontFacts, HasFront, NewFront
from mlship.targets.lease import held


@dataclass(frozen=True)
class Renewal:
    """A front that is ready on this machine, and what was seen of the one that runs."""

    view: RenewView
    opened: Opened
    new: NewFront
    fingerprint: str


def prepare(context: Context, where: Where) -> Renewal:
    """Makes the new front's image, on this machine only. Raises MlshipError when there is no front, or when it does not serve."""
    place = opened(context, where)
    target = place.target
    if not isinstance(target, HasFront):
        raise MlshipError(
            f"the target {place.target_name} has no front: callers reach the model's own server",
            fix="mlship build and mlship deploy take the newest packages of the system into the image",
            code="no-front",
        )
    observed = target.observe()
    history = history_or_error(place, observed.history)
    before = observed.front
    if before is None or observed.repair or not history.live or observed.serving != history.live:
        raise MlshipError(
            f"{place.name} does not serve as it should: {observed.repair or 'no release answers'}",
            fix=f"{place.command('deploy')} puts it right; then run the same command again",
            code="not-serving",
        )
    new = target.front_anew()
    return Renewal(_view(place, before, new.facts), place, new, observed.fingerprint)


def renew(context: Context, prepared: Renewal) -> Renewed:
    """Raises LeaseHeld, LeaseLost when the world changed since, and MlshipError with exit 6 when the former front serves on."""
    place, target, new = prepared.opened, prepared.opened.target, prepared.new
    if prepared.view.is_empty:
        return Renewed(prepared.view, endpoint_of(place, target.observe()))
    assert isinstance(target, HasFront), "prepare has looked"
    world = world_of(context, place.host)
    with held(target.records, context.who, world.clock, world.sleep, world.progress) as lease:
        observed = target.observe()
        if observed.fingerprint != prepared.fingerprint or observed.history is None:
            raise LeaseLost("something changed between the plan and now; nothing was done")
        world.progress.step("renew", f"the front: {new.facts.has}")
        outcome = target.renew_front(new, _live(place, observed.history))
        if not outcome.ok:
            raise MlshipError(
                f"the front was not renewed, the former one serves: {outcome.cause}",
                fix="mend the cause above and run the same command again",
                exit=Exit.VERIFY_FAILED,
                code="front-failed",
                details=outcome.evidence,
            )
        lease.check()
        _record(context, prepared, observed.history)
    return Renewed(prepared.view, endpoint_of(place, target.observe()), outcome.notes)


def _live(place: Opened, history: History) -> Deployment:
    """As the records tell it, whatever a file says by now."""
    release = history.live_release
    assert release is not None, "prepare has looked"
    return deployment_from_operating(place.name, place.environment, place.target_name, release, history.operating, None)


def _record(context: Context, prepared: Renewal, history: History) -> None:
    """So that whoever looks for the cause of a few lost requests finds it."""
    view = prepared.view
    why = f"the front was renewed: {view.before.has or 'an earlier one'} -> {view.after.has}"
    entry = Entry(
        generation=history.generation + 1,
        release=history.live,
        action="operate",
        by=context.who,
        when=context.clock(),
        why=why,
        operating=history.operating,
    )
    prepared.opened.target.records.commit(history.operated(entry, history.operating), history.generation)


def _view(place: Opened, before: FrontFacts, after: FrontFacts) -> RenewView:
    return RenewView(place.name, place.environment, place.target_name, place.host, before, after)
