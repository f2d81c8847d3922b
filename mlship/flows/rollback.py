"""rollback: History -> Release, then exactly deploy. Works without a YAML, a checkout and a build."""

from __future__ import annotations

from mlship.errors import MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.opening import Opened, history_or_error, opened
from mlship.flows.operating import deployment_from_operating
from mlship.flows.prepared import Prepared, carry_out, prepared
from mlship.flows.results import Deployed
from mlship.releases.history import History
from mlship.releases.release import Release
from mlship.targets.base import Observed
from mlship.targets.plan import plan
from mlship.targets.rollout import Facts


def prepare(context: Context, where: Where, *, to: str = "", with_operations: bool = False, reason: str = "") -> Prepared:
    """Decides which release comes back. reason: kept with the release that is rolled back from.

    Raises MlshipError when there is none, or when the target cannot restore it any more.
    """
    place = opened(context, where)
    observed = place.target.observe()
    history = history_or_error(place, observed.history)
    release = wanted_release(history, observed, to)
    refuse_lost(place, observed, release)
    operating = history.operating_of(release.id) if with_operations else history.operating
    deployment = deployment_from_operating(place.name, place.environment, place.target_name, release, operating, place.project)
    findings = place.target.preflight(deployment)
    decided = plan("rollback", deployment, observed)
    why = reason or f"rolled back to {release.id}"
    return prepared(place, decided, observed, findings, Facts(by=context.who, reason=why))


def rollback(context: Context, prepared: Prepared) -> Deployed:
    """Carries out what `prepare` decided."""
    return carry_out(context, prepared)


def wanted_release(history: History, observed: Observed, to: str) -> Release:
    """`to`, else the committed release when something uncommitted serves or is under way, else the last good one. Pure."""
    if to:
        return history.find(to)
    live = history.live_release
    if live is not None and (history.underway is not None or observed.serving not in ("", live.id)):
        return live
    candidate = history.rollback_candidate()
    if candidate is None:
        raise MlshipError(
            f"{history.project} has no earlier good release to go back to",
            fix=f"mlship history {history.project} shows all; --to names one",
            code="nothing-to-roll-back-to",
        )
    return candidate


def refuse_lost(place: Opened, observed: Observed, release: Release) -> None:
    if release.id not in observed.restorable:
        others = ", ".join(sorted(observed.restorable - {release.id})) or "none"
        why = observed.lost.get(release.id, f"its image is not on {place.target_name} any more")
        raise MlshipError(
            f"{release.id} cannot be restored: {why}; restorable: {others}",
            fix="choose one with --to, or build and deploy that model again",
            code="not-restorable",
        )
