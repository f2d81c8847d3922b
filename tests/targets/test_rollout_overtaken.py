"""A command that is stopped right after its commit, for longer than its lease, while somebody else deploys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rehearsal import Killer, Rehearsal

from mlship.targets.base import Strategy


@dataclass
class Overtaken(Killer):
    """Somebody else deploys version 3 as soon as the command has committed version 2."""

    rehearsal: Rehearsal | None = None
    live: str = ""

    def touch(self, act: Any) -> Any:
        assert self.rehearsal is not None
        done = act()
        if not self.live and self.rehearsal.open().records.read().generation == 2:
            self.rehearsal.service.lease = None  # it ended while the command was stopped
            self.live = self.rehearsal.deploy(3).history.live
        return done


def test_what_was_committed_is_live_and_only_the_clean_up_is_left_to_whoever_came_since() -> None:
    rehearsal = Rehearsal(Strategy("rolling"))
    rehearsal.deploy(1)
    overtaking = Overtaken(rehearsal=rehearsal)
    done = rehearsal.deploy(2, overtaking)
    assert done.history.live.startswith("r2-")
    assert done.notes == ("clean-up is left for the next command: somebody else has changed this project since",)
    assert rehearsal.open().records.read().live == overtaking.live == rehearsal.service.serving
