"""Carries a plan out: stage, ask, shift, ask again, commit, retire. The same for every target and for deploy and rollback.

The command may be killed between any two lines: what was not committed is found again by `observe`, and running the same
command again converges, because every action can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.progress import Progress
from mlship.releases.history import Entry, EntryAction, History
from mlship.releases.records import LeaseLost
from mlship.releases.release import Release
from mlship.targets.base import Action, Outcome, Target
from mlship.targets.lease import HeldLease, held
from mlship.targets.log_text import readable
from mlship.targets.plan import DeployPlan
from mlship.targets.verify import Verification, verify

# A new release may take a moment to be the one that answers on the callers' path, after the platform said so.
SETTLE_S = 15.0
LOG_LINES = 8


@dataclass(frozen=True)
class Facts:
    """What the history entry says besides what happened. reason: why a rollback was made."""

    by: str
    git: str = ""
    reason: str = ""
    prices: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """Time and news, handed in."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    progress: Progress


@dataclass(frozen=True)
class RolledOut:
    """What is committed now. notes: said to the user, such as a clean-up that is left for the next command."""

    history: History
    verification: Verification | None
    notes: tuple[str, ...] = ()


def roll_out(target: Target, plan: DeployPlan, facts: Facts, world: World) -> RolledOut:
    """Makes the plan real.

    Raises LeaseHeld, LeaseLost when the world changed since the plan was made, and MlshipError with exit 6 when the release
    did not prove itself (what served before serves), 7 when what served before could not be brought back.
    """
    with held(target.records, facts.by, world.clock, world.sleep, world.progress) as lease:
        observed = target.observe()
        if observed.fingerprint != plan.fingerprint:
            raise LeaseLost("something changed between the plan and now; nothing was done")
        history = observed.history or _empty(plan)
        return _Rollout(target, plan, facts, world, lease, history).run()


