"""rollback: History -> Release, then exactly deploy. Works without a YAML, a checkout and a build."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from mlship.errors import MlshipError
from mlship.flows.command_line import account_of, command_for
from mlship.flows.context import Context, Where
from mlship.flows.hosts import hosts_of, looked_at
from mlship.flows.opening import Opened, history_or_error, opened
from mlship.flows.operating import deployment_from_operating, with_references
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
    [only] = prepare_each(context, (where,), to=to, with_operations=with_operations, reason=reason)
    return only


def prepare_each(
    context: Context, places: tuple[Where, ...], *, to: str = "", with_operations: bool = False, reason: str = ""
) -> tuple[Prepared, ...]:
    """The same release for every place. Raises what `prepare` raises, and MlshipError where they would not agree on it."""
    hosts = hosts_of(places)
    seen = looked_at(hosts, lambda position: _seen(context, places[position]))
    if len(seen) == 1:
        releases = [wanted_release(seen[0].history, seen[0].observed, to)]
    else:
        named = named_release([one.history for one in seen], to) if to else agreed_release(seen)
        releases = list(looked_at(hosts, lambda position: counterpart(seen[position].history, named)))
    return looked_at(hosts, lambda position: _prepared(context, seen[position], releases[position], with_operations, reason))


@dataclass(frozen=True)
class Seen:
    """One place before anything is decided."""

    place: Opened
    observed: Observed
    history: History


def _seen(context: Context, where: Where) -> Seen:
    place = opened(context, where)
    observed = place.target.observe()
    return Seen(place, observed, history_or_error(place, observed.history))


def _prepared(context: Context, seen: Seen, release: Release, with_operations: bool, reason: str) -> Prepared:
    place, observed, history = seen.place, seen.observed, seen.history
    refuse_lost(place, observed, release)
    operating = history.operating_of(release.id) if with_operations else history.operating
    operating = with_references(operating, history.operating_of(release.id))
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
            fix=f"{_history_command(history)} shows all; --to names one",
            code="nothing-to-roll-back-to",
        )
    return candidate


def _history_command(history: History) -> str:
    settings = history.operating.get("settings") or {}
    region, account = str(settings.get("region") or ""), account_of(history.target, settings)
    return command_for("history", history.project, history.target, history.environment, region, account)


def named_release(histories: Sequence[History], to: str) -> Release:
    """By the first of several hosts that knows it. Pure. Raises what `History.find` raises."""
    for history in histories:
        with suppress(MlshipError):
            return history.find(to)
    return histories[0].find(to)


def counterpart(history: History, release: Release) -> Release:
    """The same release in the records of another host, where it may have another number. Pure."""
    digest = release.served.digest()
    same = [known for known in history.releases if known.served.digest() == digest]
    return next((known for known in same if known.id == release.id), same[-1] if same else history.find(release.id))


def agreed_release(seen: Sequence[Seen]) -> Release:
    """What every host would go back to by itself. Pure.

    Raises MlshipError where they differ, as after a command that stopped between them: each going back by one would never
    bring them together.
    """
    found = [_wanted_or_none(one) for one in seen]
    first = found[0]
    if first is not None and all(other is not None and _is_same(first, other) for other in found):
        return first
    if not any(found):
        return wanted_release(seen[0].history, seen[0].observed, "")
    place = seen[0].place
    back = place.command("rollback")
    likely = _likely(seen, found)
    raise MlshipError(
        f"the hosts of {place.name} would not go back to the same release",
        fix=f"{back} --to {likely.id} brings all of them to it, mlship deploy all of them to what the file says",
        code="hosts-differ",
        details=[
            f"{one.place.host}: {one.history.live or 'nothing'} serves, before it {release.id if release else 'nothing'}"
            for one, release in zip(seen, found, strict=True)
        ],
    )


def _wanted_or_none(seen: Seen) -> Release | None:
    try:
        return wanted_release(seen.history, seen.observed, "")
    except MlshipError:
        return None


def _likely(seen: Sequence[Seen], found: Sequence[Release | None]) -> Release:
    """What some hosts would go back to and others serve already; else the first that there is."""
    live = [one.history.live_release for one in seen]
    wanted = [release for release in found if release is not None]
    return next((release for release in wanted if any(other and _is_same(release, other) for other in live)), wanted[0])


def _is_same(one: Release, other: Release) -> bool:
    return one.served.digest() == other.served.digest()


def refuse_lost(place: Opened, observed: Observed, release: Release) -> None:
    if release.id not in observed.restorable:
        others = ", ".join(sorted(observed.restorable - {release.id})) or "none"
        why = observed.lost.get(release.id, f"its image is not on {place.target_name} any more")
        raise MlshipError(
            f"{release.id} cannot be restored: {why}; restorable: {others}",
            fix="choose one with --to, or build and deploy that model again",
            code="not-restorable",
        )
