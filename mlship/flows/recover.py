"""history --recover: a history that is gone, made again of the records beside the images. Nothing that is there is written over."""

from __future__ import annotations

from mlship.errors import MlshipError
from mlship.flows import history
from mlship.flows.context import Context, Where
from mlship.flows.opening import Opened, opened
from mlship.flows.results import HistoryView
from mlship.releases.release_record import recovered, with_unknown
from mlship.targets.base import BesideImages, Observed, Request
from mlship.targets.lease import held
from mlship.targets.verify import said_release


def recover(context: Context, where: Where) -> HistoryView:
    """Raises MlshipError where there is a history, where nothing tells of one, and LeaseLost where another command was first."""
    import time

    place = opened(context, where)
    refuse_needless(place)
    records = place.target.records
    if not isinstance(records, BesideImages) or not (found := records.beside_images()):
        raise MlshipError(
            f"no record of a release of {place.name} lies beside an image on {place.target_name}: there is nothing to recover from",
            fix=f"{place.command('status')} tells what is there",
            code="nothing-to-recover",
        )
    with held(place.target.records, context.who, context.clock, time.sleep, context.progress) as lease:
        answer = place.target.ask(Request("GET", "/mlship/release"))
        serving = answer.vouched if answer.is_unreached else said_release(answer)
        made = recovered(found, serving, context.who, context.clock())
        lease.check()
        place.target.records.commit(made, 0)
        observed = place.target.observe()
        known = with_unknown(made, _there(observed), context.who, context.clock())
        lease.check()
        if known != made:
            place.target.records.commit(known, made.generation)
        notes = records.attach(known)
    return history.view(place, observed, known, notes)


def _there(observed: Observed) -> frozenset[str]:
    """Releases of which the platform has anything; only what is recorded can be looked for there."""
    running = (replica.release for replica in observed.replicas)
    return frozenset({observed.serving, *running, *observed.restorable, *observed.weights} - {""})


def refuse_needless(place: Opened) -> None:
    """Raises MlshipError where the history can be read, and where it lies there and cannot."""
    try:
        present = place.target.records.read()
    except MlshipError as error:
        if error.code != "lost-records":
            raise
        return
    if present is not None:
        raise MlshipError(
            f"the history of {place.name} is there: generation {present.generation}",
            fix=place.command("history"),
            code="nothing-to-recover",
        )
