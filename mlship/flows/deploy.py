"""deploy: a prepared plan -> stage at 0 % -> ask -> shift -> ask again -> commit -> record."""

from __future__ import annotations

from mlship.flows.context import Context
from mlship.flows.prepared import Prepared, carry_out
from mlship.flows.replacing import carry_out_anew
from mlship.flows.results import Deployed


def deploy(context: Context, prepared: Prepared) -> Deployed:
    """Carries out what `plan.prepare` decided. Raises what `targets.rollout.roll_out` raises."""
    if prepared.former is not None:
        return carry_out_anew(context, prepared, prepared.former)
    return carry_out(context, prepared)
