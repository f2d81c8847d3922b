"""Taking back what failed or is not wanted: what served before serves, and the reason is remembered."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from mlship.errors import Exit, MlshipError
from mlship.releases.records import LeaseLost
from mlship.releases.release import Release
from mlship.targets.base import Action, ActionKind, Deployment, Outcome
from mlship.targets.changing import SETTLE_S, Change
from mlship.targets.log_text import readable
from mlship.targets.table import ON_THIS_MACHINE
from mlship.targets.verify import verify


def take_back(change: Change, reached: ActionKind, failed: Outcome) -> NoReturn:
    """Brings back what served before, remembers why, and raises: exit 6, that of `failed` where it has one, or 7 when what served
    before does not any more.

    reached: the action that failed, or after which the release did not prove itself. Whoever took the lease meanwhile has
    taken it back already.
    """
    change.lease.check()
    if reached in ("deliver", "discard"):
        raise _not_live(change, failed)
    begun = change.history.underway is not None
    if begun and failed.fault == "release":
        decide(change, failed.cause)
    wrong, left = _restored(change, _kind(change, reached))
    if wrong and begun:
        raise _not_restored(change, failed, wrong)
    unsaid: tuple[str, ...] = ()
    if begun:
        unsaid = _unrecorded(lambda: forget(change, failed.cause, rejects=failed.fault == "release"))
    elif failed.fault == "release":
        unsaid = _unrecorded(lambda: _remember_refusal(change, failed.cause))
    failed = replace(failed, evidence=(*failed.evidence, *left, *unsaid))
    if wrong:
        raise _not_restored(change, failed, wrong)
    raise _not_live(change, failed)


def bring_back(change: Change, reason: str) -> None:
    """Takes back what is under way because a person wants it.

    Raises MlshipError with exit 7 when nothing serves then, with exit 13 when it is done and nobody could be told.
    """
    decide(change, reason)
    wrong, _ = _restored(change, "restore")
    if wrong:
        raise _not_restored(change, Outcome(False, reason), wrong)
    if not change.before:
        change.notes.append(what_is_left(change.before, change.deployment))
    unsaid = _unrecorded(lambda: forget(change, reason, rejects=True))
    if unsaid:
        raise MlshipError(
            f"{change.release.id} is taken back, {change.before or 'nothing'} serves as before, and the records do not say so yet",
            fix="run the same command again",
            exit=Exit.UNREACHABLE,
            code="unrecorded",
            details=unsaid,
        )


def decide(change: Change, cause: str) -> None:
    """Records that it is taken back, so that another command finishes that if this one is killed.

    Callers come first: where it cannot be recorded, they are brought back all the same. Raises LeaseLost.
    """
    underway = change.history.underway
    if underway is not None and underway.failed == cause:
        return
    try:
        change.write(change.history.failing(cause, change.entry("pause", why=f"is being taken back: {cause}")))
    except LeaseLost:
        raise
    except MlshipError as unwritten:
        change.notes.append(f"not recorded: {unwritten.what}")


def forget(change: Change, reason: str, *, rejects: bool) -> None:
    """Nothing is under way any more. rejects: the release was at fault, or not wanted."""
    ended = change.history.aborted(reason, change.entry("abort", why=reason), rejects=rejects)
    kept, dropped = ended.pruned(change.deployment.keep)
    change.write(kept)
    change.retire(dropped)


def _unrecorded(write: Callable[[], None]) -> tuple[str, ...]:
    """Why it could not be written down, empty when it was: callers are right already, and the next command ends it. Raises LeaseLost."""
    try:
        write()
    except LeaseLost:
        raise
    except MlshipError as error:
        return (f"not recorded: {error.what}", *error.details)
    return ()


def _kind(change: Change, reached: ActionKind) -> ActionKind:
    """At 0 % it is enough that the new copies go, unless the old ones were stopped for them or callers may have moved."""
    old_ones_stopped = change.deployment.strategy.name == "recreate" and change.before
    if reached == "stage" and change.history.underway is None and not old_ones_stopped:
        return "discard"
    return "restore"


def _restored(change: Change, kind: ActionKind) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why what served before does not serve now, empty when it does; what of the release is left although it does."""
    change.world.progress.step(kind, change.release.id)
    undone = change.target.apply(Action(kind, change.release.id, change.before), change.deployment)
    never_left = kind == "discard" and change.before != ""  # callers what served before
    silent = _silence(change, change.plan.previous) if undone.ok or never_left else ""
    what = "not taken away" if kind == "discard" else "not restored"
    left = () if undone.ok else (f"{what}: {undone.cause}", *undone.evidence)
    if silent:
        return (f"not restored: {silent}", *(left or undone.evidence)), ()
    if not (undone.ok or never_left):
        return left, ()
    change.put_back()
    return (), left


