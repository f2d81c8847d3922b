"""One change of a project under its lease: every touch of the target and of its records goes through here."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from mlship.errors import MlshipError
from mlship.releases.history import Entry, EntryAction, History, reached
from mlship.releases.records import LeaseLost
from mlship.releases.release import Release
from mlship.targets.base import Action, BesideImages, Deployment, Outcome, Target
from mlship.targets.facts import Facts, World
from mlship.targets.lease import HeldLease
from mlship.targets.plan import DeployPlan
from mlship.targets.verify import Verification, verify

# A release may take a moment to be the one that answers on the callers' path, after the platform said so.
SETTLE_S = 15.0
LOG_LINES = 8
NAP_S = 5.0  # between two looks at the lease while nothing else happens


class Change:
    """A plan that is carried out. history: as it is committed now; notes: said to the user at the end.

    reach: how far callers may meet the release, whatever is recorded of that; empty while none does. stopped: whether what served
    before ended for it (`is`, `may be`); empty while that serves.
    """

    def __init__(
        self, target: Target, plan: DeployPlan, facts: Facts, world: World, lease: HeldLease, history: History
    ) -> None:
        self.target = target
        self.plan = plan
        self.facts = facts
        self.world = world
        self.lease = lease
        self.history = history
        self.notes: list[str] = []
        begun = history.underway
        self.reach = begun.reach if begun is not None and (begun.share or begun.mirror) else ""
        self.stopped: Literal["", "may be", "is"] = ""

    @property
    def deployment(self) -> Deployment:
        return self.plan.deployment

    @property
    def release(self) -> Release:
        return self.plan.deployment.release

    @property
    def before(self) -> str:
        return self.plan.previous.id if self.plan.previous else ""

    @property
    def left(self) -> str:
        """What callers meet when nobody attends to the change any more, for people; empty while all is as it was."""
        if self.reach or not self.stopped:
            return self.reach
        return f"{reached(0.0)}, and {self.before} {self.stopped} stopped for it"

    def put_back(self) -> None:
        """Callers reach what they reached before."""
        self.reach = self.stopped = ""

    def apply(self, action: Action) -> Outcome:
        self.lease.check()
        self.world.progress.step(action.kind, action.release)
        self.stopped = "may be" if self._stops(action) else self.stopped
        outcome = self.target.apply(action, self.deployment)
        self.stopped = "is" if outcome.ok and self._stops(action) else self.stopped
        if outcome.ok and action.kind in ("weigh", "shift"):
            self.reach = reached(action.share)
        elif outcome.ok and action.kind == "mirror":
            self.reach = reached(0.0, action.share)
        elif outcome.ok and outcome.share:
            self.reach = reached(outcome.share)
        return outcome

    def _stops(self, action: Action) -> bool:
        return (
            action.kind == "stage" and self.deployment.strategy.name == "recreate" and action.before not in ("", action.release)
        )

    def write(self, changed: History) -> None:
        """Commits. Raises LeaseLost when somebody else did meanwhile."""
        self.lease.check()
        self.target.records.commit(changed, self.history.generation)
        self.history = changed

    def rest(self, seconds: float) -> None:
        """Lets time pass; notices within a nap that the lease was lost."""
        while seconds > 0:
            self.lease.check()
            self.world.sleep(min(seconds, NAP_S))
            seconds -= NAP_S

    def ask_live(self, release: Release) -> Verification:
        """On the callers' path, until it settles. Another answer than the release's own is final at once."""
        deadline = self.world.clock() + SETTLE_S
        while True:
            said = verify(self.target.ask, release, "live")
            if said.ok or said.release == release.id or self.world.clock() >= deadline:
                return said
            self.world.sleep(0.1)

    def retire(self, dropped: tuple[Release, ...]) -> None:
        """What cannot be cleaned up now is said, and tried again by the next command; so is what lies beside the images.

        All is committed by then, also where somebody else has taken over since.
        """
        try:
            outcome = self.apply(Action("retire", self.release.id, subjects=tuple(release.id for release in dropped)))
            if isinstance(self.target.records, BesideImages):
                self.lease.check()
                self.notes.extend(self.target.records.attach(self.history))
            if outcome.ok:
                self.notes.extend(outcome.notes)
                return
            self.lease.check()
            cause = outcome.cause
        except LeaseLost:
            cause = "somebody else has changed this project since"
        self.notes.append(f"clean-up is left for the next command: {cause}")

    def last_lines(self) -> tuple[str, ...]:
        """What the new copies said last; nothing where their log cannot be read."""
        with suppress(MlshipError):
            return tuple(line.text for line in self.target.logs(self.release.id, LOG_LINES))
        return ()

    def entry(self, action: EntryAction, verification: Verification | None = None, why: str = "") -> Entry:
        return Entry(
            generation=self.history.generation + 1,
            release=self.release.id,
            action=action,
            by=self.facts.by,
            when=self.world.clock(),
            why=why or self.facts.reason,
            git=self.facts.git or self._git_at_the_beginning(),
            plan={"actions": [step.kind for step in self.plan.actions], "previous": self.before},
            verify={"text": verification.text, "predictions": verification.predictions} if verification else {},
            prices=self.facts.prices,
            operating=self.deployment.operating,
        )

    def _git_at_the_beginning(self) -> str:
        """Whoever goes on with a rollout may have no checkout."""
        begun = (entry for entry in reversed(self.history.entries) if entry.action == "begin")
        return next((entry.git for entry in begun if entry.release == self.release.id), "")
