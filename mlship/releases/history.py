"""What happened, in order, and what may be served again. Pure: every change gives a new History."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mlship.errors import MlshipError
from mlship.releases.release import Release, Served

EntryAction = Literal["deploy", "rollback", "operate", "rejected", "destroy", "begin", "step", "pause", "abort", "recover"]


@dataclass(frozen=True)
class Entry:
    """One committed event. release: its id. when: seconds since the epoch. why: a reason in words, else empty.

    plan, verify, prices: plain data, shown as they are. git: the commit of the project's folder, if it has one.
    operating: the operating part from this entry on.
    """

    generation: int
    release: str
    action: EntryAction
    by: str
    when: float
    why: str = ""
    git: str = ""
    plan: Mapping[str, Any] = field(default_factory=dict)
    verify: Mapping[str, Any] = field(default_factory=dict)
    prices: Mapping[str, Any] = field(default_factory=dict)
    operating: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Underway:
    """A rollout that has begun and is not committed: callers may reach both releases until it ends or is taken back.

    release: the whole new one, so that any machine can go on. before: id of what is live, empty when nothing is. event: what
    the history will say when it is committed. step: index of the last step that was reached, -1 while the new copies get no
    callers. share: of the callers, in [0, 1]. since: when this step began, seconds since the epoch. paused: why it waits for
    a person, empty while a command attends to it. measured: release id -> counts as plain data at the beginning of this step.
    deployment: what else has to be known to go on without mlship.yaml, as plain data. change: how far the sample's
    predictions differ from those of `before`; None where they cannot be compared. passed: nothing is left but to move all
    callers and to commit. failed: why it is being taken back; whoever finds it finishes that. mirror: share of the requests of
    which the release gets a copy since then, while it has no callers.
    """

    release: Release
    before: str
    event: Literal["deploy", "rollback"]
    step: int
    share: float
    since: float
    operating: Mapping[str, Any] = field(default_factory=dict)
    paused: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict)
    deployment: Mapping[str, Any] = field(default_factory=dict)
    change: float | None = None
    passed: bool = False
    failed: str = ""
    mirror: float = 0.0

    @property
    def reach(self) -> str:
        """`5 % of the callers`, for people."""
        return reached(self.share, self.mirror)


@dataclass(frozen=True)
class History:
    """The records of one project in one environment on one target.

    live: id of the release that is committed as serving, or empty. generation: counts commits; compared inside each commit.
    rejected: release id -> reason. operating: the operating part (scale, cost, rollout, labels) as plain data.
    underway: a rollout that callers may notice already and that is not committed; None when there is none.
    """

    project: str
    environment: str
    target: str
    generation: int = 0
    live: str = ""
    releases: tuple[Release, ...] = ()
    entries: tuple[Entry, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    operating: Mapping[str, Any] = field(default_factory=dict)
    underway: Underway | None = None

    @property
    def next_sequence(self) -> int:
        """Sequences are never given twice, not even to a release that was rejected or pruned."""
        told = [int(entry.release[1:].split("-")[0]) for entry in self.entries if entry.release]
        begun = [self.underway.release.sequence] if self.underway else []
        return max([*(release.sequence for release in self.releases), *told, *begun], default=0) + 1

    @property
    def live_release(self) -> Release | None:
        return next((release for release in self.releases if release.id == self.live), None)

    def find(self, wanted: str) -> Release:
        """By id, or by its sequence (`r12`). Raises MlshipError that names the known ones."""
        for release in self.releases:
            if wanted in (release.id, f"r{release.sequence}"):
                return release
        known = ", ".join(release.id for release in self.releases) or "none"
        raise MlshipError(
            f"there is no release {wanted} of {self.project}; known: {known}",
            fix=f"mlship history {self.project}",
            code="unknown-release",
        )

    def same_as_live(self, served: Served) -> bool:
        live = self.live_release
        return live is not None and live.served.digest() == served.digest()

    def is_underway(self, served: Served) -> bool:
        return self.underway is not None and self.underway.release.served.digest() == served.digest()

    def rejection(self, served: Served) -> str:
        """Why this very content was rejected before, or empty; what is under way was let in already."""
        if self.is_underway(served):
            return ""
        digest = served.digest()
        for release in reversed(self.releases):
            if release.served.digest() == digest and release.id in self.rejected:
                return f"{release.id}: {self.rejected[release.id]}"
        return ""

    def operating_of(self, release_id: str) -> Mapping[str, Any]:
        """The operating part that the release last ran with; the present one when it is not recorded."""
        for entry in reversed(self.entries):
            if entry.release == release_id and entry.operating:
                return entry.operating
        return self.operating

    def rollback_candidate(self) -> Release | None:
        """The last good release that is neither live nor was rejected."""
        served = [entry.release for entry in self.entries if entry.action in ("deploy", "rollback")]
        for release_id in reversed(served):
            if release_id != self.live and release_id not in self.rejected:
                release = next((known for known in self.releases if known.id == release_id), None)
                if release is not None:
                    return release
        return None

    def begun(self, underway: Underway, entry: Entry) -> History:
        """A rollout by steps begins; what is live stays live until it is committed."""
        return replace(self._with(entry), underway=underway)

    def mirrored(self, share: float, measured: Mapping[str, Any], entry: Entry) -> History:
        """A copy of so many requests goes to the release under way from now on; it still has no callers."""
        begun = replace(self._begun, mirror=share, since=entry.when, measured=measured, paused="")
        return replace(self._with(entry), underway=begun)

    def stepped(self, step: int, share: float, measured: Mapping[str, Any], entry: Entry, *, passed: bool = False) -> History:
        """So many callers reach the release under way from now on; `passed`: all of them are about to."""
        begun = replace(
            self._begun, step=step, share=share, measured=measured, passed=passed, since=entry.when, paused="", mirror=0.0
        )
        return replace(self._with(entry), underway=begun)

    def paused(self, why: str, entry: Entry) -> History:
        """Callers stay where they are until a person says how it goes on."""
        return replace(self._with(entry), underway=replace(self._begun, paused=why))

    def failing(self, cause: str, entry: Entry) -> History:
        """What is under way is being taken back, and will be even when this command is killed meanwhile."""
        return replace(self._with(entry), underway=replace(self._begun, failed=cause, paused=""))

    def aborted(self, reason: str, entry: Entry, *, rejects: bool = True) -> History:
        """What was under way is taken back; what was live all the time goes on. rejects: the release was at fault."""
        ended = self.refused(self._begun.release, entry, reason) if rejects else self._with(entry)
        return replace(ended, underway=None)

    def deployed(self, release: Release, entry: Entry, operating: Mapping[str, Any]) -> History:
        """The release is live; deploying content again that was rejected clears its rejection."""
        digest = release.served.digest()
        cleared = {release.id, *(known.id for known in self.releases if known.served.digest() == digest)}
        return replace(
            self._with(replace(entry, operating=operating)),
            live=release.id,
            releases=self._releases_with(release),
            rejected={name: why for name, why in self.rejected.items() if name not in cleared},
            operating=operating,
            underway=None,
        )

    def rolled_back(self, to: Release, entry: Entry, reason: str, operating: Mapping[str, Any]) -> History:
        """`to` is live again; the release that it replaced is rejected with the reason."""
        rejected = {name: why for name, why in self.rejected.items() if name != to.id}
        if self.live and self.live != to.id:
            rejected[self.live] = reason
        back = self._with(replace(entry, operating=operating))
        return replace(back, live=to.id, rejected=rejected, operating=operating, underway=None)

    def refused(self, release: Release, entry: Entry, reason: str) -> History:
        """The release failed verification: it is remembered as rejected, and what was live stays live."""
        return replace(
            self._with(entry),
            releases=self._releases_with(release),
            rejected={**self.rejected, release.id: reason},
        )

    def operated(self, entry: Entry, operating: Mapping[str, Any]) -> History:
        """Only the operating part changed: a new generation in place."""
        return replace(self._with(replace(entry, operating=operating)), operating=operating)

    def pruned(self, keep: int) -> tuple[History, tuple[Release, ...]]:
        """Keeps the live release and the newest good ones up to `keep` in all, and as many rejected ones for the memory.

        Returns what was let go beside the new history, oldest first.
        """
        good = [release for release in self.releases if release.id not in self.rejected and release.id != self.live]
        bad = [release for release in self.releases if release.id in self.rejected]
        room = max(keep - (1 if self.live else 0), 0)
        gone = {release.id for release in (*good[: max(len(good) - room, 0)], *bad[: max(len(bad) - keep, 0)])}
        dropped = tuple(release for release in self.releases if release.id in gone)
        left = tuple(release for release in self.releases if release.id not in gone)
        rejected = {name: why for name, why in self.rejected.items() if name not in gone}
        return replace(self, releases=left, rejected=rejected), dropped

    @property
    def _begun(self) -> Underway:
        if self.underway is None:
            raise ValueError("nothing is under way")
        return self.underway

    def _releases_with(self, release: Release) -> tuple[Release, ...]:
        return (*(known for known in self.releases if known.id != release.id), release)

    def _with(self, entry: Entry) -> History:
        return replace(self, generation=entry.generation, entries=(*self.entries, entry))


def reached(share: float, mirror: float = 0.0) -> str:
    """`5 % of the callers`, for people. mirror: share of the requests of which a copy goes there."""
    copied = f" and gets a copy of {mirror * 100:g} % of the requests" if mirror else ""
    return f"{share * 100:g} % of the callers{copied}"