class _Rollout:
    """One rollout under its lease."""

    def __init__(
        self, target: Target, plan: DeployPlan, facts: Facts, world: World, lease: HeldLease, history: History
    ) -> None:
        self.target = target
        self.plan = plan
        self.facts = facts
        self.world = world
        self.lease = lease
        self.history = history
        self.release = plan.deployment.release
        self.notes: list[str] = []

    def run(self) -> RolledOut:
        verification: Verification | None = None
        for action in self.plan.actions:
            outcome = self._apply(action)
            if not outcome.ok:
                self._undo(action.kind, outcome)
            self.notes.extend(outcome.notes)
            if action.kind in ("stage", "shift", "operate"):
                verification = self._ask(action)
        if any(action.kind in ("shift", "operate") for action in self.plan.actions):
            self._commit(verification)
        return RolledOut(self.history, verification, tuple(self.notes))

    def _apply(self, action: Action) -> Outcome:
        self.lease.check()
        self.world.progress.step(action.kind, action.release)
        return self.target.apply(action, self.plan.deployment)

    def _ask(self, action: Action) -> Verification:
        of: Any = "staged" if action.kind == "stage" else "live"
        deadline = self.world.clock() + (SETTLE_S if of == "live" else 0.0)
        while True:
            said = verify(self.target.ask, self.release, of)
            if said.ok or said.release == self.release.id or self.world.clock() >= deadline:
                break
            self.world.sleep(0.1)
        if not said.ok:
            self._undo(action.kind, Outcome(False, said.cause, (*said.evidence, *self._last_lines())))
        self.world.progress.step("verify", f"{of}: {said.text}")
        return said

    def _last_lines(self) -> tuple[str, ...]:
        """What the copy said last; nothing where its log cannot be read."""
        with suppress(MlshipError):
            return tuple(line.text for line in self.target.logs(self.release.id, LOG_LINES))
        return ()

    def _commit(self, verification: Verification | None) -> None:
        deployment = self.plan.deployment
        entry = self._entry(self.plan.event, verification)
        if self.plan.event == "operate":
            changed = self.history.operated(entry, deployment.operating)
        elif self.plan.event == "rollback":
            changed = self.history.rolled_back(self.release, entry, self.facts.reason, deployment.operating)
        else:
            changed = self.history.deployed(self.release, entry, deployment.operating)
        kept, dropped = changed.pruned(deployment.keep)
        self._record(kept)
        self._retire(dropped)

    def _record(self, changed: History) -> None:
        """What cannot be recorded is not served: no other command would know of it."""
        try:
            self._write(changed)
        except LeaseLost:
            raise
        except MlshipError as error:
            self._undo("shift", Outcome(False, f"it cannot be recorded: {error.what}", error.details, fault="target"))

    def _write(self, changed: History) -> None:
        self.lease.check()
        self.target.records.commit(changed, self.history.generation)
        self.history = changed

    def _retire(self, dropped: tuple[Release, ...]) -> None:
        """The release is live already: what cannot be cleaned up now is said, and tried again by the next command."""
        outcome = self._apply(Action("retire", self.release.id, subjects=tuple(release.id for release in dropped)))
        if not outcome.ok:
            self.notes.append(f"clean-up is left for the next command: {outcome.cause}")

    def _undo(self, reached: str, failed: Outcome) -> None:
        """Brings back what served before, remembers why, and raises. Whoever took the lease meanwhile has done so already."""
        self.lease.check()
        before, cause, evidence = self.plan.previous, failed.cause, failed.evidence
        if reached == "deliver":
            raise self._failed(cause, evidence, Exit.VERIFY_FAILED)
        kind: Any = "discard" if reached in ("stage", "discard") else "restore"
        self.world.progress.step(kind, self.release.id)
        undone = self.target.apply(Action(kind, self.release.id, before.id if before else ""), self.plan.deployment)
        restored = undone.ok and self._previous_serves(before)
        if failed.fault == "release":
            self._remember_refusal(cause)
        if not restored:
            why = undone.cause or f"{before.id if before else 'nothing'} does not answer again"
            raise self._failed(cause, (*evidence, f"not restored: {why}", *undone.evidence), Exit.NOT_RESTORED)
        raise self._failed(cause, evidence, Exit.VERIFY_FAILED)

    def _previous_serves(self, before: Release | None) -> bool:
        if before is None:
            return True
        deadline = self.world.clock() + SETTLE_S
        while not (said := verify(self.target.ask, before, "live")).ok:
            if self.world.clock() >= deadline:
                self.notes.append(said.cause)
                return False
            self.world.sleep(0.1)
        return True

    def _remember_refusal(self, cause: str) -> None:
        """A release that was good before (a rollback's aim, a repair) is not marked by one failed attempt."""
        known = any(release.id == self.release.id for release in self.history.releases)
        if self.plan.event == "deploy" and not known:
            entry = self._entry("rejected", None, why=cause)
            kept, _ = self.history.refused(self.release, entry, cause).pruned(self.plan.deployment.keep)
            self._write(kept)

    def _failed(self, cause: str, evidence: tuple[str, ...], exit: Exit) -> MlshipError:
        before = self.plan.previous
        if exit is Exit.NOT_RESTORED:
            rest = "and what served before could not be brought back"
            fix = f"mlship rollback {self.history.project}"
        else:
            rest = f"{before.id} serves as before" if before else "nothing served before, and nothing is left behind"
            fix = "mend the cause above and run the same command again"
        return MlshipError(
            f"{self.release.id} is not live: {cause}; {rest}",
            fix=fix,
            exit=exit,
            code="not-restored" if exit is Exit.NOT_RESTORED else "verify-failed",
            details=readable(evidence),
        )

    def _entry(self, action: EntryAction, verification: Verification | None, why: str = "") -> Entry:
        previous = self.plan.previous
        return Entry(
            generation=self.history.generation + 1,
            release=self.release.id,
            action=action,
            by=self.facts.by,
            when=self.world.clock(),
            why=why or self.facts.reason,
            git=self.facts.git,
            plan={"actions": [step.kind for step in self.plan.actions], "previous": previous.id if previous else ""},
            verify={"text": verification.text, "predictions": verification.predictions} if verification else {},
            prices=self.facts.prices,
            operating=self.plan.deployment.operating,
        )


def _empty(plan: DeployPlan) -> History:
    deployment = plan.deployment
    return History(deployment.project, deployment.environment, deployment.target)
