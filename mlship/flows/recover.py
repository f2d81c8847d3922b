"""history --recover: a history that is gone, made again of the records beside the images. Nothing that is there is written over."""

from __future__ import annotations

from mlship.errors import MlshipError
from mlship.flows import history
from mlship.flows.context import Context, Where
from mlship.flows.opening import UNREADABLE, Opened, opened
from mlship.flows.results import HistoryView
from mlship.releases.history import History
from mlship.releases.release_record import ReleaseRecord, recovered
from mlship.targets.base import BesideImages, Request
from mlship.targets.lease import held
from mlship.targets.verify import said_release


def recover(context: Context, where: Where) -> HistoryView:
    """Raises MlshipError where there is a history, where nothing tells of one, and LeaseLost where another command was first."""
    import time

    place = opened(context, where)
    records = place.target.records
    refuse_needless(place)
    found = records.beside_images() if isinstance(records, BesideImages) else ()
    with held(records, context.who, context.clock, time.sleep, context.progress) as lease:
        made = _history(context, place, found)
        lease.check()
        records.commit(made, 0)
        lease.check()
        notes = records.attach(made) if isinstance(records, BesideImages) else ()
    return history.view(place, place.target.observe(), made, notes)


def refuse_needless(place: Opened) -> None:
    """Raises MlshipError where the history can be read, and where it lies there and cannot."""
    try:
        present = place.target.records.read()
    except MlshipError as error:
        if error.code not in UNREADABLE or error.code == "damaged-records":
            raise
        return
    if present is not None:
        raise MlshipError(
            f"the history of {place.name} is there: generation {present.generation}",
            fix=place.command("history"),
            code="nothing-to-recover",
        )


def _history(context: Context, place: Opened, found: tuple[ReleaseRecord, ...]) -> History:
    if not found:
        raise MlshipError(
            f"no record of a release of {place.name} lies beside an image on {place.target_name}: there is nothing to recover from",
            fix=f"{place.command('status')} tells what is there",
            code="nothing-to-recover",
        )
    serving = said_release(place.target.ask(Request("GET", "/mlship/release")))
    return recovered(found, serving, context.who, context.clock())
