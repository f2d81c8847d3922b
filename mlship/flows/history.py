"""history: everything that was committed, oldest first."""

from __future__ import annotations

from mlship.flows.context import Context, Where
from mlship.flows.opening import history_or_error, opened, release_view
from mlship.flows.results import HistoryView


def history(context: Context, where: Where) -> HistoryView:
    """Raises MlshipError when nothing of the project is there."""
    place = opened(context, where)
    observed = place.target.observe()
    known = history_or_error(place, observed.history)
    views = (release_view(release) for release in known.releases)
    candidate = known.rollback_candidate()
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
    )
