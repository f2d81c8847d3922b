"""verify: asks the live release its id and the sample again. Changes nothing."""

from __future__ import annotations

from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.hosts import endpoint_of
from mlship.flows.opening import history_or_error, opened
from mlship.flows.results import Verified
from mlship.targets.verify import verify as ask_release


def verify(context: Context, where: Where) -> Verified:
    """Raises MlshipError with exit 6 when the server is not the recorded release or answers otherwise."""
    place = opened(context, where)
    observed = place.target.observe()
    live = history_or_error(place, observed.history).live_release
    if live is None:
        raise MlshipError(f"{place.name} has no live release", fix="mlship deploy", code="not-deployed")
    said = ask_release(place.target.ask, live, "live")
    if not said.ok:
        raise MlshipError(
            f"{live.id} is not verified: {said.cause}",
            fix=f"mlship status {place.name}, mlship logs {place.name}, mlship rollback {place.name}",
            exit=Exit.VERIFY_FAILED,
            code="verify-failed",
            details=said.evidence,
        )
    return Verified(live.id, endpoint_of(place, observed), said.predictions, said.text)
