"""history: everything that was committed, oldest first."""

from __future__ import annotations

from mlship.flows.context import Context, Where
from mlship.flows.opening import Opened, history_or_error, opened, release_view
from mlship.flows.results import HistoryView
from mlship.releases.history import History
from mlship.targets.base import BesideImages, Observed


def history(context: Context, where: Where) -> HistoryView:
    """Raises MlshipError when nothing of the project is there."""
    place = opened(context, where)
    observed = place.target.observe()
    return view(place, observed, history_or_error(place, observed.history))


def view(place: Opened, observed: Observed, known: History, notes: tuple[str, ...] = ()) -> HistoryView:
    """notes: what came of a recovery, beside its entry."""
    views = (release_view(release) for release in known.releases)
    candidate = known.rollback_candidate()
    records = place.target.records
    return HistoryView(
        project=place.name,
        environment=place.environment,
        target=place.target_name,
        region=place.region,
        account=place.account,
        live=known.live,
        entries=known.entries,
        releases=tuple(view for view in views if view is not None),
        rejected=known.rejected,
        restorable=observed.restorable,
        undo=candidate.id if candidate is not None and candidate.id in observed.restorable else "",
        artifacts=records.attached() if isinstance(records, BesideImages) else {},
        notes=notes,
    )