def _silence(change: Change, before: Release | None) -> str:
    """What is wrong with the answers of what served before; empty when it serves, or when nothing did."""
    if before is None:
        return ""
    deadline = change.world.clock() + SETTLE_S
    while wrong := _wrong_answer(change, before):
        if change.world.clock() >= deadline:
            return wrong
        change.world.sleep(0.1)
    return ""


def _wrong_answer(change: Change, before: Release) -> str:
    """A platform that is away says nothing either, and must not hide what was taken back."""
    try:
        said = verify(change.target.ask, before, "live")
    except LeaseLost:
        raise
    except MlshipError as away:
        return f"{before.id} cannot be asked: {away.what}"
    return "" if said.ok else f"{before.id} does not answer again: {said.cause}"


def _remember_refusal(change: Change, cause: str) -> None:
    """A release that was good before (a rollback's aim, a repair) is not marked by one failed attempt."""
    known = any(release.id == change.release.id for release in change.history.releases)
    if change.plan.event == "deploy" and not known:
        refused = change.history.refused(change.release, change.entry("rejected", why=cause), cause)
        kept, _ = refused.pruned(change.deployment.keep)
        change.write(kept)


def _not_live(change: Change, failed: Outcome) -> MlshipError:
    return MlshipError(
        f"{change.release.id} is not live: {failed.cause}; {what_is_left(change.before, change.deployment)}",
        fix="mend the cause above and run the same command again",
        exit=failed.exit or Exit.VERIFY_FAILED,
        code="denied" if failed.exit is Exit.DENIED else "verify-failed",
        details=readable(failed.evidence),
    )


def what_is_left(before: str, wanted: Deployment) -> str:
    """A cloud keeps what a first release was to stand on (a balancer, an endpoint), which is billed, and which the next one takes.

    Pure.
    """
    if before:
        return f"{before} serves as before"
    if wanted.target in ON_THIS_MACHINE:
        return "nothing served before, and nothing is left behind"
    words = ["mlship", "destroy", wanted.project, "--target", wanted.target]
    words += ["--env", wanted.environment] if wanted.environment else []
    words += ["--region", str(wanted.settings["region"])] if wanted.settings.get("region") else []
    return f"nothing served before; what was made for it stays for the next deploy, or until {shlex.join(words)}"


def _not_restored(change: Change, failed: Outcome, wrong: tuple[str, ...]) -> MlshipError:
    """The release is named, because a rollback by itself goes to another one where nothing serves."""
    project, release = change.history.project, change.release.id
    what, fix = "and what served before could not be brought back", f"mlship rollback {project} --to {change.before}"
    if not change.before:
        what = f"nothing served before, and not all of {release} could be taken away"
        fix = f"mend the cause above and run the same command again; mlship destroy {project} takes all of it away"
    return MlshipError(
        f"{release} is not live: {failed.cause}; {what}",
        fix=fix,
        exit=Exit.NOT_RESTORED,
        code="not-restored",
        details=readable((*failed.evidence, *wrong)),
    )
