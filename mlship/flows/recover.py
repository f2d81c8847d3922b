"""history --recover: a history that is gone, made again of the records beside the images. Nothing that is there is written over."""

from __future__ import annotations

from mlship.errors import MlshipError
from mlship.flows import history
from mlship.flows.context import Context, Where
from mlship.flows.opening import Opened, opened
from mlship.flows.results import HistoryView
from mlship.releases.release_record import recovered
from mlship.targets.base import BesideImages, Request
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
        serving = said_release(place.target.ask(Request("GET", "/mlship/release")))
        made = recovered(found, serving, context.who, context.clock())
        lease.check()
        place.target.records.commit(made, 0)
        lease.check()
        notes = records.attach(made)
    return history.view(place, place.target.observe(), made, notes)


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
