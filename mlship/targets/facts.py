"""What a rollout is handed, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.progress import Progress
from mlship.releases.history import History
from mlship.targets.verify import Verification


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


class Paused(MlshipError):
    """A rollout waits for a person; callers stay where they are until somebody says how it goes on."""

    def __init__(self, project: str, release: str, reach: str, why: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(
            f"{release} is paused at {reach}: {why}",
            fix=f"mlship promote {project} goes on, mlship abort {project} takes it back",
            exit=Exit.PAUSED,
            code="paused",
            details=details,
        )


@dataclass(frozen=True)
class Left:
    """A change that nobody attends to. reach: what callers meet, in words. is_underway: it is recorded, so that any machine may go
    on with it or take it back. stopped: the release that ended for this one, empty while one of them has callers.
    """

    project: str
    release: str
    reach: str
    is_underway: bool = False
    stopped: str = ""

    def ways_on(self, command: Callable[[str], str]) -> str:
        """For people. command: gives the command line of a verb."""
        back = f", {command('rollback')} --to {self.stopped} brings {self.stopped} back" if self.stopped else ""
        back = f", {command('abort')} takes it back" if self.is_underway else back
        return f"the same command again goes on from there{back}"


class Unattended(MlshipError):
    """The target does not answer any more, or denies, and callers may meet a release that is not committed, or none: that stays so."""

    def __init__(self, left: Left, away: MlshipError) -> None:
        super().__init__(
            f"{left.release} is left at {left.reach}: {away.what}",
            fix=left.ways_on(lambda verb: f"mlship {verb} {left.project}"),
            exit=away.exit,
            code="unattended",
            details=away.details,
        )
        self.left = left
