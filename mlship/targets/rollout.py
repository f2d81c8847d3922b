"""Carries a plan out: stage, ask, shift by steps, ask again, commit, retire. The same for every target, deploy and rollback.

The command may be killed between any two lines: what was not committed is found again by `observe` or in the records, and
running the same command again converges, because every action can be repeated.
"""

from __future__ import annotations

from mlship.errors import Exit, MlshipError
from mlship.releases.history import History, Underway
from mlship.releases.records import LeaseLost
from mlship.targets.base import Action, Observed, Outcome, Target
from mlship.targets.changing import Change
from mlship.targets.facts import Facts, Left, Paused, RolledOut, Unattended, World
from mlship.targets.lease import HeldLease, held
from mlship.targets.plan import DeployPlan, promotion, taking_back
from mlship.targets.proving import prove_copies
from mlship.targets.steps import begin, mirror, pass_all, weigh
from mlship.targets.undo import bring_back, take_back
from mlship.targets.verify import Verification

__all__ = ["Facts", "Left", "Paused", "RolledOut", "Unattended", "World", "abort", "promote", "roll_out"]


def roll_out(target: Target, plan: DeployPlan, facts: Facts, world: World) -> RolledOut:
    """Makes the plan real.

    Raises LeaseHeld, LeaseLost when the world changed since the plan was made, Paused (exit 12) when a person has to say how
    it goes on, Unattended when the target does not answer any more in the midst of it (exit 13, or 8), and MlshipError with exit 6
    when the release did not prove itself (what served before serves), 7 when what served before could not be brought back.
    """
    with held(target.records, facts.by, world.clock, world.sleep, world.progress) as lease:
        observed = _as_seen(target, plan.fingerprint)
        return _carried_out(target, plan, facts, world, lease, observed)


def promote(target: Target, facts: Facts, world: World, *, full: bool = False, seen: str = "") -> RolledOut:
    """Goes on with what is under way, past the step that it waits at; with `full` straight to all callers.

    seen: fingerprint of what was shown to the person who said so. Raises what roll_out raises, and MlshipError when nothing is
    under way.
    """
    with held(target.records, facts.by, world.clock, world.sleep, world.progress) as lease:
        observed = _as_seen(target, seen)
        underway_or_error(observed, "promote")
        return _carried_out(target, promotion(observed, full=full), facts, world, lease, observed)


def abort(target: Target, facts: Facts, world: World, reason: str, *, seen: str = "") -> RolledOut:
    """Takes back what is under way: what was live serves alone again, and the release is rejected with the reason.

    seen: as for promote. Raises MlshipError when nothing is under way, and with exit 7 when what was live could not be brought back.
    """
    with held(target.records, facts.by, world.clock, world.sleep, world.progress) as lease:
        observed = _as_seen(target, seen)
        underway_or_error(observed, "abort")
        return _taken_back(_change(target, taking_back(observed), facts, world, lease, observed), reason)


def underway_or_error(observed: Observed, verb: str) -> Underway:
    """Raises MlshipError when nothing is under way."""
    underway = observed.history.underway if observed.history else None
    if underway is None:
        raise MlshipError(f"nothing is under way that one could {verb}", fix="mlship status", code="nothing-under-way")
    return underway


def _as_seen(target: Target, fingerprint: str) -> Observed:
    """Raises LeaseLost when the world is not as it was seen."""
    observed = target.observe()
    if fingerprint and observed.fingerprint != fingerprint:
        raise LeaseLost("something changed between the plan and now; nothing was done")
    return observed


def _carried_out(
    target: Target, plan: DeployPlan, facts: Facts, world: World, lease: HeldLease, observed: Observed
) -> RolledOut:
    change = _change(target, plan, facts, world, lease, observed)
    if plan.event == "abort":
        return _taken_back(change, facts.reason or "rolled back")
    if change.history.underway is not None and change.history.underway.failed:
        take_back(change, "weigh", Outcome(False, change.history.underway.failed))
    try:
        return _Rollout(change).run()
    except (Paused, LeaseLost):
        raise
    except MlshipError as error:
        if not change.left or error.exit in (Exit.VERIFY_FAILED, Exit.NOT_RESTORED):
            raise
        stopped = change.before if change.stopped and not change.reach else ""
        is_underway = change.history.underway is not None
        left = Left(change.history.project, change.release.id, change.left, is_underway=is_underway, stopped=stopped)
        raise Unattended(left, error) from error


def _change(target: Target, plan: DeployPlan, facts: Facts, world: World, lease: HeldLease, observed: Observed) -> Change:
    wanted = plan.deployment
    history = observed.history or History(wanted.project, wanted.environment, wanted.target)
    return Change(target, plan, facts, world, lease, history)


def _taken_back(change: Change, reason: str) -> RolledOut:
    bring_back(change, reason)
    return RolledOut(change.history, None, tuple(change.notes))


class _Rollout:
    """One rollout under its lease."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.verification: Verification | None = None

    def run(self) -> RolledOut:
        change = self.change
        for action in change.plan.actions:
            self._act(action)
        if any(action.kind in ("shift", "operate") for action in change.plan.actions):
            self._commit()
        return RolledOut(change.history, self.verification, tuple(change.notes))

    def _act(self, action: Action) -> None:
        change = self.change
        if action.kind == "mirror":
            mirror(change, action)
            return
        if action.kind == "weigh":
            weigh(change, action)
            return
        if action.kind == "shift" and change.plan.by_steps:
            pass_all(change)
        outcome = change.apply(action)
        if not outcome.ok and action.kind == "discard" and self.verification is not None:
            change.notes.append(f"a copy of {action.release} is left for the next command: {outcome.cause}")
        elif not outcome.ok:
            take_back(change, action.kind, outcome)
        change.notes.extend(outcome.notes)
        if action.kind == "stage":
            self.verification = prove_copies(change, action)
            if change.plan.by_steps:
                begin(change)
        elif action.kind in ("shift", "operate"):
            self.verification = self._proved_live(action)

    def _proved_live(self, action: Action) -> Verification:
        change = self.change
        said = change.ask_live(change.release)
        if not said.ok:
            evidence = (*said.evidence, *change.last_lines())
            take_back(change, action.kind, Outcome(False, said.cause, evidence, fault=said.fault))
        change.world.progress.step("verify", f"live: {said.text}")
        return said

    def _commit(self) -> None:
        """What cannot be recorded is not served: no other command would know of it."""
        change = self.change
        kept, dropped = self._committed().pruned(change.deployment.keep)
        try:
            change.write(kept)
        except LeaseLost:
            raise
        except MlshipError as error:
            cause = f"it cannot be recorded: {error.what}"
            take_back(change, "shift", Outcome(False, cause, error.details, fault="target"))
        change.retire(dropped)

    def _committed(self) -> History:
        change = self.change
        deployment, event = change.deployment, change.plan.event
        if event == "operate":
            return change.history.operated(change.entry("operate", self.verification), deployment.operating)
        if event == "rollback":
            entry = change.entry("rollback", self.verification)
            return change.history.rolled_back(change.release, entry, change.facts.reason, deployment.operating)
        return change.history.deployed(change.release, change.entry("deploy", self.verification), deployment.operating)
