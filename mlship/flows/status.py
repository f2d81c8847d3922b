"""status: what is recorded, and what really answers."""

from __future__ import annotations

from mlship.flows.context import Context, Where
from mlship.flows.opening import history_or_error, opened, release_view
from mlship.flows.results import Status


def status(context: Context, where: Where) -> Status:
    """Raises MlshipError when the project was never deployed there."""
    place = opened(context, where)
    observed = place.target.observe()
    history = history_or_error(place, observed.history)
    return Status(
        project=place.name,
        environment=place.environment,
        target=place.target_name,
        endpoint=observed.endpoint,
        live=release_view(history.live_release),
        previous=release_view(history.rollback_candidate()),
        serving=observed.serving,
        observed=observed,
    )
