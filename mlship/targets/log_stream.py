"""Following a platform's log by looking again: everything that comes, once, whatever it is older than."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from mlship.targets.waiting import Waiting

Event = TypeVar("Event")
Mark = tuple[Hashable, float]  # an event's id, and its time in seconds since the epoch

# Each copy hands in its lines some seconds at a time, so that one that is older may come after one that is newer: the log driver of
# containers collects lines for up to five seconds (awslogs; from memory, verify). Each look goes so far back.
NEAR_S = 10.0
# A copy or a platform that had no connection for a while hands them in later. Once a minute a look goes so far back.
FAR_S, FAR_EVERY_S = 600.0, 60.0
KNOWN = 10_000  # ids: about 3 MB, and what a look may read again


class Shown:
    """What was there or was shown: of the last FAR_S, and no more than KNOWN ids. Of what is older nothing is new any more.

    since: what is older was there already, as far as anybody knows.
    """

    def __init__(self, since: float) -> None:
        self.since = since
        self._known: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._known)

    def add(self, mark: Mark) -> bool:
        """Whether it is new."""
        name, when = mark
        is_new = name not in self._known and when >= self.since
        if when >= self.since:
            self._known[name] = when
        return is_new

    def forget(self, before: float) -> None:
        """What was written before, and the oldest of what is too much."""
        self.since = max(self.since, before)
        if len(self._known) > KNOWN:
            newest_of_too_much = sorted(self._known.values())[-KNOWN - 1]
            self.since = max(self.since, math.nextafter(newest_of_too_much, math.inf))
        self._known = {name: when for name, when in self._known.items() if when >= self.since}


def followed(
    told: Iterable[Event],
    look: Callable[[float], Iterable[Event]],
    mark: Callable[[Event], Mark],
    since: float,
    waiting: Waiting,
) -> Iterator[Event]:
    """What comes after `told`, without end. look: what there is since a time, in seconds since the epoch.

    since: `told` has all that was there from then on, shown or not; a line of before is taken for one that was there, too. What is handed
    in more than FAR_S, or more than KNOWN lines, behind the newest one is not told. A platform that is busy or away for a moment is
    asked again. Raises what it says when it stays away.
    """
    shown, marks = Shown(since), [mark(event) for event in told]
    for one in marks:
        shown.add(one)
    latest = max((when for _, when in marks), default=waiting.clock())
    far_at = waiting.clock() + FAR_EVERY_S
    while True:
        newest = min(latest, waiting.clock())  # a copy's clock may be ahead
        shown.forget(newest - FAR_S)
        waiting.sleep(waiting.every_s)
        is_far = waiting.clock() >= far_at
        far_at = waiting.clock() + FAR_EVERY_S if is_far else far_at
        start = shown.since if is_far else max(shown.since, newest - NEAR_S)
        for event in waiting.answered(partial(_all, look, start)):
            if shown.add(mark(event)):
                latest = max(latest, mark(event)[1])
                yield event


def _all(look: Callable[[float], Iterable[Event]], since: float) -> Sequence[Event]:
    return list(look(since))
